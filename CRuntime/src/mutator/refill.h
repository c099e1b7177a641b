// Refill: where an empty window gets its next group from: a run of its own, what a mutator left that is gone, a new run
// of a span on its class's lists, the fullest first; else sweeping, and only then growth.
//
// Invariants  no safepoint once it has looked at the phase: either its slots are set in M too, or marking cannot begin
//             before this mutator has acknowledged the barrier and marked them itself.
// Callers     alloc.c, empty_window.c; by the mutator's owner.
#ifndef TRI_MUTATOR_REFILL_H
#define TRI_MUTATOR_REFILL_H

#include "mutator/world.h"

/// The empty window `index` is filled, collecting once if memory is short. 0 and *out_status on failure.
uintptr_t tri_refill_and_pop(tri_mutator_full *mutator, tri_span_class *class, uint32_t index, tri_status *out_status);

#endif
