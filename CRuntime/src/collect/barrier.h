// Write barrier: what a store does while marking.
//
// The invariant preserved is the weak tricolour one: a white object that a black one points to is also reached from
// a grey one, or sits in a barrier buffer. Deleting the last grey path to it goes through the old-value shade;
// hiding it behind an already black object from a stack not yet scanned goes through the new-value shade. Once a
// stack is scanned everything it can load is grey, black or protected by the deletion shade, so the new value
// needs no shade (Clements and Hudson, Go proposal 17503).
//
// Invariants  a buffer holds only words stored in this cycle; it is empty whenever the phase is off.
//             Its words are immediates or starts of objects; only starts where slots may hold any words.
// Callers     the owner's stores; flush: the owner, or the collector while the owner is stopped.
// Not here    which values to record (mutator/store.c knows the policy and the stack's colour).
#ifndef TRI_COLLECT_BARRIER_H
#define TRI_COLLECT_BARRIER_H

#include "collect/shade.h"

enum {
  TRI_BARRIER_WORDS = 512, // larger amortises flushing, smaller shortens the flush in a stop
};

typedef struct tri_barrier_buffer {
  uint32_t count;                     // [owner; collector while stopped]
  uintptr_t words[TRI_BARRIER_WORDS]; // [owner; collector while stopped]
} tri_barrier_buffer;

/// Shades everything recorded; true if anything was white.
bool tri_barrier_flush(tri_barrier_buffer *buffer, tri_collect *collect);

/// What a word that is overwritten or stored refers to, by its start. In most heaps that is the word itself; where
/// slots hold any words (conservative layouts and roots) it is an address inside an object, or nothing. When it is
/// recorded, not when it is flushed: the object may be freed in between, and what it refers to not.
static inline uintptr_t tri_barrier_target(const tri_collect *collect, uintptr_t word) {
  if (__builtin_expect(!tri_load_relaxed(&collect->spans.any_words), 1)) return word;
  return tri_object_at(&collect->spans, word).start;
}

static inline void tri_barrier_record(tri_barrier_buffer *buffer, tri_collect *collect, uintptr_t word) {
  // Null and foreign words are common and cost less here than in the buffer.
  if (word - collect->spans.space.start >= collect->spans.space.reserved_bytes) return;
  word = tri_barrier_target(collect, word);
  if (!word) return;
  if (__builtin_expect(buffer->count == TRI_BARRIER_WORDS, 0)) tri_barrier_flush(buffer, collect);
  buffer->words[buffer->count++] = word;
}

#endif
