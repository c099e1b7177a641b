// Placement: which CPUs mutators and the collector thread take, where there are few and the system leaves one idle.
//
// A scheduler moves a thread that waits to a CPU that became idle sooner or later, on Linux some 10 ms later. The
// collector thread rests and goes on every millisecond (share.h). If both mutators of two CPUs happened to be on one of
// them, it had the other to itself, and left it idle whenever it rested, or went to join them. With an open loop at
// 60 % of jemalloc's throughput on two CPUs threads waited for 0.7 s of 5 while a CPU was idle; the longest operation
// of every 50 ms was 5.3 ms on average, 3.6 where the thread stays on a CPU that it has to itself, and 2.5 where a
// mutator takes that while it rests.
//
//   collector thread, about to rest        a mutator on another CPU, beside a second one
//   nobody on this CPU: asks both
//   sleeps                                 the first that polls sleeps for a moment
//                                          wakes where a CPU is idle: here
//   wakes; goes to the next CPU if a mutator is on this one, so that each is disturbed in turn
//
// Nobody's affinity is touched but the collector thread's own.
//
// Invariants  where mutators are is what they noted when they allocated: a hint.
// Callers     share.c; the owner at a safepoint.
#ifndef TRI_MUTATOR_PLACEMENT_H
#define TRI_MUTATOR_PLACEMENT_H

#include "mutator/world.h"

/// Owner, while marking.
static inline void tri_mutator_note_cpu(tri_mutator_full *mutator) {
  tri_store_relaxed(&mutator->cpu, tri_thread_cpu());
}

/// What the collector thread does before and after a rest. Costs the world's lock.
void tri_world_begin_rest(tri_world *world);
void tri_world_end_rest(tri_world *world);
/// Before a rest on CPU `own`, + 1: how many mutators were asked to step aside.
uint32_t tri_world_spread(tri_world *world, uint32_t own);

/// Owner, at a safepoint that was asked for this: sleeps for a moment, unless another did or the rest is over. The lock
/// is released meanwhile, and the mutator counts as blocked.
void tri_mutator_step_aside_locked(tri_mutator_full *mutator);

#endif
