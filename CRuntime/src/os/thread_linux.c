#if defined(__linux__)
#include "os/thread.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/cgroup.h"

__thread char tri_thread_token_byte;

// What the system library told this thread last, and the limit of stacks it told it under. Initial-exec: no call in a
// shared library either.
static __thread struct {
  tri_stack_bounds bounds;
  rlim_t limit_bytes;
} tri_thread_stack __attribute__((tls_model("initial-exec")));

// Where the main thread's stack began, as the GNU C library knows it; NULL in others.
extern void *__libc_stack_end __attribute__((weak));

// Above that the kernel put arguments and environment, kilobytes of text in which no frame ever keeps a reference.
static void tri_thread_leave_out_environment(tri_stack_bounds *bounds) {
  if (!&__libc_stack_end) return;
  uintptr_t end = (uintptr_t)__libc_stack_end;
  if (end > bounds->low && end < bounds->high) bounds->high = end;
}

static bool tri_thread_stack_bounds_ask(tri_stack_bounds *out) {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return false;
  void *low = NULL;
  size_t bytes = 0;
  int error = pthread_attr_getstack(&attributes, &low, &bytes);
  pthread_attr_destroy(&attributes);
  if (error != 0) return false;
  out->low = (uintptr_t)low;
  out->high = (uintptr_t)low + bytes;
  tri_thread_leave_out_environment(out);
  return true;
}

// For the main thread the system library reads /proc/self/maps, which takes as long as the process has mappings. Its
// stack ends where the limit says, so the answer holds while that stays; without a limit it ends at the nearest
// mapping, which may be new. Other threads' stacks neither move nor grow, and a forked child runs on what its parent
// copied.
bool tri_thread_stack_bounds(tri_stack_bounds *out) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) != 0) return tri_thread_stack_bounds_ask(out);
  bool known =
      tri_thread_stack.bounds.high && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur == tri_thread_stack.limit_bytes;
  if (!known) {
    if (!tri_thread_stack_bounds_ask(&tri_thread_stack.bounds)) return false;
    tri_thread_stack.limit_bytes = limit.rlim_cur;
  }
  *out = tri_thread_stack.bounds;
  return true;
}

uint64_t tri_thread_id(void) {
  return (uint64_t)syscall(SYS_gettid);
}

static uint64_t tri_clock_read(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
uint64_t tri_clock_ns(void) {
  return tri_clock_read(CLOCK_MONOTONIC);
}
uint64_t tri_thread_cpu_ns(void) {
  return tri_clock_read(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t tri_process_cpu_ns(void) {
  return tri_clock_read(CLOCK_PROCESS_CPUTIME_ID);
}

void tri_thread_sleep(uint64_t ns) {
  struct timespec time = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
  nanosleep(&time, NULL);
}

void tri_thread_yield(void) {
  sched_yield();
}

uint64_t tri_cache_bytes(void) {
  long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? (uint64_t)bytes : 0;
}

uint32_t tri_thread_cpu(void) {
  int cpu = sched_getcpu();
  return cpu < 0 ? 0 : (uint32_t)cpu + 1;
}

void tri_thread_change_cpu(void) {
  cpu_set_t all, next;
  int now = sched_getcpu();
  // On a machine with more CPUs than the set has bits there is no need.
  if (now < 0 || sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) < 2) return;
  size_t cpu = (size_t)now;
  do cpu = (cpu + 1) % CPU_SETSIZE;
  while (!CPU_ISSET(cpu, &all));
  CPU_ZERO(&next);
  CPU_SET(cpu, &next);
  if (sched_setaffinity(0, sizeof next, &next) == 0) sched_setaffinity(0, sizeof all, &all);
}

uint32_t tri_cpu_count(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int count = CPU_COUNT(&set);
  uint32_t cpus = count > 0 ? (uint32_t)count : 1;
  uint64_t quota = (tri_cgroup_read(TRI_CGROUP_AGE_NS).cpu_permille + 999) / 1000;
  return quota && quota < cpus ? (uint32_t)quota : cpus;
}

__attribute__((noinline)) static void tri_thread_call_below(void (*function)(void *, uintptr_t), void *context) {
  // This frame lies below the one that spilled the registers: scanning from here sees them.
  function(context, (uintptr_t)__builtin_frame_address(0));
  __asm__ volatile("" ::: "memory"); // no tail call: this frame must exist
}

__attribute__((noinline)) void tri_thread_with_stack(void (*function)(void *, uintptr_t), void *context) {
  __builtin_unwind_init();
  tri_thread_call_below(function, context);
  __asm__ volatile("" ::: "memory");
}

bool tri_thread_start(void *(*function)(void *), void *context, void *out_pthread) {
  // A helper must not run the embedder's signal handlers: they may use thread-locals it does not have.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create((pthread_t *)out_pthread, NULL, function, context);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error == 0;
}

void tri_thread_join(void *pthread_slot) {
  pthread_join(*(pthread_t *)pthread_slot, NULL);
}
#endif

static pthread_once_t tri_process_barrier_once = PTHREAD_ONCE_INIT;
static bool tri_process_barrier_is_offered;

static void tri_process_barrier_register(void) {
  tri_process_barrier_is_offered = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool tri_process_barrier(void) {
  pthread_once(&tri_process_barrier_once, tri_process_barrier_register);
  return tri_process_barrier_is_offered && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void tri_process_barrier_after_fork(void) {
  if (tri_process_barrier_is_offered) tri_process_barrier_register();
}
