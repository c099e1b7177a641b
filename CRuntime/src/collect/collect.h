// Collect: the collector's state, shared by marking, barrier and sweep. The floor's aggregate.
//
// Not here    mutators and stopping (mutator/), the order of a cycle (heap/cycle.h and the Swift Collector).
#ifndef TRI_COLLECT_COLLECT_H
#define TRI_COLLECT_COLLECT_H

#include "collect/grey_queue.h"
#include "collect/phase.h"
#include "collect/ties.h"
#include "span/object.h"

/// What of a unit is swept at once: its spans of slots, or its large objects.
typedef enum tri_sweep_part { TRI_SWEEP_SMALL, TRI_SWEEP_LARGE, TRI_SWEEP_PARTS } tri_sweep_part;

typedef struct tri_sweep_state {
  // [atomic] generation in the upper half, next unit in the lower
  uint64_t cursors[TRI_SWEEP_PARTS];
  uint32_t limit;           // [stw] snapshot of the span table (S12)
  uint32_t generation;      // [stw] what swept spans get
  uint32_t finished_parts;  // [atomic] parts of units swept to the end
  uint32_t units;           // [stw]
  uint32_t running;         // [atomic] 1 from the stop until the last unit is done
  bool keeps_empty_spans;   // [stw] classes keep some of the spans that are empty now
  uint64_t live_bytes;      // [atomic] found so far
  uint64_t live_objects;    // [atomic]
  uint64_t allocated_bytes; // [stw] net, since the last cycle
  uint64_t started_ns;      // [stw]
  uint64_t cpu_ns;          // [atomic]
} tri_sweep_state;

/// Values of tri_collect.shared (mutator/lone.h).
enum {
  TRI_SHARED_NOT = 0,       // one mutator at most
  TRI_SHARED_BY_GROUPS = 1, // others too: what each may write without locks are its own groups
  TRI_SHARED_WHOLLY = 2,    // nothing is written without locks: the system has no barrier for that, or stress is on
};

typedef struct tri_collect {
  tri_spans spans;
  union {
    uint64_t unquiet; // [atomic read] all of these at once: 0 for a lone mutator between cycles (mutator/lone.h)
    struct {
      tri_phase phase; // [stw, or the world lock; atomic read]
      // [lock:world; atomic read] TRI_SHARED_...: more than one mutator, or was when last counted
      uint16_t shared;
      // Between cycles M is the old set, and stores into old objects are logged (remember.h). [stw; atomic read]
      uint16_t marks_kept;
    };
  };
  tri_grey_queue grey;
  // [atomic] Heap committed when every mutator had acknowledged the barrier (S12): what lies beyond is all black.
  // 0 while nothing may be marked.
  uint64_t mark_limit_bytes;
  uint64_t marked_objects; // [atomic] by finished markers of this cycle
  uint64_t mark_cpu_ns;    // [atomic] this cycle
  // [atomic] Short pieces of work are measured in CPU time, too, a system call each: a limit asks what collecting
  // costs. Else by the clock on the wall, which is the same but where threads wait for a processor.
  uint32_t counts_cpu;
  // Both of them: garbage may be scanned that refers to what was freed explicitly, so nothing is marked that A does not
  // have (mark.h). Never cleared.
  uint32_t frees_seen;        // [atomic] something was freed explicitly
  uint32_t keeps_seen;        // [atomic] garbage may be kept: by an ambiguous word, or because it is old
  uint32_t minor;             // [cycle, phase off; atomic read] the cycle that marks, or marked last, is a minor one
  uint64_t logged_stores;     // [atomic] that took the slow path to look at an old object, since the last cycle
  tri_grey_chunk *remembered; // [lock:grey] full ones, and those of threads that are gone
  tri_sweep_state sweep;
  // Results of the last sweep that finished, and totals. [lock:sweep; atomic read]
  uint64_t live_bytes, live_objects, freed_bytes_last, freed_bytes_total, sweep_ns_last, sweep_ns_total;
  uint64_t allocated_total_bytes;  // [atomic]
  int64_t allocated_since_bytes;   // [atomic] since the last cycle; explicit frees count against it
  uint64_t explicitly_freed_bytes; // [lock:world] by mutators that are gone
  uint32_t sweepers;               // [atomic] threads that are at a unit, or about to claim one
  uint32_t sweep_closed;           // [lock:sweep; atomic read] nobody begins a unit: a fork is under way
  tri_lock sweep_lock;
  pthread_cond_t sweep_done;
  // Called once per sweep, by whoever swept the last unit, before the sweep counts as over. [const]
  void (*sweep_finished)(struct tri_collect *collect);
  tri_ties ties;
} tri_collect;

tri_status tri_collect_init(tri_collect *collect, uint64_t reservation_bytes, uint32_t huge_pages);
void tri_collect_destroy(tri_collect *collect);

static inline bool tri_collect_doubts(const tri_collect *collect) {
  return tri_load_relaxed(&collect->frees_seen) && tri_load_relaxed(&collect->keeps_seen);
}
static inline void tri_collect_note(uint32_t *seen) {
  if (!tri_load_relaxed(seen)) tri_store_relaxed(seen, 1u);
}

static inline const uint64_t *tri_collect_marks(const tri_collect *collect) {
  return collect->spans.space.bits.marked;
}

#endif
