// Attach: how mutators come to a world and leave it: by their thread, at its end, or in a forked child that lacks it.
//
// Invariants  a mutator comes when no stop is wanted, and goes by itself when nothing is asked of it: so neither
//             happens while the world is stopped.
//             One that goes leaves nothing behind but to others: windows to their classes' next refill, what it
//             remembered and counted to the heap.
//             With a second mutator the heap is shared before that one runs (lone.h).
// Callers     embedders through tri_attach() and tri_detach(), and heap/fork.c.
// Not here    the mutator itself and its memory (mutator.h), the thread's list of its own (thread_mutators.h).
#ifndef TRI_MUTATOR_ATTACH_H
#define TRI_MUTATOR_ATTACH_H

#include "mutator/world.h"

/// In a forked child, which has one thread: detaches every other mutator, as its thread would have.
void tri_world_keep_only_caller(tri_world *world);

#endif
