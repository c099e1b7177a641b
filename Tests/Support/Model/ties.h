// Ties: weak references, ephemerons and cleanups of a model's thread: random steps with them, and what they must
// answer.
//
// Invariants  a shadow that something was tied to stays with its thread.
//             A cleanup is forgotten when the next takes its place; a shadow counts those of its object either way.
// Callers     model.c; compare.c, which walks the shadow graph.
#ifndef TRICOLOR_MODEL_TIES_H
#define TRICOLOR_MODEL_TIES_H

#include "shadow.h"

void model_tie_step(model_thread *thread);
void model_drop_ephemeron(model_thread *thread, model_ephemeron *ephemeron);
/// The cells go; what hangs on objects as cleanups stays.
void model_drop_ties(model_thread *thread);
/// The value of an ephemeron whose key was seen in this round and which was not seen itself; NULL: none.
model_shadow *model_next_value(model_thread *thread);
/// After a walk.
void model_check_ties(model_thread *thread);

#endif
