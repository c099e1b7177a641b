// Scenario of callee-saved registers.
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "scenario.h"
#include "scenarios.h"

#if defined(__x86_64__)
static void *held_collector_main(void *context) {
  tri_collect(context, TRI_MODE_FORCE_BLOCK);
  return NULL;
}

// Called by the entries below while their thread is blocked.
__attribute__((used, noinline)) void scenario_collect_beside(tri_heap *heap) {
  pthread_t collector;
  scenario_thread(&collector, held_collector_main, heap);
  pthread_join(collector, NULL);
}

// Blocks while the complement of `hidden` is in the register and in no other place, and answers `hidden` again from
// what the register holds afterwards. Not C, since no compiler promises to leave a value where it is, and a debug build
// would keep it on the stack.
typedef uintptr_t scenario_hold(tri_mutator *mutator, uintptr_t hidden, tri_heap *heap);
#define SCENARIO_HOLD(name, held)                                                                                      \
  scenario_hold name;                                                                                                  \
  __asm__(".text\n"                                                                                                    \
          ".p2align 4\n"                                                                                               \
          ".type " #name ", @function\n" #name ":\n"                                                                   \
          ".cfi_startproc\n"                                                                                           \
          "pushq %" held "\n"                                                                                          \
          "pushq %rdi\n"                                                                                               \
          "pushq %rdx\n"                                                                                               \
          ".cfi_adjust_cfa_offset 24\n"                                                                                \
          "movq %rsi, %" held "\n"                                                                                     \
          "notq %" held "\n"                                                                                           \
          "call tri_blocking_begin@PLT\n"                                                                              \
          "movq (%rsp), %rdi\n"                                                                                        \
          "call scenario_collect_beside@PLT\n"                                                                         \
          "movq 8(%rsp), %rdi\n"                                                                                       \
          "call tri_blocking_end@PLT\n"                                                                                \
          "movq %" held ", %rax\n"                                                                                     \
          "notq %rax\n"                                                                                                \
          "addq $16, %rsp\n"                                                                                           \
          "popq %" held "\n"                                                                                           \
          ".cfi_adjust_cfa_offset -24\n"                                                                               \
          "ret\n"                                                                                                      \
          ".cfi_endproc\n"                                                                                             \
          ".size " #name ", . - " #name "\n")

SCENARIO_HOLD(scenario_hold_in_rbx, "rbx");
SCENARIO_HOLD(scenario_hold_in_rbp, "rbp");
SCENARIO_HOLD(scenario_hold_in_r12, "r12");
SCENARIO_HOLD(scenario_hold_in_r13, "r13");
SCENARIO_HOLD(scenario_hold_in_r14, "r14");
SCENARIO_HOLD(scenario_hold_in_r15, "r15");

// Frames that see an address are gone when the thread blocks; what stays in others is its complement.
__attribute__((noinline)) static uintptr_t held_allocate(tri_mutator *mutator, tri_heap *heap) {
  return ~(uintptr_t)tri_alloc(mutator, tri_layout_leaf(heap), 64);
}

__attribute__((noinline)) static bool held_is_alive(tri_heap *heap, uintptr_t hidden) {
  return scenario_is_alive(heap, (void *)~hidden);
}

static void *held_main(void *context) {
  scenario_hold *const holds[] = {scenario_hold_in_rbx, scenario_hold_in_rbp, scenario_hold_in_r12,
                                  scenario_hold_in_r13, scenario_hold_in_r14, scenario_hold_in_r15};
  tri_heap *heap = context;
  tri_mutator *mutator = scenario_attach(heap, 0);
  // None of the objects below is the first of the heap: where the heap is mapped right behind this thread's stack, its
  // beginning is the stack's end, which the thread library keeps above the stack, and is taken for a reference.
  tri_handle_make(mutator, tri_alloc(mutator, tri_layout_leaf(heap), 64));
  // Held nowhere, it dies: otherwise what follows shows nothing.
  uintptr_t hidden = held_allocate(mutator, heap);
  scenario_hold_in_rbx(mutator, ~(uintptr_t)0, heap);
  scenario_expect(!held_is_alive(heap, hidden), "an object that nobody holds is kept");
  for (size_t index = 0; index < sizeof holds / sizeof *holds; index++) {
    hidden = holds[index](mutator, held_allocate(mutator, heap), heap);
    scenario_expect(held_is_alive(heap, hidden), "an object that a blocked thread held in a register is lost");
  }
  scenario_detach(mutator);
  return NULL;
}

bool scenario_blocked_registers_are_roots(void) {
  tri_heap *heap = scenario_heap();
  pthread_t thread; // a thread whose stack nobody else has written on
  scenario_thread(&thread, held_main, heap);
  pthread_join(thread, NULL);
  return tri_heap_destroy(heap) == TRI_OK;
}
#else
bool scenario_blocked_registers_are_roots(void) {
  return true;
}
#endif
