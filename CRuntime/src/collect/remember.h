// Remember: the old objects that were stored into since the last cycle.
//
// After a cycle that keeps its marks, an object is old when its M bit is set and young when it is not; what is
// allocated next is young. A minor cycle marks from the roots and stops at old objects, so it needs to know which of
// them may refer to young ones. The barrier tells (TRI_LOGS_OLD): the first store of a young reference into an old
// object clears the object's M bit and writes it down here. A clear bit says "young, or written down": either way there
// is nothing more to do, so one bit serves as old bit and as log bit, and a store into a new object costs one test.
//
// Invariants  an old object that refers to a young one is written down, or the reference was shaded by the barrier
//             of the cycle now beginning.
//             M stays clear from the writing down to the next cycle: sweeps only clear bits of it.
// Callers     stores while marks are kept; the cycle, once every mutator's barrier is on.
// Source      the idea of keeping marks: Demers et al., Combining generational and conservative garbage collection,
// 1990.
#ifndef TRI_COLLECT_REMEMBER_H
#define TRI_COLLECT_REMEMBER_H

#include "collect/collect.h"

/// Writes an old object down, in the caller's own chunk.
void tri_remember(tri_collect *collect, tri_grey_chunk **chunk, uint64_t offset);
/// Hands a mutator's chunk over. Owner, or the collector while it is stopped.
void tri_remember_share(tri_collect *collect, tri_grey_chunk **chunk);

/// Phase mark or markTermination of a minor cycle, every window black: the objects written down become grey.
void tri_remembered_shade(tri_collect *collect);
/// In a full cycle they are no different from others.
void tri_remembered_discard(tri_collect *collect);
/// Before a full cycle: nothing is old any more. Linear in spans. Phase off, nothing left to sweep.
void tri_marks_forget(tri_collect *collect);

/// Whether an object is old and not written down yet.
static inline bool tri_is_old(const tri_collect *collect, uint64_t offset) {
  return tri_bit_test(collect->spans.space.bits.marked, offset >> TRI_GRANULE_LOG2);
}
/// Whether an object that such a value is stored into has to be written down. Both may be any words: an immediate can
/// look like an address where the heap has not grown to, and there are no marks.
static inline bool tri_store_makes_news(const tri_collect *collect, uintptr_t object, uintptr_t value) {
  const tri_space *space = &collect->spans.space;
  uint64_t committed = tri_load_acquire(&space->committed_bytes);
  uint64_t into = object - space->start, of = value - space->start;
  return into < committed && of < committed && tri_is_old(collect, into) && !tri_is_old(collect, of);
}

#endif
