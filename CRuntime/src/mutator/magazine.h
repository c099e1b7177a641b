// Magazines: the slots a mutator freed last, by span class, for its next allocations: they are still in its cache.
//
// A magazine is a list of hints; the bitmaps stay the truth. Two kinds of slots are in it:
//
//   freed alone   by the heap's only mutator, or the owner of the slot's group: A is clear, as of any free slot.
//                 Whoever sets A has the slot: this mutator taking it out again, while that still holds, or a refill
//                 that takes its group. Its span is `lent`.
//   freed by bit  by others: A and F are set. Whoever clears F has the slot: this mutator, a refill, a sweep.
//
// An entry whose slot was taken by another is forgotten.
//
// Invariants  only slots freed while the phase was off, in spans swept in this generation: their memory stays what it
//             is until the next cycle, and nothing marks them. Magazines are emptied in every stop of mark termination.
// Callers     the owner; emptying: also the collector while it is stopped.
#ifndef TRI_MUTATOR_MAGAZINE_H
#define TRI_MUTATOR_MAGAZINE_H

#include "mutator/lone.h"

enum {
  TRI_MAGAZINES = 128, // found by class modulo this; classes that collide take turns
  // A class's frees and allocations come in random order: a magazine becomes full or empty once in about the square of
  // half of this. Larger costs address space and, where many objects are freed at once, cache.
  TRI_MAGAZINE_SLOTS = 62,
  // Slots of a class that were freed since its last refill and say that it is churned: what a refill takes then goes to
  // the magazine. Every allocation comes from there, every free goes there, and nobody guesses wrong which it will be.
  TRI_MAGAZINE_CHURNED = 32,
};

typedef struct tri_magazine {
  uint32_t class_id;
  uint16_t count;
  uint16_t slot_bytes;
  uint32_t puts;         // since the class's last refill
  uint32_t window_waits; // 0: nothing waits in the class's windows, so that a free need not look at them
  uintptr_t slots[TRI_MAGAZINE_SLOTS];
} tri_magazine;
_Static_assert(sizeof(tri_magazine) == 512, "magazines are found by a shift");
enum { TRI_WINDOW_PAIR_BYTES = 2 * (int)sizeof(struct tri_window) };
_Static_assert(TRI_SMALL_BYTES_MAX <= UINT16_MAX, "a slot's size fits");

static inline tri_magazine *tri_mutator_magazine(tri_mutator_full *mutator, uint32_t class_id) {
  return (tri_magazine *)(void *)((char *)mutator + TRI_MUTATOR_MAGAZINES_OFFSET) + class_id % TRI_MAGAZINES;
}

/// Whether the class's magazine can keep one more slot as it is.
static inline bool tri_magazine_has_room(const tri_magazine *magazine, uint32_t class_id) {
  return magazine->class_id == class_id && magazine->count < TRI_MAGAZINE_SLOTS;
}
/// Makes it so: gives back what is in the way.
tri_magazine *tri_magazine_make_room(tri_mutator_full *mutator, const tri_span *span);

/// Keeps a slot, freed as above.
static inline void tri_magazine_put(tri_mutator_full *mutator, const tri_span *span, uintptr_t slot) {
  tri_magazine *magazine = tri_mutator_magazine(mutator, span->class_id);
  if (!tri_magazine_has_room(magazine, span->class_id)) magazine = tri_magazine_make_room(mutator, span);
  magazine->slots[magazine->count++] = slot;
  magazine->puts++;
}

/// After a refill of a class: moves what waits in the window to the magazine, if the class is churned, between cycles.
/// One slot stays in the window.
void tri_magazine_refilled(tri_mutator_full *mutator, const tri_span_class *class, struct tri_window *window);

/// What an allocation by way of a magazine leaves out is due: a poll, a cycle, an account.
static inline bool tri_magazine_is_detained(const tri_mutator_full *mutator) {
  return tri_load_relaxed(&mutator->fast.request) ||
         mutator->unaccounted_bytes >= tri_load_relaxed(&mutator->world->account_bytes);
}

/// A slot of the class, neither freed nor old any more, with what it held before; 0 if there is none, or something is
/// due that only the long way does.
uintptr_t tri_magazine_take(tri_mutator_full *mutator, uint32_t class_id);

/// The same for a class by its window's offset among the windows, and 0 in all but the commonest case: between cycles,
/// and the slot freed last is still free and in a word that is this mutator's to write. No frame, no call, no locked
/// instruction: what most allocations of a program that frees explicitly pass. Like what is inline, it does not ask
/// whose mutator it is. The mutator asked for its liberty, and leaves.
static inline __attribute__((always_inline)) uintptr_t
tri_magazine_take_at_liberty(tri_mutator_full *mutator, uint64_t window_offset, tri_liberty liberty) {
  uint32_t class_id = (uint32_t)(window_offset / TRI_WINDOW_PAIR_BYTES);
  tri_magazine *magazine = tri_mutator_magazine(mutator, class_id);
  uint32_t count = magazine->count;
  if (__builtin_expect(magazine->class_id != class_id, 0)) return 0;
  if (__builtin_expect(count == 0, 0)) return 0;
  if (__builtin_expect(tri_magazine_is_detained(mutator), 0)) return 0;
  uintptr_t slot = magazine->slots[count - 1];
  uint64_t granule = (slot - mutator->fast.heap_start) >> TRI_GRANULE_LOG2;
  uint64_t *word = &mutator->world->collect.spans.space.bits.allocated[granule >> 6], before = tri_load_relaxed(word);
  uint64_t after = before | UINT64_C(1) << (granule & 63);
  if (__builtin_expect(after == before, 0) || !tri_liberty_has(mutator, liberty, granule)) return 0;
  tri_store_release(word, after);
  magazine->count = (uint16_t)(count - 1);
  mutator->unaccounted_bytes += magazine->slot_bytes;
  if (!slot) __builtin_unreachable();
  return slot;
}

/// Forgets all; the bitmaps tell the sweep.
void tri_magazines_forget(tri_mutator_full *mutator);
/// The same when no sweep is coming: their spans are told that they have free slots.
void tri_magazines_give_back(tri_mutator_full *mutator);
/// Gives the memory back of magazines that are empty.
void tri_magazines_discard(tri_mutator_full *mutator);

#endif
