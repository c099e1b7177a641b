// Allocation, the slow half: entries for every size, layout and alignment.
//
// Callers     the inline paths of tricolor_fast.h and the API.
// Not here    what is inline (tricolor_fast.h), its empty windows (empty_window.c), where slots come from (refill.h),
//             what every allocation passes (gate.h).
#ifndef TRI_MUTATOR_ALLOC_H
#define TRI_MUTATOR_ALLOC_H

#include <string.h>

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
    tri_zero_variable((void *)slot, slot_bytes, 0);
  else
    tri_slot_zero_ahead(slot, slot_bytes);
}
_Static_assert(TRI_ZERO_AHEAD_BYTES_MAX <= 128, "two stretches of 64 bytes cover every slot zeroed ahead");

/// Zeroes what of an object may hold references.
static inline void *tri_zero_references(uintptr_t object, const tri_layout *layout, uint32_t slot_bytes) {
  if (layout->reference_bytes)
    memset((void *)object, 0, layout->reference_bytes < slot_bytes ? layout->reference_bytes : slot_bytes);
  return (void *)object;
}

/// An object of 1 to 32 KiB from the right window, zeroed unless `uninitialized`. NULL: see *out_status.
void *tri_allocate_small(tri_mutator_full *mutator, tri_span_class *class, bool uninitialized, tri_status *out_status);
/// A large object, zeroed; with `uninitialized` only up to its last reference.
void *tri_allocate_large(tri_mutator_full *mutator, struct tri_layout *layout, uint64_t bytes, uint64_t alignment,
                         bool uninitialized, tri_status *out_status);

#endif
