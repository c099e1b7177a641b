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

/// Zeroes a slot of a size that windows are zeroed ahead for, by stores that overlap.
static inline __attribute__((always_inline)) void tri_slot_zero_ahead(uintptr_t slot, size_t slot_bytes) {
  if (slot_bytes >= 64) {
    tri_zero_constant((void *)slot, 64);
    tri_zero_constant((void *)(slot + slot_bytes - 64), 64);
  } else {
    tri_zero_constant((void *)slot, 16);
    tri_zero_constant((void *)(slot + slot_bytes / 32 * 16), 16);
    tri_zero_constant((void *)(slot + slot_bytes - 16), 16);
  }
}

/// Zeroes any slot without a call, as a function without a frame can, up to 2 KiB.
static inline __attribute__((always_inline)) void tri_slot_zero(uintptr_t slot, size_t slot_bytes) {
  if (slot_bytes > TRI_ZERO_AHEAD_BYTES_MAX)
    tri_zero_variable((void *)slot, slot_bytes);
  else
    tri_slot_zero_ahead(slot, slot_bytes);
}
_Static_assert(TRI_ZERO_AHEAD_BYTES_MAX <= 128, "two stretches of 64 bytes cover every slot zeroed ahead");

/// An object of 1 to 32 KiB from the right window, zeroed unless `uninitialized`. NULL: see *out_status.
void *tri_allocate_small(tri_mutator_full *mutator, tri_span_class *class, bool uninitialized, tri_status *out_status);
/// A large object, zeroed; with `uninitialized` only up to its last reference.
void *tri_allocate_large(tri_mutator_full *mutator, struct tri_layout *layout, uint64_t bytes, uint64_t alignment,
                         bool uninitialized, tri_status *out_status);

#endif
