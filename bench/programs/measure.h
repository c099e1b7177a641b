// Timing of one measurement, and the one line of JSON a workload program prints about it.
//
// Every line has: workload, contender, variant, cpu_ns (all threads of the process), wall_ns, peak_rss_bytes
// (VmHWM of the whole process), operations, cycles, check, allocator (the file malloc comes from), and what
// the workload adds. Include it first: it asks the system headers for dladdr().
//
//   struct measure m = measure_begin();  ...the work...  measure_end(&m);
//   report_open("pairs", "leaf 64 B");
//   report_u64("bytes", 64);                    // any number of further fields
//   report_close(&m, operations, check);        // ends the line; before mem_finish()
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "memory.h"

#include <dlfcn.h>
#include <string.h>
#include <time.h>

struct measure {
  uint64_t cpu_ns, wall_ns, cycles;
};

static inline uint64_t clock_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline struct measure measure_now(void) {
  return (struct measure){clock_ns(CLOCK_PROCESS_CPUTIME_ID), clock_ns(CLOCK_MONOTONIC), mem_cycles()};
}
static inline struct measure measure_begin(void) {
  return measure_now();
}
/// From here on *m holds durations.
static inline void measure_end(struct measure *m) {
  struct measure now = measure_now();
  *m = (struct measure){now.cpu_ns - m->cpu_ns, now.wall_ns - m->wall_ns, now.cycles - m->cycles};
}

/// The largest resident size this process ever had, 0 if the system does not say.
static inline uint64_t peak_rss_bytes(void) {
  FILE *status = fopen("/proc/self/status", "r");
  if (!status) return 0;
  char line[256];
  unsigned long long kib = 0;
  while (fgets(line, sizeof line, status))
    if (sscanf(line, "VmHWM: %llu kB", &kib) == 1) break;
  fclose(status);
  return kib * 1024;
}

/// The file that malloc really comes from: proves that a preloaded allocator is in use.
static inline const char *allocator_file(void) {
  Dl_info info;
  void *function = dlsym(RTLD_DEFAULT, "malloc");
  return function && dladdr(function, &info) && info.dli_fname ? info.dli_fname : "unknown";
}

static inline void report_open(const char *workload, const char *variant) {
  printf("{\"workload\":\"%s\",\"contender\":\"%s\",\"variant\":\"%s\"", workload, mem_name(), variant);
}
static inline void report_u64(const char *field, uint64_t value) {
  printf(",\"%s\":%llu", field, (unsigned long long)value);
}
static inline void report_text(const char *field, const char *value) {
  printf(",\"%s\":\"%s\"", field, value);
}
static inline void report_close(const struct measure *m, uint64_t operations, uint64_t check) {
  report_u64("cpu_ns", m->cpu_ns);
  report_u64("wall_ns", m->wall_ns);
  report_u64("operations", operations);
  report_u64("cycles", m->cycles);
  report_u64("check", check);
  report_u64("peak_rss_bytes", peak_rss_bytes());
  report_text("allocator", allocator_file());
  mem_write_statistics(stdout);
  printf("}\n");
  fflush(stdout);
}

/// A small random generator (splitmix64): the same sequence for every contender.
struct random {
  uint64_t state;
};
static inline uint64_t random_next(struct random *r) {
  uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}
/// Uniform enough for a benchmark: below `bound`, which is under 2^32.
static inline uint32_t random_below(struct random *r, uint32_t bound) {
  return (uint32_t)(((random_next(r) >> 32) * bound) >> 32);
}

#endif
