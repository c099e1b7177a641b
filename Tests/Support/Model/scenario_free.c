// Scenarios of explicit free.
#include <sched.h>
#include <stdatomic.h>

#include "scenario.h"
#include "scenarios.h"
#include "stepped.h"
#include "tricolor_testing.h"

// ---- The shortcut ----

enum { SHORTCUT_SLOTS = 64, SHORTCUT_LEAF_BYTES = 64, SHORTCUT_OTHER_BYTES = 128 };

// The window of the leaves ends empty, and was the last one freed into.
static uintptr_t shortcut_use_up_a_window(tri_mutator *mutator) {
  void *first = NULL, *leaf = NULL;
  for (int slot = 0; slot < SHORTCUT_SLOTS; slot++) {
    leaf = tri_alloc_leaf_uninitialized(mutator, SHORTCUT_LEAF_BYTES);
    if (!first) first = leaf;
  }
  tri_free(mutator, leaf);
  scenario_expect(tri_alloc_leaf_uninitialized(mutator, SHORTCUT_LEAF_BYTES) == leaf, "the slot is not given again");
  return (uintptr_t)first;
}

static void *shortcut_other_object_in(tri_mutator *mutator, tri_layout *layout, uintptr_t window) {
  for (int tries = 0; tries < 10000; tries++) {
    void *object = tri_alloc(mutator, layout, SHORTCUT_OTHER_BYTES);
    if ((uintptr_t)object - window < (uintptr_t)SHORTCUT_SLOTS * SHORTCUT_LEAF_BYTES) return object;
  }
  scenario_expect(false, "the memory of the dead leaves is not used again");
  return NULL;
}

bool scenario_free_returns_a_slot_to_its_own_class(void) {
  tri_heap *heap = stepped_heap();
  tri_mutator *mutator = scenario_attach(heap, TRI_ATTACH_PRECISE);
  uintptr_t window = shortcut_use_up_a_window(mutator);
  stepped_forced_cycle(heap); // all are dead: their span is anyone's
  tri_free(mutator, shortcut_other_object_in(mutator, tri_layout_references(heap), window));
  for (int leaves = 0; leaves < SHORTCUT_SLOTS; leaves++) {
    void *leaf = tri_alloc_leaf_uninitialized(mutator, SHORTCUT_LEAF_BYTES);
    scenario_expect(tri_object_layout(heap, leaf) == tri_layout_leaf(heap), "a leaf is given a slot of references");
    scenario_expect(tri_object_bytes(heap, leaf) == SHORTCUT_LEAF_BYTES, "a leaf is given a slot of another size");
  }
  scenario_detach(mutator);
  return tri_heap_close(heap) == TRI_OK;
}

// ---- Hand-over ----

enum { HANDOVER_OBJECTS = 200000, HANDOVER_RING = 32 };

typedef struct handover {
  tri_heap *heap;
  _Atomic(void *) ring[HANDOVER_RING];
} handover;

static void *handover_free_main(void *context) {
  handover *between = context;
  tri_mutator *mutator = scenario_attach(between->heap, TRI_ATTACH_PRECISE);
  for (int taken = 0; taken < HANDOVER_OBJECTS; taken++) {
    void *object;
    while (!(object = atomic_exchange(&between->ring[taken % HANDOVER_RING], NULL))) sched_yield();
    tri_free(mutator, object);
  }
  scenario_detach(mutator);
  return NULL;
}

// The owner gets on with its window while the other thread looks at it.
static void handover_step(tri_step_point point) {
  if (point == TRI_STEP_LOOK)
    for (volatile int spin = 0; spin < 300; spin++) continue;
}

bool scenario_handed_over_objects_are_freed_once(void) {
  tri_testing_set_step_hook(handover_step);
  handover between = {.heap = stepped_heap()};
  tri_mutator *mutator = scenario_attach(between.heap, TRI_ATTACH_PRECISE);
  pthread_t thread;
  scenario_thread(&thread, handover_free_main, &between);
  for (int given = 0; given < HANDOVER_OBJECTS; given++) {
    void *object = tri_alloc_leaf_uninitialized(mutator, 64);
    while (atomic_load(&between.ring[given % HANDOVER_RING])) sched_yield();
    atomic_store(&between.ring[given % HANDOVER_RING], object);
  }
  tri_blocking_begin(mutator);
  pthread_join(thread, NULL);
  tri_blocking_end(mutator);
  scenario_detach(mutator);
  return tri_heap_close(between.heap) == TRI_OK;
}
