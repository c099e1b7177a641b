// Handshake: one function, run once for every mutator: by its owner at its next safepoint, or by whoever asks while the
// owner is blocked.
//
// Invariants  while `handshake` is set its mutator has TRI_REQUEST_HANDSHAKE pending, so its owner cannot pass a
//             safepoint, or detach, without seeing to it.
//             One handshake at a time, and none while the world is stopped for a cycle.
// Callers     the thread that holds the cycle lock; the owner's part: safepoint.c.
// Not here    what is done at a handshake (scan.h, heap/cycle.c).
#ifndef TRI_MUTATOR_HANDSHAKE_H
#define TRI_MUTATOR_HANDSHAKE_H

#include "mutator/world.h"

/// Returns when all mutators have run it; new ones see the phase as it is when they attach.
void tri_world_handshake(tri_world *world, tri_handshake_function *function, void *context);
/// The owner runs its own without the lock, which is released meanwhile: others must be able to come by.
void tri_mutator_run_handshake_locked(tri_mutator_full *mutator);

#endif
