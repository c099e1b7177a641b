// Sweep: after the swap, count what the marks left alive, classify spans, clear the old map (or, where marks are kept
// for a minor cycle, leave in it what is alive: remember.h).
//
// Linear over the span table, in units that any thread may claim: the collector right after the stop, allocating
// threads when their class has nothing left, forceBlock and the next cycle to the end (S3, S15). Objects
// themselves are touched only where a layout has a destroy callback.
//
// Invariants  a span is swept exactly once per generation, by whoever claimed its unit; a swept span's words of the
//             old map are zero, or a part of what is alive; a span whose class has a destroy callback is not refilled
//             before its dead slots were destroyed, because only swept spans are on lists; nor one with ties before
//             those of its dead objects ended (ties.h).
// Callers     phase off only (S8). The stop: tri_sweep_begin().
#ifndef TRI_COLLECT_SWEEP_H
#define TRI_COLLECT_SWEEP_H

#include "collect/collect.h"

/// Span indices per unit: 8 MiB of heap. Larger means fewer atomics, smaller lets more threads help.
enum { TRI_SWEEP_UNIT_SPANS = 256 };
/// Empty spans a class keeps for its next allocations: 1 MiB for most classes, what a cache holds.
enum { TRI_SWEEP_EMPTY_SPANS = 16 };

/// World stopped, phase off, after the swap: everything now in the span table is to be swept (S12).
/// `allocated`: since the last cycle, for the freed total. `keeps_empty_spans`: not where the cycle is to make room for
/// whoever asks. `now_ns`: by the clock on the wall.
void tri_sweep_begin(tri_collect *collect, uint64_t allocated_bytes, bool keeps_empty_spans, uint64_t now_ns);
/// Sweeps one unit; false when none is left to claim. Any thread.
bool tri_sweep_unit(tri_collect *collect);
/// Sweeps until every unit is done, waiting for those that others claimed.
void tri_sweep_finish(tri_collect *collect);
/// Whether this thread is inside a destroy callback that a sweep of this heap runs.
bool tri_sweep_is_destroying(const tri_collect *collect);
/// Gives back the empty spans that classes kept; they may have been used meanwhile, and then stay. No cycle runs nor
/// can begin, and nothing is left to sweep.
void tri_sweep_drop_empty_spans(tri_collect *collect);
static inline bool tri_sweep_is_running(const tri_collect *collect) {
  return tri_load_acquire(&collect->sweep.running) != 0;
}
/// Around a fork. After closing nobody begins a unit, and once none is under way everything is as it is between two.
void tri_sweep_close(tri_collect *collect);
void tri_sweep_open(tri_collect *collect);
static inline bool tri_sweep_is_under_way(const tri_collect *collect) {
  return tri_load_ordered(&collect->sweepers) != 0;
}
/// Puts a span with free slots where refills look. Holds the class's lock.
void tri_span_list_locked(tri_collect *collect, tri_span_class *class, tri_span *span);
/// Explicit frees are taken up when a quarter of a span's slots came back: walking it for a few costs more than they
/// are worth. The rest waits for the next sweep.
static inline bool tri_span_is_worth_walking(const tri_span *span) {
  return tri_load_relaxed(&span->freed_slots) * 4 >= span->slots;
}
/// Puts a span back there that was walked to its end, if that is worth it by now and no window or orphan has a group of
/// it. Phase off, the span swept. Holds the class's lock. `walker`: span.h.
void tri_span_relist_locked(tri_collect *collect, tri_span_class *class, tri_span *span, uint16_t walker);
/// Makes the class's lists of this generation; stale ones are void. Holds the class's lock.
void tri_span_class_refresh_locked(tri_collect *collect, tri_span_class *class);

#endif
