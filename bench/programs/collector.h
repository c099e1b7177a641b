// What a collector says about itself, for workloads that show how its costs grow. Contenders that say nothing
// answer zeros.
#ifndef BENCH_COLLECTOR_H
#define BENCH_COLLECTOR_H

#include "memory.h"

struct collector_view {
  uint64_t cycles;
  uint64_t stop_ns;                   ///< the longest stop of the last cycle
  uint64_t mark_cpu_ns, sweep_cpu_ns; ///< so far
  uint64_t held_bytes;                ///< what a sweep has to look through: alive at the last one, or newer
  uint64_t live_bytes, metadata_bytes;
};

#if MEMORY_TRICOLOR || MEMORY_TRICOLOR_FREE

static inline struct collector_view collector_look(void) {
  tri_statistics s = mem_statistics();
  return (struct collector_view){
      .cycles = s.cycles,
      .stop_ns = s.pause_ns_at_last_cycle,
      .mark_cpu_ns = s.mark_ns_total,
      .sweep_cpu_ns = s.sweep_ns_total,
      .held_bytes = s.live_bytes + s.allocated_since_cycle_bytes,
      .live_bytes = s.live_bytes,
      .metadata_bytes = s.metadata_bytes,
  };
}

#else

static inline struct collector_view collector_look(void) {
  return (struct collector_view){0};
}

#endif

#endif
