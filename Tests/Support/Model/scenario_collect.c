// Scenarios of collections beside each other.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE // pthread_barrier_t, usleep
#endif
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "scenario.h"
#include "scenarios.h"

// ---- Two heaps ----

enum { CROSSWISE_ROUNDS = 3000 };

typedef struct crosswise {
  tri_heap *heaps[2];
  pthread_barrier_t both_attached;
  atomic_int next;
} crosswise;

static void *crosswise_main(void *context) {
  crosswise *two = context;
  int mine = atomic_fetch_add(&two->next, 1);
  tri_mutator *first = scenario_attach(two->heaps[0], 0), *second = scenario_attach(two->heaps[1], 0);
  pthread_barrier_wait(&two->both_attached);
  for (int round = 0; round < CROSSWISE_ROUNDS; round++) tri_collect(two->heaps[mine], TRI_MODE_FORCE);
  scenario_detach(second);
  scenario_detach(first);
  return NULL;
}

bool scenario_two_heaps_collected_crosswise_end(void) {
  crosswise two = {.heaps = {scenario_heap(), scenario_heap()}};
  pthread_t threads[2];
  pthread_barrier_init(&two.both_attached, NULL, 2);
  for (int index = 0; index < 2; index++) scenario_thread(&threads[index], crosswise_main, &two);
  for (int index = 0; index < 2; index++) pthread_join(threads[index], NULL);
  pthread_barrier_destroy(&two.both_attached);
  return tri_heap_destroy(two.heaps[0]) == TRI_OK && tri_heap_destroy(two.heaps[1]) == TRI_OK;
}

// ---- Destroy callbacks ----

enum { OWNERS = 1000, OWNERS_CALLBACK_MS = 50 };

typedef struct owners {
  tri_heap *heap;
  atomic_bool sweeping;
  atomic_int destroyed;
} owners;

typedef struct owner {
  tri_handle *handle;
} owner;

// The first callback takes its time, so that the next cycle has begun when it gives its handle back.
static void owner_destroy(void *object, size_t bytes, void *context) {
  (void)bytes;
  owners *all = context;
  if (!atomic_exchange(&all->sweeping, true)) usleep(OWNERS_CALLBACK_MS * 1000);
  tri_handle_free_any_thread(all->heap, ((owner *)object)->handle);
  atomic_fetch_add(&all->destroyed, 1);
}

static void owners_allocate(owners *all, tri_mutator *mutator) {
  const tri_layout_description description = {.form = TRI_LAYOUT_LEAF, .destroy = owner_destroy, .context = all};
  tri_layout *layout;
  scenario_expect(tri_layout_make(all->heap, &description, &layout) == TRI_OK, "no layout");
  for (int index = 0; index < OWNERS; index++) {
    owner *object = tri_alloc(mutator, layout, sizeof *object);
    object->handle = tri_handle_make(mutator, NULL);
  }
}

bool scenario_destroy_callback_may_free_a_handle(void) {
  owners all = {.heap = scenario_heap()};
  tri_mutator *mutator = scenario_attach(all.heap, TRI_ATTACH_PRECISE);
  owners_allocate(&all, mutator);
  tri_collect(all.heap, TRI_MODE_FORCE);
  while (!atomic_load(&all.sweeping)) sched_yield(); // the collector thread is
  tri_collect(all.heap, TRI_MODE_FORCE);
  scenario_detach(mutator);
  scenario_expect(tri_heap_destroy(all.heap) == TRI_OK, "the heap is not destroyed");
  scenario_expect(atomic_load(&all.destroyed) == OWNERS, "an owner was not destroyed exactly once");
  return true;
}
