// Gap: a cycle between whose two first acknowledgements of the barrier something happens.
//
// The early thread acknowledges at once and acts; then the late one, which made the gap, acts without a barrier; then
// it polls, and the cycle takes its course.
//
// Callers     scenario_barrier.c, scenario_weak.c: open, make objects, enter, act as the late thread, leave, look at
//             what is left, close.
#ifndef TRICOLOR_GAP_H
#define TRICOLOR_GAP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "tricolor.h"

typedef struct gap {
  tri_heap *heap;
  bool minor;
  atomic_int step;
  tri_mutator *late;
  void (*early_acts)(struct gap *gap, tri_mutator *early);
  void **holder;
  pthread_t early_thread, collector;
} gap;

void gap_open(gap *gap);
/// An object of references that a handle keeps.
void **gap_root(gap *gap, size_t bytes);
/// Returns inside the gap: this thread, the late one, has not acknowledged.
void gap_enter(gap *gap);
/// Returns when the cycle is over.
void gap_leave(gap *gap);
void gap_close(gap *gap);
/// As what the early thread does: an object that is born black, in the first word of the holder.
void gap_publish_a_fresh_object(gap *gap, tri_mutator *early);

#endif
