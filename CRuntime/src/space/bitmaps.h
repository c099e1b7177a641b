// Bitmaps: flat maps, one bit per 16-byte granule; the bit of an object is the bit of its first granule.
//
//   allocated (A)  handed out, or waiting in a mutator's window
//   marked (M)     reached in this cycle; while marking, also every slot in a window
//   freed (F)      given back by tri_free() and not yet taken up by a refill or a sweep
//   checked (C)    reached by checkmark's own marker
//
// Invariants  M is a subset of A. A and M swap roles in the stop of mark termination; the old A is cleared
//             by the sweep before the next cycle marks anything.
// Callers     set in M: any marker or shading mutator, atomically. A: refills and sweeps, which own whole
//             words of it (64 slots of g granules are exactly g words), and a lone mutator between cycles
//             (mutator/lone.h). F: any freeing thread, atomically.
#ifndef TRI_SPACE_BITMAPS_H
#define TRI_SPACE_BITMAPS_H

#include "base/atomics.h"
#include "base/config.h"

typedef struct tri_bitmaps {
  uint64_t *allocated; // [stw] the pointers swap; the words are as above
  uint64_t *marked;    // [stw]
  uint64_t *freed;
  uint64_t *checked;
} tri_bitmaps;

static inline bool tri_bit_test(const uint64_t *map, uint64_t granule) {
  return tri_load_relaxed(&map[granule >> 6]) >> (granule & 63) & 1;
}
/// Sets a bit; true if this call set it. A plain test first: most edges lead to marked objects, and a
/// locked instruction costs as much as a cache miss in L2.
static inline bool tri_bit_set(uint64_t *map, uint64_t granule) {
  uint64_t *word = &map[granule >> 6], bit = UINT64_C(1) << (granule & 63);
  if (tri_load_relaxed(word) & bit) return false;
  return !(tri_or_relaxed(word, bit) & bit);
}
/// Clears a bit of a word that others may be changing.
static inline void tri_bit_clear(uint64_t *map, uint64_t granule) {
  tri_and_relaxed(&map[granule >> 6], ~(UINT64_C(1) << (granule & 63)));
}
/// Sets bits that only this thread writes.
static inline void tri_bits_set_owned(uint64_t *map, uint64_t word, uint64_t bits) {
  tri_store_relaxed(&map[word], tri_load_relaxed(&map[word]) | bits);
}

#endif
