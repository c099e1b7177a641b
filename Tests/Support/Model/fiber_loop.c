// Each fiber keeps the head of a list in a local variable and nowhere else. After any switch, on any thread, the list
// is as long as it was, and every node has its stamp.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE // MAP_ANONYMOUS, MAP_STACK
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "random.h"
#include "thread_loops.h"
#include "tricolor.h"
#include "tricolor_testing.h"

enum { FIBER_STACK_BYTES = 64 << 10, FIBER_LIST_NODES = 40, FIBER_THREADS_MAX = 8 };

typedef struct fiber_node {
  struct fiber_node *next;
  uint64_t id, complement, padding;
} fiber_node;

typedef struct fiber_all {
  fiber_options options;
  tri_heap *heap;
  tri_type node;
  pthread_mutex_t lock; // of what follows
  struct fiber_task *tasks;
  fiber_result result;
} fiber_all;

// A thread that runs fibers.
typedef struct fiber_thread {
  fiber_all *all;
  tri_mutator *mutator;
  ucontext_t context;
  struct fiber_task *leaving; // to be given back when its context is saved
  uint32_t switches;
  uint64_t random;
  pthread_t thread;
} fiber_thread;

typedef struct fiber_task {
  ucontext_t context;
  tri_fiber *fiber;
  char *stack;
  fiber_thread *on, *before;
  uint64_t random;
  bool taken, done;
} fiber_task;

_Noreturn static void fiber_fail(const fiber_all *all, const char *what) {
  fprintf(stderr, "fiber loop: seed %llu: %s\n", (unsigned long long)all->options.seed, what);
  abort();
}

// ---- Switching ----

static fiber_task *fiber_take(fiber_all *all, uint64_t *random, bool ended_too) {
  fiber_task *found = NULL;
  pthread_mutex_lock(&all->lock);
  uint32_t first = random_below(random, all->options.fibers);
  for (uint32_t step = 0; step < all->options.fibers && !found; step++) {
    fiber_task *task = &all->tasks[(first + step) % all->options.fibers];
    if (!task->taken && (ended_too || !task->done)) found = task;
  }
  if (found) found->taken = true;
  pthread_mutex_unlock(&all->lock);
  return found;
}

static void fiber_give_back(fiber_thread *on) {
  if (!on->leaving) return;
  pthread_mutex_lock(&on->all->lock);
  on->leaving->taken = false;
  pthread_mutex_unlock(&on->all->lock);
  on->leaving = NULL;
}

static void fiber_note_switch(fiber_thread *on, fiber_task *to) {
  pthread_mutex_lock(&on->all->lock);
  on->all->result.switches++;
  if (to && to->before && to->before != on) on->all->result.migrations++;
  if (to) to->before = on;
  pthread_mutex_unlock(&on->all->lock);
  if (to) to->on = on;
}

// Both in one frame, as the header asks.
static __attribute__((noinline)) void fiber_switch(fiber_thread *on, ucontext_t *from, fiber_task *to) {
  fiber_note_switch(on, to);
  ucontext_t *there = to ? &to->context : &on->context;
  tri_fiber_switch(on->mutator, to ? to->fiber : NULL);
  swapcontext(from, there);
}

// From a fiber: to another one, or to the thread's own stack. Back on any thread.
static void fiber_yield(fiber_task *task) {
  fiber_thread *on = task->on;
  fiber_task *to = NULL;
  if (on->switches && random_below(&task->random, 2)) {
    on->switches--;
    to = fiber_take(on->all, &task->random, false);
  }
  on->leaving = task;
  fiber_switch(on, &task->context, to);
  fiber_give_back(task->on);
}

// ---- What a fiber does ----

static uint64_t fiber_check_list(const fiber_all *all, const fiber_node *node) {
  uint64_t length = 0;
  for (; node; node = __atomic_load_n(&node->next, __ATOMIC_ACQUIRE), length++)
    if (tri_object_start(all->heap, node) != node || node->complement != ~node->id)
      fiber_fail(all, "a node that only a fiber's stack led to was lost");
  return length;
}

static fiber_node *fiber_push(fiber_task *task, fiber_node *head) {
  tri_mutator *mutator = task->on->mutator;
  fiber_node *volatile kept = head;
  fiber_node *node = tri_new(mutator, task->on->all->node, sizeof *node);
  if (!node) fiber_fail(task->on->all, "no memory");
  node->id = random_next(&task->random);
  node->complement = ~node->id;
  tri_init(mutator, node, &node->next, kept);
  return node;
}

static void fiber_body(uint32_t high, uint32_t low) {
  fiber_task *task = (fiber_task *)((uintptr_t)high << 32 | low);
  fiber_give_back(task->on);
  fiber_all *all = task->on->all;
  fiber_node *head = NULL;
  uint64_t length = 0;
  for (uint32_t steps = 20 + random_below(&task->random, 200); steps; steps--) {
    switch (random_below(&task->random, 16)) {
    case 0:
      head = NULL;
      length = 0;
      break;
    case 1:
      if (random_below(&task->random, 8) == 0) tri_collect(all->heap, (tri_mode)random_below(&task->random, 3));
      break;
    case 2: tri_safepoint(task->on->mutator); break;
    case 3:
    case 4:
    case 5: fiber_yield(task); break;
    case 6: // into an old object
      if (head && head->next) {
        fiber_node *second = head->next, *third = second->next;
        tri_store(task->on->mutator, head, &head->next, third);
        tri_store(task->on->mutator, head, &head->next, second);
      }
      break;
    default:
      if (length == FIBER_LIST_NODES) break;
      head = fiber_push(task, head);
      length++;
      break;
    }
    if (fiber_check_list(all, head) != length) fiber_fail(all, "a list on a fiber's stack is not what it was");
  }
  head = NULL;
  task->done = true;
  task->on->leaving = task;
  tri_fiber_switch(task->on->mutator, NULL);
  setcontext(&task->on->context);
}

// ---- Threads ----

static void fiber_make(fiber_all *all, fiber_task *task) {
  getcontext(&task->context);
  task->context.uc_stack.ss_sp = task->stack;
  task->context.uc_stack.ss_size = FIBER_STACK_BYTES;
  task->context.uc_link = NULL;
  makecontext(&task->context, (void (*)(void))fiber_body, 2, (uint32_t)((uintptr_t)task >> 32),
              (uint32_t)(uintptr_t)task);
  task->done = false;
  task->before = NULL;
  if (tri_fiber_add(all->heap, task->stack, task->stack + FIBER_STACK_BYTES, &task->fiber) != TRI_OK)
    fiber_fail(all, "a fiber was not taken");
}

static void fiber_renew(fiber_all *all, fiber_task *task) {
  if (tri_fiber_remove(all->heap, task->fiber) != TRI_OK) fiber_fail(all, "a fiber was not known");
  fiber_make(all, task);
  pthread_mutex_lock(&all->lock);
  all->result.ended++;
  pthread_mutex_unlock(&all->lock);
}

static void *fiber_thread_main(void *context) {
  fiber_thread *on = context;
  if (tri_attach(on->all->heap, 0, &on->mutator) != TRI_OK) fiber_fail(on->all, "a thread could not attach");
  while (on->switches) {
    on->switches--;
    fiber_task *task = fiber_take(on->all, &on->random, true);
    if (!task) {
      tri_safepoint(on->mutator);
      continue;
    }
    if (task->done) {
      fiber_renew(on->all, task);
      on->leaving = task;
      fiber_give_back(on);
      continue;
    }
    fiber_switch(on, &on->context, task);
    if (tri_fiber_current(on->mutator)) fiber_fail(on->all, "a thread is back and still on a fiber");
    fiber_give_back(on);
  }
  if (tri_detach(on->mutator) != TRI_OK) fiber_fail(on->all, "a thread could not detach");
  return NULL;
}

// ---- The run ----

static void fiber_open(fiber_all *all) {
  tri_options options;
  tri_options_init(&options);
  options.read_environment = 0;
  options.reservation_bytes = 1 << 30;
  options.minimum_heap_bytes = 512 << 10;
  options.barrier = all->options.barrier;
  options.generations = all->options.generations;
  options.checkmark = options.verify = all->options.checked;
  options.stress_interval = all->options.stress_interval;
  if (tri_heap_create(&options, &all->heap) != TRI_OK) fiber_fail(all, "no heap");
  tri_layout_description node = {.form = TRI_LAYOUT_MASK, .prefix_words = 4, .prefix_mask = 1};
  tri_layout *layout;
  if (tri_layout_make(all->heap, &node, &layout) != TRI_OK ||
      tri_type_make(all->heap, layout, sizeof(fiber_node), &all->node) != TRI_OK)
    fiber_fail(all, "no layout");
  pthread_mutex_init(&all->lock, NULL);
}

static char *fiber_map_stack(const fiber_all *all) {
  void *stack = mmap(NULL, FIBER_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) fiber_fail(all, "no stack");
  return stack;
}

// A fiber that nobody finishes keeps what its stack holds, until it is removed.
static void fiber_remove_all(fiber_all *all) {
  for (uint32_t index = 0; index < all->options.fibers; index++)
    if (tri_fiber_remove(all->heap, all->tasks[index].fiber) != TRI_OK) fiber_fail(all, "a fiber was not known");
  if (tri_fiber_remove(all->heap, all->tasks[0].fiber) != TRI_NOT_FOUND) fiber_fail(all, "a fiber was removed twice");
}

fiber_result fiber_loop_run(fiber_options options) {
  fiber_all all = {.options = options};
  fiber_open(&all);
  all.tasks = calloc(options.fibers, sizeof *all.tasks);
  if (!all.tasks) abort();
  for (uint32_t index = 0; index < options.fibers; index++) {
    all.tasks[index].random = options.seed * 31 + index + 1;
    all.tasks[index].stack = fiber_map_stack(&all);
    fiber_make(&all, &all.tasks[index]);
  }
  static fiber_thread threads[FIBER_THREADS_MAX];
  uint32_t count = options.threads < FIBER_THREADS_MAX ? options.threads : FIBER_THREADS_MAX;
  for (uint32_t index = 0; index < count; index++) {
    threads[index] = (fiber_thread){.all = &all, .switches = options.switches, .random = options.seed + index + 1};
    if (pthread_create(&threads[index].thread, NULL, fiber_thread_main, &threads[index]) != 0)
      fiber_fail(&all, "no thread");
  }
  for (uint32_t index = 0; index < count; index++) pthread_join(threads[index].thread, NULL);
  tri_collect(all.heap, TRI_MODE_FORCE_BLOCK); // with suspended fibers and no thread at all
  fiber_remove_all(&all);
  tri_collect(all.heap, TRI_MODE_FORCE_BLOCK);
  tri_statistics statistics;
  tri_heap_statistics(all.heap, &statistics);
  all.result.live_at_end = statistics.live_objects;
  all.result.cycles = statistics.cycles;
  all.result.checkmarks = statistics.checkmarks;
  tri_testing_verify(all.heap);
  if (tri_heap_destroy(all.heap) != TRI_OK) fiber_fail(&all, "the heap could not be ended");
  for (uint32_t index = 0; index < options.fibers; index++) munmap(all.tasks[index].stack, FIBER_STACK_BYTES);
  free(all.tasks);
  return all.result;
}

// ---- Misuse ----

typedef struct fiber_scene {
  fiber_all all, other;
  tri_mutator *mutator;
  tri_fiber *fiber, *second;
  ucontext_t here, there;
  fiber_misuse misuse;
} fiber_scene;

static fiber_scene fiber_on_stage;

static void fiber_misuse_body(void) {
  fiber_scene *scene = &fiber_on_stage;
  void *volatile kept = tri_alloc_leaf(scene->mutator, 64);
  if (scene->misuse == FIBER_DETACHED_ON) tri_detach(scene->mutator);
  if (scene->misuse == FIBER_REMOVED_WHILE_RUNNING) tri_fiber_remove(scene->all.heap, scene->fiber);
  if (scene->misuse == FIBER_ENTERED_TWICE) tri_fiber_switch(scene->mutator, scene->fiber);
  tri_collect(scene->all.heap, TRI_MODE_BACKGROUND);
  if (tri_object_start(scene->all.heap, kept) != kept) fiber_fail(&scene->all, "an object on a fiber's stack is gone");
  tri_fiber_switch(scene->mutator, NULL);
  setcontext(&scene->here);
}

static void *fiber_misuse_from_another_thread(void *context) {
  fiber_scene *scene = context;
  tri_mutator *mutator = scene->mutator;
  if (scene->misuse == FIBER_ENTERED_FROM_TWO_THREADS) tri_attach(scene->all.heap, 0, &mutator);
  tri_fiber_switch(mutator, scene->fiber);
  return NULL;
}

void fiber_misuse_run(fiber_misuse misuse) {
  fiber_scene *scene = &fiber_on_stage;
  memset(scene, 0, sizeof *scene);
  scene->misuse = misuse;
  fiber_open(&scene->all);
  char *stack = fiber_map_stack(&scene->all);
  bool precise = misuse == FIBER_WITH_PRECISE_MUTATOR;
  tri_attach(scene->all.heap, precise ? TRI_ATTACH_PRECISE : 0, &scene->mutator);
  if (misuse == FIBER_EMPTY_STACK) tri_fiber_add(scene->all.heap, stack, stack, &scene->fiber);
  if (misuse == FIBER_OF_ANOTHER_HEAP) {
    fiber_open(&scene->other);
    tri_fiber_add(scene->other.heap, stack, stack + FIBER_STACK_BYTES, &scene->fiber);
  } else if (tri_fiber_add(scene->all.heap, stack, stack + FIBER_STACK_BYTES, &scene->fiber) != TRI_OK) {
    fiber_fail(&scene->all, "a fiber was not taken");
  }
  getcontext(&scene->there);
  scene->there.uc_stack.ss_sp = stack;
  scene->there.uc_stack.ss_size = FIBER_STACK_BYTES;
  scene->there.uc_link = NULL;
  makecontext(&scene->there, fiber_misuse_body, 0);
  if (misuse == FIBER_IN_BLOCKING_REGION) tri_blocking_begin(scene->mutator);
  if (misuse == FIBER_ENTERED_FROM_TWO_THREADS) tri_fiber_switch(scene->mutator, scene->fiber);
  if (misuse == FIBER_ENTERED_FROM_TWO_THREADS || misuse == FIBER_OF_ANOTHER_THREADS_MUTATOR) {
    pthread_t thread;
    pthread_create(&thread, NULL, fiber_misuse_from_another_thread, scene);
    pthread_join(thread, NULL);
  }
  if (misuse != FIBER_SWITCHED_WITHOUT_TELLING) tri_fiber_switch(scene->mutator, scene->fiber);
  if (misuse == FIBER_LEFT_FROM_ANOTHER_STACK) tri_fiber_switch(scene->mutator, NULL);
  if (misuse == FIBER_TOLD_WITHOUT_SWITCHING) tri_collect(scene->all.heap, TRI_MODE_FORCE);
  swapcontext(&scene->here, &scene->there);
  tri_collect(scene->all.heap, TRI_MODE_FORCE_BLOCK);
  if (tri_fiber_remove(scene->all.heap, scene->fiber) != TRI_OK) fiber_fail(&scene->all, "a fiber was not known");
  tri_detach(scene->mutator);
  if (tri_heap_destroy(scene->all.heap) != TRI_OK) fiber_fail(&scene->all, "the heap could not be ended");
}
