// States: how a mutator gets from one state to the next (the picture is in mutator.h), and who is woken by that.
//
// Whoever waits for mutators to stand still, or to answer, sleeps on `arrived`; whoever waits for a stop to end, on
// `resumed`.
//
// Invariants  held comes and goes only under the world's lock; every other move is the owner's.
//             A mutator that a stop counts as still stays so until the stop is over.
// Callers     the owner where it stands still and goes on; the thread that wants the others to.
// Not here    when and why the world stops, and what a mutator does at a safepoint.
#ifndef TRI_MUTATOR_STATES_H
#define TRI_MUTATOR_STATES_H

#include <inttypes.h>

#include "mutator/world.h"

enum {
  TRI_FIRST_WARNING_MS = 1000, // a mutator that has not come by after this is named
};

// ---- Standing still ----

/// Whether it stands still; one that is blocked is held from here on.
bool tri_mutator_is_still(tri_mutator_full *mutator);
/// The stop will have to look at it.
void tri_world_list_unsettled(tri_world *world, tri_mutator_full *mutator);
/// Stays as it is from now until the stop is over: looked at here, before the stop is complete.
void tri_world_count_still_locked(tri_world *world, tri_mutator_full *mutator);
/// It stands still now: counted, if a stop waits for it, and whoever waits is woken.
void tri_world_arrive_locked(tri_world *world, tri_mutator_full *mutator);
/// It is blocked, and somebody wanted something of it.
void tri_world_note_blocked(tri_world *world, tri_mutator_full *mutator);

/// Counts as stopped from here on; of its stack what is above `stack_pointer` is live. `saved`: NULL where a frame that
/// stays holds the registers.
static inline void tri_mutator_set_blocked(tri_mutator_full *mutator, uintptr_t stack_pointer,
                                           const tri_registers *saved) {
  mutator->stack_pointer = stack_pointer;
  if (saved) mutator->registers = *saved;
  // Pairs with the collector's compare-exchange to held: it then sees stack pointer, registers and windows.
  tri_store_ordered(&mutator->state, (uint32_t)TRI_MUTATOR_BLOCKED);
  // The collector may have asked before it could see us blocked, and be asleep.
  if (tri_load_ordered(&mutator->fast.request)) tri_world_note_blocked(mutator->world, mutator);
}

// ---- Running again ----

/// Wakes some of those that wait for the world to start. Without the lock.
void tri_world_wake_some(tri_world *world);
/// Whether there was a wait: the caller then wakes some, once it has released the lock.
bool tri_world_wait_for_start_locked(tri_world *world);
/// Returns after a moment at which no stop was wanted or in force. The calling thread's mutators are set aside.
void tri_world_wait_for_start(tri_world *world);
/// The stop that it was parked or held for is over; it runs again. By its owner, or by a handshake in its place.
void tri_mutator_make_up_locked(tri_mutator_full *mutator);

static inline void tri_assert_follows(const tri_mutator_full *mutator) {
  // Debug builds only: in others setting a mutator aside and taking it back touches one cache line of it.
  TRI_CHECK(!TRI_CHECKS || mutator->marking_ends == mutator->world->marking_ends,
            "thread %" PRIu64 " runs again and missed the end of marking", mutator->thread_id);
}

/// false while it is held, or not taken back yet from a stop that held it.
static inline bool tri_mutator_try_set_running(tri_mutator_full *mutator) {
  uint32_t blocked = TRI_MUTATOR_BLOCKED;
  if (!tri_compare_exchange_ordered(&mutator->state, &blocked, (uint32_t)TRI_MUTATOR_RUNNING)) return false;
  // Stale registers would keep garbage alive at the next stop.
  mutator->registers = (tri_registers){{0}};
  tri_assert_follows(mutator);
  return true;
}

bool tri_mutator_take_back_slow(tri_mutator_full *mutator);
/// false while a stop is wanted or in force.
static inline bool tri_mutator_take_back(tri_mutator_full *mutator) {
  return tri_mutator_try_set_running(mutator) || tri_mutator_take_back_slow(mutator);
}
/// The same, waiting as long as that.
void tri_mutator_set_running(tri_mutator_full *mutator);

// ---- Waiting for others ----

/// Waits for an arrival; names who is late, at first after TRI_FIRST_WARNING_MS.
void tri_world_await_locked(tri_world *world, const tri_mutator_full *late, uint64_t since_ns,
                            uint64_t *next_warning_ms, const char *what);

#endif
