// Short threads hang lists of stamped nodes on shared handles, which others replace. What is reachable at the end has
// to be there; what is not must be gone; and the heap must be none the larger for it.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE // usleep
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "random.h"
#include "thread_loops.h"
#include "tricolor.h"
#include "tricolor_testing.h"

enum { STORM_HANDLES = 16, STORM_NODES = 30, STORM_AT_ONCE_MAX = 256 };

typedef struct storm_node {
  struct storm_node *next;
  uint64_t id, complement, padding;
} storm_node;

typedef struct storm {
  storm_options options;
  tri_heap *heap;
  tri_type node;
  tri_handle *handles[STORM_HANDLES];
  uint32_t next;                         // [atomic] number of the next thread
  uint32_t stop;                         // [atomic]
  uintptr_t seen[4 * STORM_AT_ONCE_MAX]; // [lock] mutators
  uint32_t seen_count;
  pthread_mutex_t lock;
} storm;

_Noreturn static void storm_fail(const storm *all, const char *what) {
  fprintf(stderr, "storm: seed %llu: %s\n", (unsigned long long)all->options.seed, what);
  abort();
}

static uint64_t storm_clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t storm_mappings(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  uint64_t lines = 0;
  for (int character; maps && (character = getc(maps)) != EOF;) lines += character == '\n';
  if (maps) fclose(maps);
  return lines;
}

static void storm_open(storm *all, bool checked) {
  tri_options options;
  tri_options_init(&options);
  options.read_environment = 0;
  options.reservation_bytes = 1 << 30;
  options.minimum_heap_bytes = 1 << 20;
  options.checkmark = options.verify = checked;
  if (tri_heap_create(&options, &all->heap) != TRI_OK) storm_fail(all, "no heap");
  tri_layout_description node = {.form = TRI_LAYOUT_MASK, .prefix_words = 4, .prefix_mask = 1};
  tri_layout *layout;
  if (tri_layout_make(all->heap, &node, &layout) != TRI_OK ||
      tri_type_make(all->heap, layout, sizeof(storm_node), &all->node) != TRI_OK)
    storm_fail(all, "no layout");
  tri_mutator *mutator;
  if (tri_attach(all->heap, TRI_ATTACH_PRECISE, &mutator) != TRI_OK) storm_fail(all, "not attached");
  for (int index = 0; index < STORM_HANDLES; index++) all->handles[index] = tri_handle_make(mutator, NULL);
  tri_detach(mutator);
  pthread_mutex_init(&all->lock, NULL);
}

static uint64_t storm_check_list(const storm *all, const storm_node *node) {
  uint64_t length = 0;
  for (; node; node = __atomic_load_n(&node->next, __ATOMIC_ACQUIRE), length++)
    if (node->complement != ~node->id) storm_fail(all, "a node was lost: its stamp is gone");
  return length;
}

static void storm_push(const storm *all, tri_mutator *mutator, uint64_t *random, void **slot) {
  storm_node *node = tri_new(mutator, all->node, sizeof *node);
  if (!node) storm_fail(all, "no memory");
  node->id = random_next(random);
  node->complement = ~node->id;
  tri_init(mutator, node, &node->next, *slot);
  *slot = node;
}

static void storm_note(storm *all, const tri_mutator *mutator) {
  pthread_mutex_lock(&all->lock);
  uint32_t index = 0;
  while (index < all->seen_count && all->seen[index] != (uintptr_t)mutator) index++;
  if (index == all->seen_count && index < 4 * STORM_AT_ONCE_MAX) all->seen[all->seen_count++] = (uintptr_t)mutator;
  pthread_mutex_unlock(&all->lock);
}

static void *storm_thread(void *context) {
  storm *all = context;
  uint32_t number = __atomic_add_fetch(&all->next, 1u, __ATOMIC_RELAXED);
  uint64_t random = all->options.seed * 1000003 + number;
  tri_mutator *mutator;
  if (tri_attach(all->heap, TRI_ATTACH_PRECISE, &mutator) != TRI_OK) storm_fail(all, "a thread could not attach");
  storm_note(all, mutator);
  tri_scope scope = tri_scope_begin(mutator);
  void **slot = tri_scope_slot(mutator, NULL);
  for (uint32_t count = 1 + random_below(&random, STORM_NODES); count; count--) storm_push(all, mutator, &random, slot);
  storm_check_list(all, *slot);
  tri_handle_set(mutator, all->handles[random_below(&random, STORM_HANDLES)], *slot);
  for (uint32_t count = random_below(&random, 8); count; count--) tri_free(mutator, tri_alloc_leaf(mutator, 64));
  bool blocking = random_below(&random, 16) == 0;
  if (blocking) tri_blocking_begin(mutator);
  if (number % 2) return NULL; // its end detaches it, whatever it has open
  if (blocking) tri_blocking_end(mutator);
  tri_scope_end(mutator, scope);
  if (tri_detach(mutator) != TRI_OK) storm_fail(all, "a thread could not detach");
  return NULL;
}

static void *storm_collector(void *context) {
  storm *all = context;
  for (uint32_t cycle = 0; cycle < all->options.cycles && !__atomic_load_n(&all->stop, __ATOMIC_ACQUIRE); cycle++) {
    tri_collect(all->heap, TRI_MODE_BACKGROUND);
    usleep(200);
  }
  return NULL;
}

static void storm_threads(storm *all, uint32_t threads) {
  pthread_t running[STORM_AT_ONCE_MAX];
  uint32_t at_once = all->options.at_once < STORM_AT_ONCE_MAX ? all->options.at_once : STORM_AT_ONCE_MAX;
  for (uint32_t started = 0; started < threads; started++) {
    uint32_t place = started % at_once;
    if (started >= at_once) pthread_join(running[place], NULL);
    if (pthread_create(&running[place], NULL, storm_thread, all) != 0) storm_fail(all, "no thread");
  }
  for (uint32_t place = 0; place < (threads < at_once ? threads : at_once); place++) pthread_join(running[place], NULL);
}

storm_result storm_run(storm_options options) {
  storm *all = calloc(1, sizeof *all);
  if (!all) abort();
  all->options = options;
  storm_open(all, options.checked);
  pthread_t collector;
  storm_result result = {0};
  uint64_t began = storm_clock_ns(CLOCK_MONOTONIC);
  if (pthread_create(&collector, NULL, storm_collector, all) != 0) storm_fail(all, "no thread");
  storm_threads(all, options.threads / 10);
  result.mappings_before = storm_mappings();
  storm_threads(all, options.threads - options.threads / 10);
  __atomic_store_n(&all->stop, 1u, __ATOMIC_RELEASE);
  pthread_join(collector, NULL);
  result.ns = storm_clock_ns(CLOCK_MONOTONIC) - began;
  result.mappings_after = storm_mappings();
  tri_collect(all->heap, TRI_MODE_FORCE_BLOCK);
  tri_statistics statistics;
  tri_heap_statistics(all->heap, &statistics);
  uint64_t reachable = 0;
  for (int index = 0; index < STORM_HANDLES; index++)
    reachable += storm_check_list(all, tri_handle_get(all->handles[index]));
  if (statistics.mutators != 0) storm_fail(all, "threads that are gone are attached");
  if (statistics.live_objects < reachable || statistics.live_objects > (uint64_t)STORM_HANDLES * STORM_NODES)
    storm_fail(all, "what is alive is not what is reachable");
  tri_testing_verify(all->heap);
  result.cycles = statistics.cycles;
  result.metadata_bytes = statistics.metadata_bytes;
  result.mutators = all->seen_count;
  if (tri_heap_destroy(all->heap) != TRI_OK) storm_fail(all, "the heap could not be ended");
  pthread_mutex_destroy(&all->lock);
  free(all);
  return result;
}

// ---- Many threads that stay ----

typedef struct storm_steps {
  storm *all;
  uint64_t steps, cpu_ns;
  pthread_t thread;
} storm_steps;

static void *storm_steps_main(void *context) {
  storm_steps *mine = context;
  storm *all = mine->all;
  uint64_t random = (uintptr_t)mine;
  tri_mutator *mutator;
  if (tri_attach(all->heap, TRI_ATTACH_PRECISE, &mutator) != TRI_OK) storm_fail(all, "a thread could not attach");
  tri_scope scope = tri_scope_begin(mutator);
  void **slot = tri_scope_slot(mutator, NULL);
  for (uint64_t step = 0; step < mine->steps; step++) {
    if (step % 100 == 0) *slot = NULL;
    storm_push(all, mutator, &random, slot);
    tri_safepoint(mutator);
  }
  tri_scope_end(mutator, scope);
  tri_detach(mutator);
  return NULL;
}

double storm_step_ns(uint32_t threads, uint64_t steps) {
  storm *all = calloc(1, sizeof *all);
  storm_steps *each = calloc(threads, sizeof *each);
  if (!all || !each) abort();
  storm_open(all, false);
  uint64_t began = storm_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  for (uint32_t index = 0; index < threads; index++) {
    each[index] = (storm_steps){.all = all, .steps = steps / threads};
    if (pthread_create(&each[index].thread, NULL, storm_steps_main, &each[index]) != 0) storm_fail(all, "no thread");
  }
  for (uint32_t index = 0; index < threads; index++) pthread_join(each[index].thread, NULL);
  uint64_t took = storm_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began;
  tri_heap_destroy(all->heap);
  free(each);
  free(all);
  return (double)took / (double)(steps / threads * threads);
}
