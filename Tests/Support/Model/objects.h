// Objects: the kinds that a model plays with, their layouts, and making one of a random kind.
//
// Invariants  an object carries the id of its shadow, its own or, in an array of references, that of the leaf in
//             element 0.
// Callers     model.c.
// Not here    where an object has its references (shadow.h).
#ifndef TRICOLOR_MODEL_OBJECTS_H
#define TRICOLOR_MODEL_OBJECTS_H

#include "shadow.h"

void model_make_layouts(model_shared *shared);
/// NULL if the heap refuses. The caller makes it reachable; until then the holder, a slot of a handle scope, keeps it.
model_shadow *model_allocate(model_thread *thread, void **holder);

#endif
