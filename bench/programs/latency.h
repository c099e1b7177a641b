// How long operations took: a histogram for the distribution, and the worst of every 50 ms for the timeline.
//
// The histogram counts nanoseconds in steps that grow with the value: one each below 64, then 64 to every power of two,
// so that a bucket is at most 1.6 % wide. It is printed as text that the driver adds up and reads percentiles from
// (Sources/bench/Latency.swift); go/latency.go, java/Latency.java and swift/ count the same way.
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include "measure.h"

enum { LATENCY_STEPS = 64, LATENCY_STEP_BITS = 6, LATENCY_BITS = 42 };
enum { LATENCY_BUCKETS = (LATENCY_BITS - LATENCY_STEP_BITS + 1) * LATENCY_STEPS };
/// Windows of the timeline; what comes later counts in the last.
enum { LATENCY_WINDOW_NS = 50000000, LATENCY_WINDOWS = 4096 };

struct latency {
  uint64_t count[LATENCY_BUCKETS];
  uint64_t window_max[LATENCY_WINDOWS];
  uint64_t max, operations;
};

static inline uint32_t latency_bucket(uint64_t ns) {
  if (ns < LATENCY_STEPS) return (uint32_t)ns;
  if (ns >> LATENCY_BITS) return LATENCY_BUCKETS - 1;
  uint32_t shift = 63 - LATENCY_STEP_BITS - (uint32_t)__builtin_clzll(ns);
  return (shift + 1) * LATENCY_STEPS + (uint32_t)(ns >> shift) - LATENCY_STEPS;
}

/// An operation took `ns` and ended `at_ns` after the beginning.
static inline void latency_record(struct latency *latency, uint64_t ns, uint64_t at_ns) {
  uint64_t window = at_ns / LATENCY_WINDOW_NS;
  if (window >= LATENCY_WINDOWS) window = LATENCY_WINDOWS - 1;
  latency->count[latency_bucket(ns)]++;
  latency->operations++;
  if (ns > latency->window_max[window]) latency->window_max[window] = ns;
  if (ns > latency->max) latency->max = ns;
}

static inline void latency_add(struct latency *sum, const struct latency *more) {
  for (int i = 0; i < LATENCY_BUCKETS; i++) sum->count[i] += more->count[i];
  for (int i = 0; i < LATENCY_WINDOWS; i++)
    if (more->window_max[i] > sum->window_max[i]) sum->window_max[i] = more->window_max[i];
  if (more->max > sum->max) sum->max = more->max;
  sum->operations += more->operations;
}

/// latency_max_ns; latency_histogram: "bucket:count,..." of those that are not empty; latency_windows_us: the worst of
/// each.
static inline void latency_report(const struct latency *latency) {
  report_u64("latency_max_ns", latency->max);
  printf(",\"latency_histogram\":\"");
  const char *separator = "";
  for (int i = 0; i < LATENCY_BUCKETS; i++) {
    if (latency->count[i] == 0) continue;
    printf("%s%d:%llu", separator, i, (unsigned long long)latency->count[i]);
    separator = ",";
  }
  int last = LATENCY_WINDOWS;
  while (last > 0 && latency->window_max[last - 1] == 0) last--;
  printf("\",\"latency_windows_us\":\"");
  for (int i = 0; i < last; i++) printf("%s%llu", i ? "," : "", (unsigned long long)(latency->window_max[i] / 1000));
  printf("\"");
}

#endif
