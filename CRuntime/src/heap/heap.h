// Heap: owns the floors below; creation and destruction in opposite orders, helper threads, records of cycles.
#ifndef TRI_HEAP_HEAP_H
#define TRI_HEAP_HEAP_H

#include <pthread.h>

#include "collect/sweep.h"
#include "heap/limits.h"
#include "mutator/fiber.h"
#include "mutator/scan.h"
#include "mutator/world.h"
#include "space/scavenge.h"
#include "tricolor_runtime.h"

/// What the cycle under way, or the last one, did. [cycle lock; atomic read]
typedef struct tri_cycle_record {
  tri_mode mode;
  bool inline_mutator;                                  // an attached thread runs it
  bool minor;                                           // what was old at its start is not marked again
  uint64_t start_ns, mark_ns, termination_ns, sweep_ns; // moments, monotonic
  uint64_t pause_ns_longest, pause_ns_sum;
  tri_stop longest_stop;
  uint64_t marked_objects;
  uint64_t counted_mark_ns; // of mark_cpu_ns, in the heap's total already
  int64_t allocated_before_marking_bytes;
} tri_cycle_record;

enum { TRI_HELPERS_MAX = 63 };

typedef struct tri_helpers {
  tri_lock lock; // rank sweep: never taken with lower ones missing
  pthread_cond_t wake, done;
  uint32_t in_stop, beside_mutators; // [const] helpers wanted besides the thread that collects
  uint32_t rests_of_cpus;            // [const] the collector thread rests where mutators want so many; 0: never
  uint64_t worth_objects;            // [const] marked alone before helpers are woken
  uint32_t started;                  // [lock]
  uint32_t invited;                  // [lock] to the job under way: those with a lower index
  uint32_t job;                      // [lock] goes up when there is work
  uint32_t busy;                     // [lock]
  bool quit;                         // [lock]
  pthread_t threads[TRI_HELPERS_MAX];
  tri_marker markers[TRI_HELPERS_MAX];
} tri_helpers;

typedef struct tri_collector_thread {
  tri_lock lock;
  pthread_cond_t wake;
  pthread_t thread;
  bool started, quit;              // [lock]
  bool cycle_wanted, sweep_wanted; // [lock]
  uint64_t tick_at_ns;             // [lock] when tri_heap_tick() is to be called; TRI_NEVER_NS: not by itself
} tri_collector_thread;
#define TRI_NEVER_NS UINT64_MAX

/// Giving memory back by the clock. [collector thread, except where it says]
typedef struct tri_scavenger {
  tri_scavenge pass; // over the chunks, the one under way
  bool in_pass;
  uint64_t next_ns;            // when it goes on
  uint64_t window_began_ns;    // how much was handed out is counted from here ...
  uint64_t window_taken_pages; // ... on
  uint64_t last_window_pages;  // handed out in the window before
  uint64_t ticks;              // [atomic read] looks that found something planned
  uint64_t cpu_ns;             // [atomic read] spent, ever
} tri_scavenger;
/// Runs cleanups (heap/cleanups.c).
typedef struct tri_cleanup_thread {
  tri_lock lock;
  pthread_cond_t wake;
  pthread_t thread;
  uintptr_t token; // [lock] of the thread
  bool started;    // [lock]
  bool wanted;     // [lock] cleanups are due that it has not looked for
  bool quit;       // [lock; atomic read]
} tri_cleanup_thread;

struct tri_heap {
  tri_world world;            // first
  tri_options options;        // [const]
  tri_front front;            // [const]
  struct tri_heap *next_heap; // [lock:fork] all heaps of the process (heap/fork.h)
  tri_lock cycle_lock;
  uint64_t cache_bytes;   // [const] of a core, level 2
  uintptr_t cycle_owner;  // [atomic] token of the thread that holds the cycle lock
  uint32_t cycle_running; // [atomic] from begin to the sweep's start
  tri_cycle_record cycle;
  tri_marker marker; // [cycle lock] the collecting thread's
  bool marker_ready;
  tri_collector_thread collector;
  tri_cleanup_thread cleanups;
  // Totals. [cycle lock; atomic read]
  uint64_t cycles, cycles_forced, cycles_minor;
  uint64_t pause_ns_max, pause_ns_total, mark_ns_total;
  uint64_t checkmarks, checkmark_conservative_misses;
  uint64_t marked_objects_at_last_cycle, mark_ns_at_last_cycle, termination_ns_at_last_cycle, start_ns_at_last_cycle,
      pause_ns_at_last_cycle;
  uint64_t goal_bytes; // [atomic]
  tri_limits limits;
  tri_periodic periodic;
  uint64_t marked_cpu_ns; // [atomic] by every mark that ended, all workers but assists
  // What the pacer reads when the sweep of a cycle ends, on any thread. [atomic]
  uint64_t last_allocated_while_marking_bytes, last_mark_cpu_ns, last_marked_objects;
  uint64_t last_logged_stores, last_mark_wall_ns;
  uint32_t last_was_minor;
  struct tri_hook *hooks; // [hooks_lock]
  size_t hook_count, hook_capacity;
  uint64_t hook_numbers;
  tri_lock hooks_lock;
  tri_scavenger scavenger;
  tri_helpers helpers; // last: what helpers need fills pages that a heap without them never touches
};

/// Marks until nothing is grey, with helpers if there is enough for them. The world is stopped.
void tri_helpers_mark_in_stop(tri_heap *heap);
/// The same in phase mark, with the share of the CPUs that marking beside mutators may take.
void tri_helpers_mark_beside_mutators(tri_heap *heap);
bool tri_helpers_init(tri_heap *heap);
void tri_helpers_destroy(tri_heap *heap);
void tri_cleanups_init(tri_heap *heap);
/// The heap is to be closed: ends the cleanup thread. False if mutators are attached; then it goes on.
bool tri_cleanups_close(tri_heap *heap);
/// Runs the cleanups of all objects, dead or alive, while the heap is still whole: they may use it. Ends all weak
/// references.
void tri_cleanups_run_all(tri_heap *heap);
void tri_cleanups_destroy(tri_heap *heap);
void tri_collector_thread_init(tri_heap *heap);
void tri_collector_thread_destroy(tri_heap *heap);
/// Wakes the collector thread, starting it if need be; false when no thread can be had.
bool tri_collector_thread_request(tri_heap *heap, bool cycle, bool sweep);
/// Has the collector thread call tri_heap_tick() at that moment (monotonic) or before, starting it if need be; false
/// when no thread can be had.
bool tri_collector_thread_tick_at(tri_heap *heap, uint64_t when_ns);
/// In a forked child, which has one thread (heap/fork.h): puts away what belonged to the others.
void tri_heap_after_fork_in_child(tri_heap *heap);
/// Nothing is old any more, in the middle of a cycle that is given up. Phase off, nothing left to sweep.
void tri_cycle_forget_marks(tri_heap *heap);
/// What the collector thread does by the clock, in heap/tick.c. Whoever wants to be called again asks for it.
void tri_heap_tick(tri_heap *heap, uint64_t now_ns);

// heap/scavenge.c
void tri_scavenger_init(tri_heap *heap);
/// From here on nothing is asked of the collector thread, which may end.
void tri_scavenger_end(tri_heap *heap);
void tri_scavenger_tick(tri_heap *heap, uint64_t now_ns);
/// A cycle is over: its buffers may be worth giving back.
void tri_scavenger_note_cycle(tri_heap *heap);

#endif
