// Lists of stamped nodes hang off the scopes of threads and off handles; nothing is in two lists. So a child knows what
// has to be alive after a full cycle, to the object: what hangs off its own scope and off the handles.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE // usleep, strsignal
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "random.h"
#include "thread_loops.h"
#include "tricolor.h"
#include "tricolor_testing.h"

enum {
  FORK_HANDLES = 8,
  FORK_LONG_LIST_NODES = 20000, // so that marking takes a while
  FORK_LIST_NODES = 60,
  FORK_WORKERS_MAX = 8,
  FORK_CHILD_SECONDS = 30,
};

typedef struct fork_node {
  struct fork_node *next;
  uint64_t id, complement, padding;
} fork_node;

typedef struct fork_heap {
  tri_heap *heap;
  tri_type node;
  tri_layout *destroyed; // leaves that give a handle back when they die
  tri_handle *handles[FORK_HANDLES];
  tri_handle *long_list;
} fork_heap;

typedef struct fork_world {
  fork_options options;
  fork_heap heaps[2];
  uint32_t stop; // [atomic]
} fork_world;

typedef struct fork_worker {
  fork_world *world;
  uint64_t random;
  pthread_t thread;
  uint32_t number;
} fork_worker;

_Noreturn static void fork_fail(const fork_world *world, const char *what) {
  fprintf(stderr, "fork loop: seed %llu: %s\n", (unsigned long long)world->options.seed, what);
  abort();
}

static uint64_t fork_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// ---- Lists ----

static uint64_t fork_check_list(const fork_world *world, const fork_node *node) {
  uint64_t length = 0;
  for (; node; node = __atomic_load_n(&node->next, __ATOMIC_ACQUIRE), length++)
    if (node->complement != ~node->id) fork_fail(world, "a node was lost: its stamp is gone");
  return length;
}

// In a slot all the time. Shorter if memory is refused.
static void fork_make_list_of(const fork_heap *heap, tri_mutator *mutator, uint64_t *random, void **slot,
                              uint32_t count) {
  *slot = NULL;
  for (; count; count--) {
    fork_node *node = tri_new(mutator, heap->node, sizeof *node);
    if (!node) return;
    node->id = random_next(random);
    node->complement = ~node->id;
    tri_init(mutator, node, (void **)&node->next, *slot);
    *slot = node;
  }
}

static void fork_make_list(const fork_heap *heap, tri_mutator *mutator, uint64_t *random, void **slot) {
  fork_make_list_of(heap, mutator, random, slot, 1 + random_below(random, FORK_LIST_NODES));
}

static void fork_destroy(void *object, size_t bytes, void *context) {
  (void)bytes;
  const fork_heap *heap = context;
  tri_handle **handle = object;
  if (*handle) tri_handle_free_any_thread(heap->heap, *handle);
}

// ---- What threads do ----

static void fork_replace_handle(fork_heap *heap, tri_mutator *mutator, uint64_t *random, void **slot) {
  fork_make_list(heap, mutator, random, slot);
  // Only lists of a new thread's own: nothing is in two.
  tri_handle_set(mutator, heap->handles[random_below(random, FORK_HANDLES)], *slot);
  *slot = NULL;
}

static void fork_free_some(tri_mutator *mutator, uint64_t *random) {
  size_t bytes = 16u << random_below(random, 7);
  for (uint32_t count = 1 + random_below(random, 40); count; count--) {
    void *object = tri_alloc_leaf_uninitialized(mutator, bytes);
    if (object && random_below(random, 4)) tri_free(mutator, object);
  }
}

static void fork_drop_destroyed(const fork_heap *heap, tri_mutator *mutator, uint64_t *random) {
  tri_handle **object = tri_alloc(mutator, heap->destroyed, 32);
  if (object && random_below(random, 2)) *object = tri_handle_make(mutator, NULL);
}

static void fork_large(const fork_heap *heap, tri_mutator *mutator, uint64_t *random) {
  char *object = tri_alloc(mutator, tri_layout_leaf(heap->heap), 40000 + random_below(random, 200000));
  if (object) object[39999] = 1;
}

static void fork_other_thread_things(fork_heap *heap) {
  uintptr_t words[4] = {0};
  if (tri_root_add_range(heap->heap, words, 4, 0) == TRI_OK) tri_root_remove_range(heap->heap, words);
  tri_pool *pool;
  if (tri_pool_make(heap->heap, 0, &pool) == TRI_OK) tri_pool_free(heap->heap, pool);
  tri_statistics statistics;
  tri_heap_statistics(heap->heap, &statistics);
}

static void fork_step(const fork_world *world, fork_heap *heap, tri_mutator *mutator, uint64_t *random, void **slots) {
  uint32_t slot = random_below(random, 4);
  switch (random_below(random, 32)) {
  case 0: fork_replace_handle(heap, mutator, random, &slots[4]); break;
  case 1: fork_large(heap, mutator, random); break;
  case 2:
    tri_blocking_begin(mutator);
    usleep(random_below(random, 300));
    tri_blocking_end(mutator);
    break;
  case 3: fork_other_thread_things(heap); break;
  case 4:
    if (random_below(random, 8) == 0) tri_collect(heap->heap, (tri_mode)random_below(random, 3));
    break;
  case 5:
  case 6: fork_drop_destroyed(heap, mutator, random); break;
  case 7:
  case 8:
  case 9:
  case 10: fork_free_some(mutator, random); break;
  case 11: fork_check_list(world, slots[slot]); break;
  default: fork_make_list(heap, mutator, random, &slots[slot]); break;
  }
}

static bool fork_attach(const fork_world *world, const fork_heap *heap, tri_mutator **mutator) {
  return tri_attach(heap->heap, world->options.conservative ? 0 : TRI_ATTACH_PRECISE, mutator) == TRI_OK;
}

// Five slots of a scope, all NULL.
static bool fork_slots(tri_mutator *mutator, void ***slots) {
  bool all = true;
  for (int index = 0; index < 5; index++) {
    void **slot = tri_scope_slot(mutator, NULL);
    if (index == 0) *slots = slot;
    all = all && slot == *slots + index;
  }
  return all;
}

static void *fork_worker_main(void *context) {
  fork_worker *worker = context;
  fork_world *world = worker->world;
  while (!__atomic_load_n(&world->stop, __ATOMIC_ACQUIRE)) {
    // Each life is short, and the next one perhaps on both heaps.
    bool both = random_below(&worker->random, 3) == 0;
    uint32_t first = random_below(&worker->random, 2);
    tri_mutator *mutators[2] = {NULL, NULL};
    void **slots[2] = {NULL, NULL};
    for (uint32_t index = 0; index < 2; index++) {
      if (index != first && !both) continue;
      if (!fork_attach(world, &world->heaps[index], &mutators[index])) continue;
      tri_scope_begin(mutators[index]);
      if (!fork_slots(mutators[index], &slots[index])) slots[index] = NULL;
    }
    for (uint32_t steps = 200 + random_below(&worker->random, 800);
         steps && !__atomic_load_n(&world->stop, __ATOMIC_ACQUIRE); steps--)
      for (uint32_t index = 0; index < 2; index++)
        if (slots[index]) fork_step(world, &world->heaps[index], mutators[index], &worker->random, slots[index]);
    for (uint32_t index = 0; index < 2; index++) {
      if (!mutators[index]) continue;
      tri_scope_end(mutators[index], (tri_scope){0, 1});
      if (tri_detach(mutators[index]) != TRI_OK) fork_fail(world, "a worker could not detach");
    }
  }
  return NULL;
}

static void fork_start(fork_world *world, fork_worker *workers, uint32_t count, uint64_t *random) {
  for (uint32_t index = 0; index < count; index++) {
    workers[index] = (fork_worker){.world = world, .random = random_next(random), .number = index};
    if (pthread_create(&workers[index].thread, NULL, fork_worker_main, &workers[index]) != 0)
      fork_fail(world, "no thread");
  }
}

static void fork_stop(fork_world *world, fork_worker *workers, uint32_t count) {
  __atomic_store_n(&world->stop, 1u, __ATOMIC_RELEASE);
  for (uint32_t index = 0; index < count; index++) pthread_join(workers[index].thread, NULL);
  __atomic_store_n(&world->stop, 0u, __ATOMIC_RELEASE);
}

// ---- The thread that forks ----

typedef struct fork_self {
  fork_world *world;
  uint64_t random;
  tri_mutator *mutators[2];
  void **slots[2];
  fork_result result;
} fork_self;

// While it waits for others, nobody waits for it.
static void fork_begin_wait(const fork_self *self) {
  for (int index = 0; index < 2; index++)
    if (self->mutators[index]) tri_blocking_begin(self->mutators[index]);
}

static void fork_end_wait(const fork_self *self) {
  for (int index = 0; index < 2; index++)
    if (self->mutators[index]) tri_blocking_end(self->mutators[index]);
}

static uint64_t fork_count_reachable(const fork_self *self, uint32_t index) {
  uint64_t count = 0;
  for (int slot = 0; self->slots[index] && slot < 5; slot++)
    count += fork_check_list(self->world, self->slots[index][slot]);
  for (int handle = 0; handle < FORK_HANDLES; handle++)
    count += fork_check_list(self->world, tri_handle_get(self->world->heaps[index].handles[handle]));
  return count + fork_check_list(self->world, tri_handle_get(self->world->heaps[index].long_list));
}

// Before the child does anything, which may start a cycle.
static void fork_child_is_born(const fork_self *self, uint32_t index) {
  tri_statistics statistics;
  tri_heap_statistics(self->world->heaps[index].heap, &statistics);
  if (statistics.phase != TRI_PHASE_OFF) fork_fail(self->world, "a child is born marking");
  if (statistics.mutators != (self->mutators[index] != NULL)) fork_fail(self->world, "a child has others' mutators");
}

static void fork_child_counts(const fork_self *self, uint32_t index) {
  tri_heap *heap = self->world->heaps[index].heap;
  tri_statistics statistics;
  tri_collect(heap, TRI_MODE_FORCE_BLOCK);
  tri_heap_statistics(heap, &statistics);
  uint64_t reachable = fork_count_reachable(self, index);
  bool right =
      self->world->options.conservative ? statistics.live_objects >= reachable : statistics.live_objects == reachable;
  if (right) return;
  fprintf(stderr, "fork loop: %llu objects are alive, %llu reachable\n", (unsigned long long)statistics.live_objects,
          (unsigned long long)reachable);
  fork_fail(self->world, "a child's first full cycle");
}

static void fork_once(fork_self *self, uint32_t depth);

// The whole life of a child.
_Noreturn static void fork_child(fork_self *self, uint32_t depth) {
  alarm(FORK_CHILD_SECONDS);
  tri_testing_refuse_memory(0, 0);
  fork_world *world = self->world;
  for (uint32_t index = 0; index < 2; index++) fork_child_is_born(self, index);
  // What is first done to a heap that was just copied: a mode, or allocation.
  uint32_t first = random_below(&self->random, 5);
  for (uint32_t index = 0; index < 2; index++) {
    if (first < 3) tri_collect(world->heaps[index].heap, (tri_mode)first);
    for (int step = 0; first == 4 && self->slots[index] && step < 300; step++)
      fork_step(world, &world->heaps[index], self->mutators[index], &self->random, self->slots[index]);
    fork_count_reachable(self, index);
    fork_child_counts(self, index);
  }
  if (depth < 2 && random_below(&self->random, 6) == 0) fork_once(self, depth + 1);
  fork_worker workers[2];
  fork_start(world, workers, 2, &self->random);
  if (random_below(&self->random, 8) == 0) fork_once(self, 2);
  for (int mode = 0; mode < 3; mode++) tri_collect(world->heaps[mode % 2].heap, (tri_mode)mode);
  fork_begin_wait(self);
  usleep(2000);
  fork_stop(world, workers, 2);
  fork_end_wait(self);
  for (uint32_t index = 0; index < 2; index++) {
    fork_child_counts(self, index);
    tri_testing_verify(world->heaps[index].heap);
    if (self->mutators[index]) {
      tri_scope_end(self->mutators[index], (tri_scope){0, 1});
      if (tri_detach(self->mutators[index]) != TRI_OK) fork_fail(world, "a child could not detach");
    }
    if (tri_heap_destroy(world->heaps[index].heap) != TRI_OK) fork_fail(world, "a child could not end its heap");
  }
  _exit(0);
}

static void fork_wait(const fork_world *world, pid_t child) {
  int status;
  while (waitpid(child, &status, 0) < 0) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  fprintf(stderr, "fork loop: a child ended with status 0x%x (%s)\n", (unsigned)status,
          WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exited");
  fork_fail(world, "a child failed");
}

static void fork_once(fork_self *self, uint32_t depth) {
  uint32_t blocked = random_below(&self->random, 2);
  bool blocking = self->mutators[blocked] && random_below(&self->random, 3) == 0;
  tri_statistics statistics;
  tri_heap_statistics(self->world->heaps[blocked].heap, &statistics);
  self->result.during_cycles += statistics.phase == TRI_PHASE_MARK;
  self->result.during_sweeps += tri_testing_sweep_is_running(self->world->heaps[blocked].heap);
  if (self->world->options.refuse_memory && random_below(&self->random, 2))
    tri_testing_refuse_memory(random_below(&self->random, 3), 1 + random_below(&self->random, 20));
  if (blocking) tri_blocking_begin(self->mutators[blocked]);
  uint64_t began = fork_now_ns();
  pid_t child = fork();
  uint64_t took = fork_now_ns() - began;
  if (blocking) tri_blocking_end(self->mutators[blocked]);
  if (child == 0) fork_child(self, depth);
  tri_testing_refuse_memory(0, 0);
  if (child < 0) fork_fail(self->world, "fork was refused");
  self->result.children++;
  self->result.fork_ns_total += took;
  if (took > self->result.fork_ns_max) self->result.fork_ns_max = took;
  fork_begin_wait(self);
  fork_wait(self->world, child);
  fork_end_wait(self);
}

static void fork_attach_self(fork_self *self, uint32_t index) {
  if (!fork_attach(self->world, &self->world->heaps[index], &self->mutators[index])) {
    self->mutators[index] = NULL;
    return;
  }
  tri_scope_begin(self->mutators[index]);
  if (!fork_slots(self->mutators[index], &self->slots[index])) fork_fail(self->world, "no slots");
}

static void fork_detach_self(fork_self *self, uint32_t index) {
  if (!self->mutators[index]) return;
  tri_scope_end(self->mutators[index], (tri_scope){0, 1});
  if (tri_detach(self->mutators[index]) != TRI_OK) fork_fail(self->world, "the forking thread could not detach");
  self->mutators[index] = NULL;
  self->slots[index] = NULL;
}

// ---- The run ----

static void fork_make_heap(fork_world *world, fork_heap *heap) {
  const fork_options *given = &world->options;
  tri_options options;
  tri_options_init(&options);
  options.read_environment = 0;
  options.reservation_bytes = 1 << 30;
  options.minimum_heap_bytes = 1 << 20;
  options.barrier = given->barrier;
  options.generations = given->generations;
  options.checkmark = given->checkmark;
  options.verify = given->verify;
  options.stress_interval = given->stress_interval;
  options.mark_workers = 2;
  if (tri_heap_create(&options, &heap->heap) != TRI_OK) fork_fail(world, "no heap");
  tri_layout_description destroyed = {.form = TRI_LAYOUT_LEAF, .destroy = fork_destroy, .context = heap};
  tri_layout_description node = {.form = TRI_LAYOUT_MASK, .prefix_words = 4, .prefix_mask = 1};
  tri_layout *layout;
  if (tri_layout_make(heap->heap, &destroyed, &heap->destroyed) != TRI_OK ||
      tri_layout_make(heap->heap, &node, &layout) != TRI_OK ||
      tri_type_make(heap->heap, layout, sizeof(fork_node), &heap->node) != TRI_OK)
    fork_fail(world, "no layouts");
  tri_mutator *mutator;
  if (tri_attach(heap->heap, TRI_ATTACH_PRECISE, &mutator) != TRI_OK) fork_fail(world, "not attached");
  for (int index = 0; index < FORK_HANDLES; index++) heap->handles[index] = tri_handle_make(mutator, NULL);
  uint64_t random = world->options.seed;
  tri_scope scope = tri_scope_begin(mutator);
  void **slot = tri_scope_slot(mutator, NULL);
  fork_make_list_of(heap, mutator, &random, slot, FORK_LONG_LIST_NODES);
  heap->long_list = tri_handle_make(mutator, *slot);
  tri_scope_end(mutator, scope);
  tri_detach(mutator);
}

fork_result fork_loop_run(fork_options options) {
  static fork_world world;
  static fork_self self;
  memset(&world, 0, sizeof world);
  world.options = options;
  self = (fork_self){.world = &world, .random = options.seed};
  for (int index = 0; index < 2; index++) fork_make_heap(&world, &world.heaps[index]);
  fork_worker workers[FORK_WORKERS_MAX];
  uint32_t count = options.threads < FORK_WORKERS_MAX ? options.threads : FORK_WORKERS_MAX;
  fork_start(&world, workers, count, &self.random);
  for (uint32_t round = 0; round < options.forks; round++) {
    for (uint32_t index = 0; index < 2; index++) {
      uint32_t change = random_below(&self.random, 3);
      if (change == 0) fork_detach_self(&self, index);
      if (change == 1 && !self.mutators[index]) fork_attach_self(&self, index);
      for (uint32_t steps = random_below(&self.random, 60); steps && self.slots[index]; steps--)
        fork_step(&world, &world.heaps[index], self.mutators[index], &self.random, self.slots[index]);
    }
    fork_once(&self, 0);
  }
  for (uint32_t index = 0; index < 2; index++) fork_detach_self(&self, index);
  fork_stop(&world, workers, count);
  for (uint32_t index = 0; index < 2; index++) {
    fork_child_counts(&self, index);
    if (tri_heap_destroy(world.heaps[index].heap) != TRI_OK) fork_fail(&world, "a heap could not be ended");
  }
  return self.result;
}
