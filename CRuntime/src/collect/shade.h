// Shade: white to grey from outside a marker: what roots, barriers and tracers lead to.
//
// A word is a reference, or it may be one: then it is looked up, and what it led to is marked only if A still has it
// afterwards, as the slot may have waited in a window, and not any more. Whoever sets an object's bit of M pushes it to
// a chunk of its own, which becomes visible when it is shared; objects without references turn black at once.
//
// Invariants  an object is pushed by whoever set its bit; every mark is counted in marked_objects after its bit.
// Callers     mutators (flushes, scans of their stacks), the collector (roots, ephemerons), tracers.
// Not here    marking on from there (mark.h).
#ifndef TRI_COLLECT_SHADE_H
#define TRI_COLLECT_SHADE_H

#include "collect/collect.h"

enum { TRI_MARK_WORD_LOG2 = TRI_GRANULE_LOG2 + 6 }; // bytes that a word of M covers

/// Shades what a precise word refers to: NULL, immediates and addresses outside the heap are skipped. True if
/// it was white. The item goes to `chunk`, which the caller shares when full or done.
bool tri_shade(tri_collect *collect, uintptr_t word, tri_grey_chunk **chunk);
/// The same for many, fetching ahead; answers how many were white. `found`: each was found by looking up an ambiguous
/// word, perhaps a while ago (tri_barrier_target). Counts at the end: no safepoint of the caller's thread lies within.
uint32_t tri_shade_batch(tri_collect *collect, const uintptr_t *words, uint32_t count, bool found,
                         tri_grey_chunk **chunk);
/// How much a word says.
typedef enum tri_word_kind {
  TRI_WORD_PRECISE,  // NULL, an immediate, an address outside the heap, or the start of an object
  TRI_WORD_INTERIOR, // anything; if it is an address inside an object, a reference to that
  // The same from native stacks, registers and conservative roots. Compilers keep end pointers there, so an address
  // where one object starts is also a reference to the one before it.
  TRI_WORD_AMBIGUOUS,
} tri_word_kind;
typedef void tri_each_word(void *context, uintptr_t word, tri_word_kind kind);

/// Shades what a word of the given kind refers to.
void tri_shade_word(tri_collect *collect, uintptr_t word, tri_word_kind kind, tri_grey_chunk **chunk);
/// The objects an interior or ambiguous word refers to, as byte offsets from the heap's start; 0 to 2 of them.
uint32_t tri_word_targets(const tri_collect *collect, uintptr_t word, tri_word_kind kind, uint64_t out_offsets[2]);

/// For who keeps grey objects of its own: marks what a word refers to and answers how many objects of it were white,
/// and which.
uint32_t tri_mark_precise(tri_collect *collect, uintptr_t word, uint64_t *out_offset);
uint32_t tri_mark_targets(tri_collect *collect, uintptr_t word, tri_word_kind kind, uint64_t out_offsets[2]);

/// What tracers and root functions get. Exactly one of the ways is set.
struct tri_visitor {
  tri_collect *collect;
  tri_grey_chunk **chunk; // shade into this chunk
  tri_each_word *each;    // or hand to a checker
  void *context;
};

/// Debug builds, where references are not doubted: traps with a sentence unless an object starts there.
static inline void tri_check_reference(const tri_collect *collect, uint64_t offset) {
  if (!TRI_CHECKS || tri_collect_doubts(collect)) return;
  const tri_space *space = &collect->spans.space;
  tri_object_place place = tri_slot_at(&collect->spans, space->start + offset);
  // An object freed explicitly while marking may still be in a barrier buffer; it stays allocated until the swap.
  TRI_CHECK(place.start == space->start + offset && tri_bit_test(space->bits.allocated, offset >> TRI_GRANULE_LOG2),
            "a reference slot holds %p, which is not the start of a live object of this heap",
            (void *)(collect->spans.space.start + offset));
}

/// The start of the object an address lies in, as an offset; false if in none.
static inline bool tri_object_start_offset(const tri_collect *collect, uintptr_t word, uint64_t *out_offset) {
  tri_object_place place = tri_object_at(&collect->spans, word);
  if (!place.start) return false;
  *out_offset = place.start - collect->spans.space.start;
  return true;
}

#endif
