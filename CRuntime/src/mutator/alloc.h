// Allocation, the slow half: refill a window, take pages for a large object, and everything rare that hangs off an
// empty window: the phase assertion (S7), polls, the trigger (S17), assists, sweeping, growth.
//
// Invariants  a refill contains no safepoint once it has looked at the phase: either its slots are set in M too, or
//             marking cannot begin before this mutator has acknowledged the barrier and marked them itself.
// Callers     the inline paths of tricolor_fast.h and the API.
#ifndef TRI_MUTATOR_ALLOC_H
#define TRI_MUTATOR_ALLOC_H

#include "collect/sweep.h"
#include "mutator/world.h"

/// An object of 1 to 32 KiB from the right window, zeroed unless `uninitialized`. NULL: see *out_status.
void *tri_allocate_small(tri_mutator_full *mutator, tri_span_class *class, bool uninitialized, tri_status *out_status);
/// A large object, zeroed; with `uninitialized` only up to its last reference.
void *tri_allocate_large(tri_mutator_full *mutator, struct tri_layout *layout, uint64_t bytes, uint64_t alignment,
                         bool uninitialized, tri_status *out_status);

#endif
