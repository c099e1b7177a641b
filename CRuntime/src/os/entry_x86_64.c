#if defined(__x86_64__)
// Entries that save the caller's registers before any compiled code can reuse them. A function that returns while its
// thread counts as stopped (a blocking region, a cycle with the thread's other heaps set aside) cannot leave them in
// its frame, and its own prologue may already have overwritten one.
//
// Each entry keeps its first two arguments and passes a third: the address of rbp, rbx, r12 to r15 on the stack, with
// the return address and the caller's frame above (os/thread.h).
#define TRI_ENTRY(name, body)                                                                                          \
  __asm__(".text\n"                                                                                                    \
          ".p2align 4\n"                                                                                               \
          ".globl " #name "\n"                                                                                         \
          ".type " #name ", @function\n" #name ":\n"                                                                   \
          ".cfi_startproc\n"                                                                                           \
          "pushq %rbp\n"                                                                                               \
          "pushq %rbx\n"                                                                                               \
          "pushq %r12\n"                                                                                               \
          "pushq %r13\n"                                                                                               \
          "pushq %r14\n"                                                                                               \
          "pushq %r15\n"                                                                                               \
          ".cfi_adjust_cfa_offset 48\n"                                                                                \
          "movq %rsp, %rdx\n"                                                                                          \
          "subq $8, %rsp\n"                                                                                            \
          ".cfi_adjust_cfa_offset 8\n"                                                                                 \
          "call " #body "@PLT\n"                                                                                       \
          "addq $56, %rsp\n" /* the callee preserved them */                                                           \
          ".cfi_adjust_cfa_offset -56\n"                                                                               \
          "ret\n"                                                                                                      \
          ".cfi_endproc\n"                                                                                             \
          ".size " #name ", . - " #name "\n")

TRI_ENTRY(tri_blocking_begin, tri_blocking_begin_saved);
TRI_ENTRY(tri_cycle_begin, tri_cycle_begin_saved);
TRI_ENTRY(tri_fiber_switch, tri_fiber_switch_saved);
TRI_ENTRY(tri_fork_prepare, tri_fork_prepare_saved);
#else
#error "write the entries of os/entry_x86_64.c for this processor"
#endif
