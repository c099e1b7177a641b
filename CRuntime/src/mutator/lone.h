// Lone: what a mutator may write in A and F without locked instructions.
//
// A locked instruction is a few nanoseconds, and no later load starts before it is done: a program that frees what it
// just missed the cache on runs at half its speed. While one mutator is attached, and a span is swept, only that
// mutator touches its A and F bits, and plain loads and stores will do.
//
//   the lone mutator                      one that attaches
//   busy = 1                              shared = 1
//   shared? then the locked way           a barrier on every thread (tri_process_barrier)
//   load, change, store                   wait until nobody is busy
//   busy = 0
//
// The barrier stands for the full fence that the left side lacks between its first two lines: either it sees `shared`,
// or the right side sees `busy`. Where the system has no such barrier heaps are shared from the start, and wholly.
//
// Beside others the same holds for the words of A of the groups that a mutator loaded since their span was swept.
// Others free slots of them by F. Nobody else loads such a group, unless its span is walked once more: then it is taken
// over.
//
//   the owner of a group                  one that takes it over, before it looks at A
//   busy = 1                              owner = itself
//   another owner? then the locked way    a barrier on every thread
//   load A, change, store                 wait until the last owner is not busy
//   busy = 0
//
// Invariants  group_owners names a mutator only for groups it has loaded, or took over to load them, since the last
//             sweep of their span; a number belongs to one mutator at a time, and to no other before it is detached.
//             Not of M: there the collector clears words while mutators run (tri_marks_forget).
// Callers     explicit free and magazines, phase off, span swept. Nothing between enter and leave takes a lock or calls
// out.
#ifndef TRI_MUTATOR_LONE_H
#define TRI_MUTATOR_LONE_H

#include "base/step.h"
#include "mutator/world.h"

static inline void tri_lone_leave(tri_mutator_full *mutator) {
  tri_store_release(&mutator->lone_busy, 0u);
}

/// Whether this is the only mutator; it then has to leave.
static inline bool tri_lone_enter(tri_mutator_full *mutator) {
  tri_store_relaxed(&mutator->lone_busy, 1u);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  if (!tri_load_acquire(&mutator->world->collect.shared)) return true;
  tri_lone_leave(mutator);
  return false;
}

/// What a mutator may write without locks between cycles; it has to leave, unless that is nothing. If the phase changes
/// before it leaves, whoever changed it waits for this mutator before anything is shaded.
typedef enum tri_liberty { TRI_LIBERTY_ALL, TRI_LIBERTY_OWN_GROUPS, TRI_LIBERTY_NONE } tri_liberty;

// A field of what tri_liberty_ask() read.
#define TRI_UNQUIET_SHIFT(field) (8 * (offsetof(tri_collect, field) - offsetof(tri_collect, unquiet)))
#define TRI_UNQUIET_FIELD(unquiet, field) ((uint16_t)((unquiet) >> TRI_UNQUIET_SHIFT(field)))
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "parts of a word are named by their offset");
/// Phase off, no marks kept, others attached.
#define TRI_UNQUIET_BY_GROUPS ((uint64_t)TRI_SHARED_BY_GROUPS << TRI_UNQUIET_SHIFT(shared))
/// Phase off, marks kept, no others.
#define TRI_UNQUIET_KEEPS_MARKS (UINT64_C(1) << TRI_UNQUIET_SHIFT(marks_kept))
_Static_assert(offsetof(tri_collect, marks_kept) > offsetof(tri_collect, shared) &&
                   offsetof(tri_collect, marks_kept) > offsetof(tri_collect, phase),
               "what is below marks_kept in the word is all but marks_kept");

/// First half. 0, the commonest answer, is TRI_LIBERTY_ALL, and that no marks are kept.
static inline uint64_t tri_liberty_ask(tri_mutator_full *mutator, const tri_collect *collect) {
  tri_store_relaxed(&mutator->lone_busy, 1u);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  return tri_load_acquire(&collect->unquiet);
}
/// Second half, with what the first one answered.
static inline tri_liberty tri_liberty_answer(uint64_t unquiet) {
  uint16_t shared = TRI_UNQUIET_FIELD(unquiet, shared);
  if (TRI_UNQUIET_FIELD(unquiet, phase) != TRI_PHASE_OFF || shared == TRI_SHARED_WHOLLY) return TRI_LIBERTY_NONE;
  return shared == TRI_SHARED_NOT ? TRI_LIBERTY_ALL : TRI_LIBERTY_OWN_GROUPS;
}
/// Whether M is the old set.
static inline bool tri_unquiet_keeps_marks(uint64_t unquiet) {
  return TRI_UNQUIET_FIELD(unquiet, marks_kept) != 0;
}

/// Both halves.
static inline tri_liberty tri_liberty_enter(tri_mutator_full *mutator, const tri_collect *collect) {
  tri_liberty liberty = tri_liberty_answer(tri_liberty_ask(mutator, collect));
  if (liberty == TRI_LIBERTY_NONE) tri_lone_leave(mutator);
  return liberty;
}

/// Whether the word of A in which a granule has its bit is the mutator's to write.
static inline bool tri_liberty_has(const tri_mutator_full *mutator, tri_liberty liberty, uint64_t granule) {
  if (__builtin_expect(liberty == TRI_LIBERTY_ALL, 1)) return true;
  // Acquire: pairs with the release of whoever takes the group over.
  uint16_t owner = tri_owner_number(tri_load_acquire(&mutator->world->collect.spans.space.group_owners[granule >> 6]));
  tri_step(TRI_STEP_OWNED);
  return owner == mutator->number && owner;
}

/// Sets a bit; true if this call set it.
static inline bool tri_lone_bit_set(tri_mutator_full *mutator, uint64_t *map, uint64_t granule) {
  if (!tri_lone_enter(mutator)) return tri_bit_set(map, granule);
  uint64_t *word = &map[granule >> 6], bit = UINT64_C(1) << (granule & 63), before = tri_load_relaxed(word);
  tri_store_relaxed(word, before | bit);
  tri_lone_leave(mutator);
  return !(before & bit);
}

/// Clears a bit; true if this call cleared it.
static inline bool tri_lone_bit_clear(tri_mutator_full *mutator, uint64_t *map, uint64_t granule) {
  uint64_t *word = &map[granule >> 6], bit = UINT64_C(1) << (granule & 63);
  if (!tri_lone_enter(mutator)) return __atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST) & bit;
  uint64_t before = tri_load_relaxed(word);
  tri_store_relaxed(word, before & ~bit);
  tri_lone_leave(mutator);
  return before & bit;
}

#endif
