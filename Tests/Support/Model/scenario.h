// Scenario: what scenarios are made of: expectations, threads, heaps, mutators.
//
// Invariants  a process that makes a heap here is ended by SIGALRM if it hangs.
// Callers     scenario_*.c, one file a subject, and gap.c.
// Not here    the scenarios (scenarios.h), heaps whose cycles are taken step by step (stepped.h).
#ifndef TRICOLOR_SCENARIO_H
#define TRICOLOR_SCENARIO_H

#include <pthread.h>
#include <stdbool.h>

#include "tricolor.h"

enum { SCENARIO_SECONDS = 50 };

/// Says what does not hold and aborts.
void scenario_expect(bool holds, const char *sentence);
void scenario_thread(pthread_t *thread, void *(*function)(void *), void *context);
/// No cycle but those asked for, one marking thread, nothing from the environment.
tri_options scenario_options(void);
tri_heap *scenario_heap(void);
tri_mutator *scenario_attach(tri_heap *heap, uint32_t flags);
void scenario_detach(tri_mutator *mutator);
bool scenario_is_alive(tri_heap *heap, const void *object);

#endif
