// Threads: stack bounds, registers, clock, processor count.
#ifndef TRI_OS_THREAD_H
#define TRI_OS_THREAD_H

#include "base/config.h"

typedef struct tri_stack_bounds {
  uintptr_t low, high;
} tri_stack_bounds;

/// The calling thread's native stack; false when the system does not tell. Cheap from the second time on.
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
/// CPU time of the process, all threads.
uint64_t tri_process_cpu_ns(void);
void tri_thread_sleep(uint64_t ns);
/// The CPU that the calling thread runs on, + 1; 0 if the system does not tell. 4 ns.
uint32_t tri_thread_cpu(void);
/// Goes on on the next CPU that the calling thread may use, if there is another one. Some 10 us.
void tri_thread_change_cpu(void);
/// Lets another thread have the processor.
void tri_thread_yield(void);
/// Bytes of a core's level 2 cache; 0 if unknown.
uint64_t tri_cache_bytes(void);
/// CPUs this process may use: those it may run on, or its container's quota, rounded up, if that is less. At least 1.
uint32_t tri_cpu_count(void);

enum { TRI_REGISTER_COUNT = 6 };
/// The callee-saved registers of a caller, as the entries of os/entry_x86_64.c find them.
typedef struct tri_registers {
  uintptr_t words[TRI_REGISTER_COUNT];
} tri_registers;
/// The caller's stack above the registers and the return address.
static inline uintptr_t tri_registers_stack_pointer(const tri_registers *saved) {
  return (uintptr_t)(saved + 1) + sizeof(uintptr_t);
}

/// Calls the function with the address above which everything of this thread is live, after
/// spilling registers above it.
void tri_thread_with_stack(void (*function)(void *context, uintptr_t stack_pointer), void *context);

/// Starts a detached-from-nothing helper thread with all signals blocked. false when refused.
bool tri_thread_start(void *(*function)(void *), void *context, void *out_pthread);
void tri_thread_join(void *pthread_slot);

/// Every other running thread of this process executes a full memory barrier before this returns: the expensive half of
/// a protocol whose other half is plain loads and stores. False where the system does not offer it. 1 to 3 us.
bool tri_process_barrier(void);
/// In a forked child: asks for it again.
void tri_process_barrier_after_fork(void);

#endif
