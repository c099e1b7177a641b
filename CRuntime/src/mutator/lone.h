// Lone: what the only mutator of a heap may do without locked instructions.
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
// or the right side sees `busy`. Where the system has no such barrier heaps are shared from the start.
//
// Callers     explicit free and magazines, phase off, span swept. Nothing between enter and leave takes a lock or calls
// out.
#ifndef TRI_MUTATOR_LONE_H
#define TRI_MUTATOR_LONE_H

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

/// The same, and only between cycles, no marks being kept: if the phase changes before the mutator
/// leaves, whoever changed it waits for this mutator before anything is shaded.
static inline bool tri_lone_enter_between_cycles(tri_mutator_full *mutator, const tri_collect *collect) {
  tri_store_relaxed(&mutator->lone_busy, 1u);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  if (__builtin_expect(!tri_load_acquire(&collect->unquiet), 1)) return true;
  tri_lone_leave(mutator);
  return false;
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
