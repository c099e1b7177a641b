// Magazines: the slots a mutator freed last, by span class, for its next allocations: they are still in its cache.
//
// The F bit stays the truth. A slot in a magazine has it set, like every freed one; whoever clears it has the slot:
// this mutator taking it out again, a refill that takes its group, or a sweep. An entry whose bit is clear was taken by
// another and is forgotten.
//
// Invariants  only slots freed while the phase was off, in spans swept in this generation: their memory stays what it
// is
//             until the next cycle, and nothing marks them. Magazines are emptied in every stop of mark termination.
// Callers     the owner; emptying: also the collector while it is stopped.
#ifndef TRI_MUTATOR_MAGAZINE_H
#define TRI_MUTATOR_MAGAZINE_H

#include "mutator/world.h"

enum {
  TRI_MAGAZINES = 128,     // found by class modulo this; classes that collide take turns
  TRI_MAGAZINE_SLOTS = 31, // larger keeps more in reach, smaller keeps it in the cache
};

typedef struct tri_magazine {
  uint32_t class_id;
  uint32_t count;
  uintptr_t slots[TRI_MAGAZINE_SLOTS];
} tri_magazine;
_Static_assert(sizeof(tri_magazine) == 256, "four cache lines");

/// Keeps a slot whose F bit the caller just set.
void tri_magazine_put_slowly(tri_mutator_full *mutator, tri_span *span, uintptr_t slot);
static inline void tri_magazine_put(tri_mutator_full *mutator, tri_span *span, uintptr_t slot) {
  if (__builtin_expect(mutator->magazines != NULL, 1)) {
    tri_magazine *magazine = &mutator->magazines[span->class_id % TRI_MAGAZINES];
    if (magazine->class_id == span->class_id && magazine->count < TRI_MAGAZINE_SLOTS) {
      magazine->slots[magazine->count++] = slot;
      return;
    }
  }
  tri_magazine_put_slowly(mutator, span, slot);
}

/// A slot of the class, neither freed nor old any more, with what it held before; 0 if there is none, or something is
/// due that only the long way does.
uintptr_t tri_magazine_take_from(tri_mutator_full *mutator, tri_magazine *magazine);
static inline uintptr_t tri_magazine_take(tri_mutator_full *mutator, uint32_t class_id, uint32_t slot_bytes) {
  if (!mutator->magazines) return 0;
  tri_magazine *magazine = &mutator->magazines[class_id % TRI_MAGAZINES];
  if (magazine->class_id != class_id || magazine->count == 0) return 0;
  const tri_world *world = mutator->world;
  if (tri_load_relaxed(&mutator->fast.request) || world->stress_interval) return 0;
  // Once marking has begun a slot must be handed out black or not at all.
  if (!tri_phase_is_off(&world->collect)) return 0;
  if (mutator->unaccounted_bytes >= tri_load_relaxed(&world->account_bytes)) return 0;
  tri_assert_owner(mutator, "allocating");
  uintptr_t slot = tri_magazine_take_from(mutator, magazine);
  if (slot) mutator->unaccounted_bytes += slot_bytes;
  return slot;
}
/// Forgets all; the F bits tell the sweep.
void tri_magazines_forget(tri_mutator_full *mutator);
/// The same when no sweep is coming: their spans are told that they have free slots.
void tri_magazines_give_back(tri_mutator_full *mutator);
void tri_magazines_unmap(tri_mutator_full *mutator);

/// Counts a freed slot that nobody keeps: with enough of them its span is worth another walk.
void tri_free_count(struct tri_world *world, tri_span *span);

#endif
