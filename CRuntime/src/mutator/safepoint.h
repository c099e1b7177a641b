// Safepoint: where a thread lets the collector in: on request at a poll, or for as long as it is in a blocking region.
//
// Mutators are cooperative: they come by when a window runs empty and at tri_safepoint(), and count as stopped inside a
// blocking region.
//
// Invariants  while a mutator is parked or blocked its stack pointer, and the registers where no frame holds them, are
//             those of the moment at which it stopped running.
//             A thread that comes by, or waits at the end of a region, has its mutators of other heaps set aside.
// Callers     the owner: embedders through tri_safepoint(), tri_blocking_begin() and tri_blocking_end(), and the
//             heap's own waits.
// Not here    what others do to a mutator that stands still (states.h, handshake.h, stopping.h).
#ifndef TRI_MUTATOR_SAFEPOINT_H
#define TRI_MUTATOR_SAFEPOINT_H

#include "mutator/world.h"

/// The mutator itself counts as blocked, around a wait inside one function.
void tri_mutator_wait_below(tri_mutator_full *mutator, uintptr_t stack_pointer);
void tri_mutator_wait_over(tri_mutator_full *mutator);

#endif
