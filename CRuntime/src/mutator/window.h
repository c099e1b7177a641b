// Windows: up to 64 free slots of one group, which their mutator hands out without asking anyone: by a mask, or as a
// range, by bumping a pointer. That takes no bit scan and no multiplication, and 0.6 to 0.8 of the time in a loop that
// drops what it allocates.
//
//   empty -> mask, range   [tri_window_load]   by a refill
//   mask, range -> empty   [tri_window_take]   inline, slot by slot
//   any -> empty           [tri_window_clear]  when its slots were given back, or left behind
//   range -> mask          [tri_window_fold]   before slots are freed into it, or of its class to a magazine
//
// Invariants  Never both. While a class has a magazine, and in the windows where the last frees went, there is no
//             range: a free looks at the mask alone to see whether a slot waits.
// Callers     refill.c, free.c, magazine.c, by the owner; tri_window_waiting() while it is stopped, too.
#ifndef TRI_MUTATOR_WINDOW_H
#define TRI_MUTATOR_WINDOW_H

#include "base/assert.h"
#include "base/atomics.h"
#include "base/bits.h"
#include "base/config.h"

static inline bool tri_window_has_range(const struct tri_window *window) {
  return window->next < window->limit;
}

/// Whether it has a slot to hand out.
static inline bool tri_window_has_any(const struct tri_window *window) {
  return tri_window_has_range(window) || window->free_slots;
}

/// All slots that wait, as a mask. Two divisions for a range.
static inline uint64_t tri_window_waiting(const struct tri_window *window) {
  if (!tri_window_has_range(window)) return window->free_slots;
  uint32_t first = (uint32_t)(window->next - window->base) / window->slot_bytes;
  uint32_t count = (uint32_t)(window->limit - window->next) / window->slot_bytes;
  return tri_low_bits(count) << first;
}

static inline uint64_t tri_window_waiting_bytes(const struct tri_window *window) {
  if (tri_window_has_range(window)) return window->limit - window->next;
  return (uint64_t)tri_popcount(window->free_slots) * window->slot_bytes;
}

// The order of the stores below is what tri_window_seems_to_hold() relies on, which may be looking from another thread:
// it must not take a slot that is in use for one that waits.

/// Fills an empty window with slots of a group: its first ones, if as a range.
static inline void tri_window_load(struct tri_window *window, uintptr_t base, uint32_t slot_bytes, uint64_t free_slots,
                                   bool as_range) {
  TRI_ASSERT(!as_range || (free_slots & (free_slots + 1)) == 0);
  tri_store_release(&window->loads, (uint8_t)(window->loads + 1));
  tri_store_release(&window->base, base);
  window->slot_bytes = slot_bytes;
  tri_store_release(&window->next, base);
  tri_store_release(&window->limit, as_range ? base + (uint64_t)tri_popcount(free_slots) * slot_bytes : 0);
  tri_store_release(&window->free_slots, as_range ? 0 : free_slots);
  tri_store_release(&window->loads, (uint8_t)(window->loads + 1));
}

/// As if it had never been loaded. Base 0: an explicit free finds no group here.
static inline void tri_window_clear(struct tri_window *window) {
  tri_store_release(&window->limit, (uintptr_t)0); // before next becomes 0
  *window = (struct tri_window){0};
}

/// Makes the range a mask.
static inline void tri_window_fold(struct tri_window *window) {
  if (!tri_window_has_range(window)) return;
  tri_store_release(&window->free_slots, tri_window_waiting(window));
  tri_store_release(&window->limit, (uintptr_t)0);
}

#endif
