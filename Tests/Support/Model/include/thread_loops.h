// Threads: fork from a busy process, storms of short threads, fibers; each checked object by object. On failure they
// say what does not hold and abort. Fork and fiber loops want a process of their own.
#ifndef TRICOLOR_THREAD_LOOPS_H
#define TRICOLOR_THREAD_LOOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "tricolor_types.h"

typedef struct fork_options {
  uint64_t seed;
  uint32_t forks;
  uint32_t threads; ///< that allocate beside the one that forks
  uint32_t stress_interval;
  tri_barrier_policy barrier;
  tri_generations generations;
  bool checkmark, verify;
  bool conservative;
  bool refuse_memory; ///< the system refuses memory at some of the forks
} fork_options;

typedef struct fork_result {
  uint64_t children;      ///< each allocated, collected in every mode, attached threads and closed its heaps
  uint64_t during_cycles; ///< forks with a mark under way
  uint64_t during_sweeps; ///< forks with a sweep under way
  uint64_t fork_ns_total, fork_ns_max;
} fork_result;

/// Forks again and again while threads allocate, free, attach, detach, block and collect on two heaps.
fork_result fork_loop_run(fork_options options);

typedef struct storm_options {
  uint64_t seed;
  uint32_t threads; ///< that come and go, in all
  uint32_t at_once;
  uint32_t cycles; ///< at most so many background cycles beside them
  bool checked;
} storm_options;

typedef struct storm_result {
  uint64_t cycles, ns;
  uint64_t mutators;       ///< made by the heap: no more than were attached at once
  uint64_t metadata_bytes; ///< when all are gone
  uint64_t mappings_before, mappings_after;
} storm_result;

/// Short threads that attach, allocate, store into shared objects and end, half of them without detaching, beside
/// background cycles.
storm_result storm_run(storm_options options);
/// CPU nanoseconds of one step (allocate, store, drop, poll) when so many threads share `steps` of them.
double storm_step_ns(uint32_t threads, uint64_t steps);

typedef struct fiber_options {
  uint64_t seed;
  uint32_t fibers; ///< at any time
  uint32_t threads;
  uint32_t switches; ///< per thread
  uint32_t stress_interval;
  tri_barrier_policy barrier;
  tri_generations generations;
  bool checked;
} fiber_options;

typedef struct fiber_result {
  uint64_t switches, migrations, ended, cycles, checkmarks;
  uint64_t live_at_end; ///< objects after everything was dropped: what stale words keep
} fiber_result;

/// Fibers (makecontext) that go from thread to thread, each with a list that only its stack leads to.
fiber_result fiber_loop_run(fiber_options options);
/// Runs `body` on a fiber of its own of an attached heap, as one should, or as one should not: then the process ends.
typedef enum fiber_misuse {
  FIBER_USED_WELL,
  FIBER_SWITCHED_WITHOUT_TELLING, ///< to the fiber, which then polls
  FIBER_TOLD_WITHOUT_SWITCHING,   ///< and polls on the old stack
  FIBER_LEFT_FROM_ANOTHER_STACK,  ///< told twice, switched once
  FIBER_DETACHED_ON,
  FIBER_ENTERED_TWICE, ///< the fiber it runs on
  FIBER_ENTERED_FROM_TWO_THREADS,
  FIBER_REMOVED_WHILE_RUNNING,
  FIBER_OF_ANOTHER_HEAP,
  FIBER_OF_ANOTHER_THREADS_MUTATOR, ///< told with it
  FIBER_WITH_PRECISE_MUTATOR,
  FIBER_IN_BLOCKING_REGION,
  FIBER_EMPTY_STACK,
} fiber_misuse;
void fiber_misuse_run(fiber_misuse misuse);

#endif
