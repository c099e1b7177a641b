// Tied: what weak references, ephemerons and cleanups have in common where mutators use them.
//
// A load while marking records what it answers, as a store does: nothing else may refer to it. No safepoint lies
// between load and record, so the final stop comes wholly before or after, and finds the word in the buffer.
//
// Callers     weak.c, ephemeron.c, cleanup.c.
#ifndef TRI_MUTATOR_TIED_H
#define TRI_MUTATOR_TIED_H

#include "mutator/world.h"

/// Where an object is that something is to be tied to; span is NULL for the empty object. Traps unless it is the start
/// of a live object, and in phase markTermination.
tri_object_place tri_tied_place(tri_mutator_full *mutator, const void *object, const char *what);
/// What a cell's word refers to, or NULL. The caller may keep it.
void *tri_tied_load(tri_mutator_full *mutator, const uintptr_t *place, const char *what);
/// Shades a value that gets where only ephemerons lead.
void tri_tied_record(tri_mutator_full *mutator, uintptr_t value);
/// Whether a slot waits in a window of any mutator, or in one left behind: then it is no object.
bool tri_slot_waits(tri_world *world, const tri_object_place *place);

#endif
