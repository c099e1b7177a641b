// World: every mutator that is attached to a heap, and what they share.
//
// Invariants  the list changes only under the world lock and never while the world is stopped, but in a forked child.
// Callers     every unit of this floor and the next; the fields say who touches them.
// Not here    how mutators come and go (attach.h), where a mutator lets the collector in (safepoint.h), meeting
//             them one by one (handshake.h) or all at once (stopping.h).
#ifndef TRI_MUTATOR_WORLD_H
#define TRI_MUTATOR_WORLD_H

#include "mutator/mutator.h"
#include "mutator/roots.h"
#include "mutator/stops.h"
#include "tricolor_runtime.h"

// none -> asked -> taken -> none, when a cycle begins. While a request is taken nobody asks again: whoever took it may
// have to wait for its turn.
typedef enum tri_cycle_wish { TRI_CYCLE_WISH_NONE, TRI_CYCLE_WISH_ASKED, TRI_CYCLE_WISH_TAKEN } tri_cycle_wish;

typedef struct tri_world {
  tri_collect collect; // first: the floors below see the heap as this
  tri_roots roots;
  tri_lock lock;
  pthread_cond_t arrived;     // a mutator parked, blocked, or finished its handshake
  pthread_cond_t resumed;     // the world was started again, or a mutator was let go
  pthread_cond_t cycle_over;  // for those that wait at a limit (heap/trigger.c)
  tri_mutator_full *mutators; // [lock]
  uint32_t mutator_count;     // [lock; atomic read]
  tri_mutator_full *retired;  // [lock] linked by next
  tri_lock fibers_lock;
  struct tri_fiber *fibers; // [lock:fibers] fiber.h
  uint64_t scan_epoch;      // [stw, or the start of marking; atomic read] stacks of fibers scanned before it are grey
  tri_mutator_full **numbered; // [atomic] every mutator this heap ever made, by number - 1; TRI_MUTATOR_NUMBERS of them
  uint32_t numbers;            // [lock] given so far
  bool can_be_lone;            // [const]
  bool stopping;               // [lock] a stop is wanted or in force
  bool stopped;                // [lock] and complete
  bool forking;                // [lock] it is a fork that wants the stop, not a cycle
  tri_mutator_full *stopper;   // [stw] the mutator of the thread that stopped the world, if it has one
  uint32_t awaited;            // [lock; atomic read] mutators that the stop which is wanted has to wait for
  uint32_t stops_asleep;       // [stw] stops to come that are slept through from their beginning,
  uint32_t stops_disturbed;    // [stw] of so many, as somebody else took the processor in the last that was not; or 0
  uint32_t still;              // [lock] that it found standing still, and looked at
  tri_mutator_full *unsettled; // [stw] those of them that were not settled, and the stopper: linked by next_unsettled
  uint64_t marking_ends;       // [stw] times that marking came to its end: what mutators follow (tri_mutator_follow)
  uintptr_t stopper_token;     // [stw]
  tri_stops stops;
  tri_barrier_policy policy; // [const]
  // [stw] Of this cycle: stores shade the new value only, and the final stop scans stacks and roots again. By policy,
  // or while plain roots exist.
  bool dijkstra;
  bool blackening;          // [lock] every barrier is on: what is allocated from here on is black
  bool crowded;             // [lock] mutators are asked to step aside, and none has (placement.h)
  uint64_t limit_bytes;     // [atomic] of heap pages: the hard limit without external bytes; 0: none
  uint64_t assist_ns_max;   // [const]
  uint32_t stress_interval; // [const]

  // Set by the pacer after each cycle. [atomic]
  int64_t trigger_bytes;           // allocation since the last cycle that starts the next; INT64_MAX: never
  int64_t urgent_bytes;            // allocation at which a cycle that has not begun is begun by whoever allocates
  int64_t hold_bytes;              // allocation at which threads wait for the cycle to end; INT64_MAX: no limit
  int64_t account_bytes;           // what a mutator allocates before it adds that to the shared counters
  uint32_t inline_cycles;          // the triggering thread runs the cycle itself when it is the only mutator
  uint32_t next_is_minor;          // if what triggers the next cycle is allocation
  uint32_t keep_marks;             // the next cycle ends with marks kept, so that the one after it can be minor
  uint32_t assist_objects_per_mib; // marking an allocating thread owes for each MiB while marking; 0: none
  int64_t assist_loan_objects;     // what the pool of credit begins with
  uint32_t cycle_wanted;           // [atomic] a tri_cycle_wish; a background cycle was asked for and has not begun

  // What the floor above provides; called by allocation slow paths with no lock held.
  void (*start_cycle)(struct tri_world *world, tri_mutator_full *mutator);
  void (*collect_for_memory)(struct tri_world *world, tri_mutator_full *mutator);
  // Between the two no cycle is under way. Whether a cycle of this thread's own was already, which then stays.
  bool (*exclude_cycles)(struct tri_world *world);
  void (*allow_cycles)(struct tri_world *world);
  // What the hard limit refused, after collect_for_memory.
  void (*limit_reached)(struct tri_world *world);
  void (*external_bytes_add)(struct tri_world *world, int64_t delta);
  // When `asleep`: the clockwork of the heap stopped because nothing was allocated.
  void (*allocation_resumed)(struct tri_world *world);
  uint32_t asleep;             // [atomic]
  int64_t assist_pool_objects; // [atomic] marked by the collector and not yet claimed by assists
  uint64_t assist_ns_total;    // [atomic]
  uint64_t assist_ns_longest;  // [atomic]
} tri_world;

enum {
  TRI_MUTATOR_NUMBERS = INT16_MAX,
  /// In the owner of a group's first word: a window may hold the group, so slots of it may wait there. It is taken back
  /// when the window goes on, so that frees by others do not look at a window that its owner is allocating from.
  TRI_OWNER_LOADED = 1 << 15,
};

/// The number in an entry of group_owners.
static inline uint16_t tri_owner_number(uint16_t owner) {
  return owner & TRI_MUTATOR_NUMBERS;
}

static inline tri_world *tri_world_of_heap(tri_heap *heap) {
  return (tri_world *)(void *)heap;
}

tri_status tri_world_init(tri_world *world, const tri_options *options);
void tri_world_destroy(tri_world *world);

#endif
