// Threads: stack bounds, registers, clock, processor count.
#ifndef TRI_OS_THREAD_H
#define TRI_OS_THREAD_H

#include "base/config.h"

typedef struct tri_stack_bounds {
  uintptr_t low, high;
} tri_stack_bounds;

/// The calling thread's native stack; false when the system does not tell.
bool tri_thread_stack_bounds(tri_stack_bounds *out);
/// The kernel's number of the calling thread, for messages.
uint64_t tri_thread_id(void);
/// An address that no other living thread answers: a cheap identity. Initial-exec, so that it costs no call
/// in a shared library either.
extern __thread char tri_thread_token_byte __attribute__((tls_model("initial-exec")));
static inline uintptr_t tri_thread_token(void) {
  return (uintptr_t)&tri_thread_token_byte;
}
/// Monotonic time.
uint64_t tri_clock_ns(void);
/// CPU time of the calling thread.
uint64_t tri_thread_cpu_ns(void);
/// Lets another thread have the processor.
void tri_thread_yield(void);
/// Bytes of a core's level 2 cache; 0 if unknown.
uint64_t tri_cache_bytes(void);
/// CPUs this process may run on, at least 1.
uint32_t tri_cpu_count(void);

enum { TRI_REGISTER_COUNT = 8 };
/// Callee-saved registers, for a frame that stays while its thread counts as stopped.
typedef struct tri_registers {
  uintptr_t words[TRI_REGISTER_COUNT];
} tri_registers;
__attribute__((always_inline)) static inline void tri_registers_save(tri_registers *registers) {
#if defined(__x86_64__)
  __asm__ volatile("movq %%rbx, 0(%0)\n\tmovq %%rbp, 8(%0)\n\tmovq %%r12, 16(%0)\n\tmovq %%r13, 24(%0)\n\t"
                   "movq %%r14, 32(%0)\n\tmovq %%r15, 40(%0)"
                   :
                   : "r"(registers->words)
                   : "memory");
#else
  // Elsewhere the caller's frame holds them: everything callee-saved is spilled into it.
  __builtin_unwind_init();
  registers->words[0] = 0;
#endif
}

/// Calls the function with the address above which everything of this thread is live, after
/// spilling registers above it.
void tri_thread_with_stack(void (*function)(void *context, uintptr_t stack_pointer), void *context);

/// Starts a detached-from-nothing helper thread with all signals blocked. false when refused.
bool tri_thread_start(void *(*function)(void *), void *context, void *out_pthread);
void tri_thread_join(void *pthread_slot);

#endif
