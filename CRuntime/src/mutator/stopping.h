// Stopping: all mutators at a standstill at once, for a cycle or for a fork, and letting them go.
//
// A stop is wanted as soon as `stopping` is set, and in force when every mutator is parked or held but the stopper's
// and, in a fork's, that of a thread inside a cycle. Whoever waits for that is awake for a moment, then asleep. A
// mutator that does not come is named in a warning after a second, and again every ten; it is never silently waited
// for. Whoever arrives is counted (`still`), and listed if the stop has something to see to there (`unsettled`): once
// it is in force only those are looked at.
//
// Invariants  while a cycle's stop is in force no mutator comes or goes; the thread that stopped the world stays
//             attached and is the only one running.
//             One stop at a time, a cycle's or a fork's: the other waits.
// Callers     of a cycle's stop the thread that holds the cycle lock; of a fork's heap/fork.c.
// Not here    how a single mutator comes to stand still (states.h, safepoint.h), what a stop cost (stops.h).
#ifndef TRI_MUTATOR_STOPPING_H
#define TRI_MUTATOR_STOPPING_H

#include "mutator/world.h"

/// Returns with every other mutator parked or held. Nests not.
void tri_world_stop(tri_world *world, tri_stop_cause cause);
/// How long the stop was, from the request, in ns. Touches no mutator but the caller's.
uint64_t tri_world_start(tri_world *world);
/// Traps unless the calling thread has stopped the world.
void tri_assert_world_stopped(const tri_world *world);
/// World stopped, marking is over or its outcome is in use: mutators learn of it as they run again.
void tri_world_end_marking(tri_world *world);
/// World stopped: empties every window, those of detached mutators too, and counts what mutators have not counted yet.
/// What waits in a window is then no object.
void tri_world_drop_windows(tri_world *world);
/// Between this and releasing the lock the final stop of a cycle is not in force, so what is shaded now is seen by
/// it. A running mutator keeps it away by itself: then nothing is locked and the answer is false.
bool tri_world_keep_running(tri_world *world);

// ---- Fork ----

/// The stop of a fork, by a thread whose mutators count as blocked. A cycle that is under way, by the thread `owner`
/// points to the token of, may go on marking; its mutator counts as stopped. Waits for the stop of a cycle to end, and
/// for mutators as long as it takes.
void tri_world_stop_for_fork(tri_world *world, const uintptr_t *owner);
void tri_world_start_after_fork(tri_world *world);
/// Takes the world's lock at a moment when no fork is under way.
void tri_world_lock_between_forks(tri_world *world);
/// Traps unless this thread stopped the world for a fork.
void tri_assert_fork_child(const tri_world *world);

#endif
