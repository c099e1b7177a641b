// Stepped: heaps whose cycles are taken step by step, with something done between two steps. Nothing else begins one.
//
// Invariants  the steps of a cycle are those of Collector.gc(_:), in its order.
// Callers     scenario_*.c, gap.c.
#ifndef TRICOLOR_STEPPED_H
#define TRICOLOR_STEPPED_H

#include "tricolor.h"
#include "tricolor_runtime.h"

/// Ends with tri_heap_close().
tri_heap *stepped_heap(void);
void stepped_forced_cycle(tri_heap *heap);
/// From a forced cycle everything but its sweep.
void stepped_cycle_without_sweep(tri_heap *heap);
/// A forced cycle; marks are kept from now on, and every cycle that may be a minor one is.
void stepped_keep_marks(tri_heap *heap);
/// Phase mark, roots scanned: returns in the final stop, nothing grey.
void stepped_mark_to_the_end(tri_heap *heap);
/// Phase markTermination, world stopped: the rest of a cycle, sweep included.
void stepped_leave_marking(tri_heap *heap);

#endif
