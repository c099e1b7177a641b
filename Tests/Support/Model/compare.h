// Compare: the heap beside the shadow graph: same ids, same edges, nothing destroyed that is reachable; and, where that
// can be known, nothing alive that is not.
//
// Invariants  after a walk `seen` is the thread's round in exactly those of its shadows that are reachable.
// Callers     model.c.
#ifndef TRICOLOR_MODEL_COMPARE_H
#define TRICOLOR_MODEL_COMPARE_H

#include "shadow.h"

/// Walks heap and shadow graph from the roots and checks every object. How many objects the thread can reach, with the
/// leaves that carry arrays' ids.
uint64_t model_walk(model_thread *thread);
/// A collection of a random mode, then a walk; shadows that nothing reaches lose their edges.
void model_collect(model_thread *thread);

#endif
