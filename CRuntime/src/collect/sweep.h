// Sweep: after the swap, count what the marks left alive, classify spans, clear the old map (or, where marks are kept
// for a minor cycle, leave in it what is alive: remember.h).
//
// Linear over the span table, in units that any thread may claim: the collector right after the stop, allocating
// threads when their class has nothing left, forceBlock and the next cycle to the end (S3, S15). Objects
// themselves are touched only where a layout has a destroy callback.
//
// A unit has two parts: its small spans, and its large objects, each with a cursor of its own. Sweeping a unit takes
// the next of both. An allocation of a large object takes large parts alone, as long as there are any: a large object
// is one bit, its pages are what is looked for, and small spans that lie before it in the table can wait.
//
//   cursors[small]  0 1 2 3 . . . .     parts finished == 2 * units: the sweep is over [tri_sweep_end]
//   cursors[large]  0 1 2 3 4 5 . .
//
// Nothing of a span is claimed: a span that is there at the stop is small or large, and stays it until it is swept, as
// only its sweep retires it (tri_free and tri_resize of a large object have it swept first). So it belongs to one
// part, and what one part retires and somebody makes anew, small or large, has the new generation, which both skip.
// Large objects are found by the layout map: the block where one starts is TRI_ENTRY_MIXED as long as it is there,
// since a small span takes whole free blocks; blocks that once held one may be, too, and cost a look.
//
// Invariants  a span is swept exactly once per generation, by whoever claimed its part; a swept span's words of the
//             old map are zero, or a part of what is alive; a span whose class has a destroy callback is not refilled
//             before its dead slots were destroyed, because only swept spans are on lists; nor one with ties before
//             those of its dead objects ended (ties.h). A small span counts as swept once its place on a list is
//             settled: until then who frees in it puts it on none.
// Callers     phase off only (S8). The stop: tri_sweep_begin().
#ifndef TRI_COLLECT_SWEEP_H
#define TRI_COLLECT_SWEEP_H

#include "collect/collect.h"

/// Span indices per unit: 8 MiB of heap. Larger means fewer atomics, smaller lets more threads help.
enum { TRI_SWEEP_UNIT_SPANS = 256 };
_Static_assert((int)TRI_SWEEP_UNIT_SPANS % (int)TRI_SPANS_PER_BLOCK == 0, "a block belongs to one unit");
/// Empty spans a class keeps for its next allocations: 1 MiB for most classes, what a cache holds.
enum { TRI_SWEEP_EMPTY_SPANS = 16 };

/// World stopped, phase off, after the swap: everything now in the span table is to be swept (S12).
/// `allocated`: since the last cycle, for the freed total. `keeps_empty_spans`: not where the cycle is to make room for
/// whoever asks. `now_ns`: by the clock on the wall.
void tri_sweep_begin(tri_collect *collect, uint64_t allocated_bytes, bool keeps_empty_spans, uint64_t now_ns);
/// Sweeps one unit; false when none is left to claim. Any thread.
bool tri_sweep_unit(tri_collect *collect);
/// Sweeps large objects, and nothing else, until the dead among them gave back so many pages, in one run or not. False
/// when there was none left: then pages may be found by sweeping units.
bool tri_sweep_large(tri_collect *collect, uint64_t pages);
/// Sweeps large objects, and nothing else, until this one is swept, if it was not; waits where another thread is at it.
/// While marking every span is swept.
void tri_sweep_large_object(tri_collect *collect, const tri_span *span);
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
