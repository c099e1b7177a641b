// The heap's own threads: one collector thread, started when first wanted, and helpers that mark in a stopped world.
// Both end with the heap.
#include <string.h>

#include "base/step.h"
#include "heap/heap.h"
#include "heap/trigger.h"
#include "mutator/assist.h"
#include "mutator/stopping.h"

enum {
  // A small graph is marked before a helper could wake up; measured in objects, about half a millisecond.
  TRI_HELPERS_WORTH_OBJECTS = 20000,
  // What a mark has to take to be worth the CPU clock, some hundred nanoseconds.
  TRI_CPU_CLOCK_WORTH_NS = 20000,
};

// ---- Helpers ----

typedef struct tri_helper_start {
  tri_heap *heap;
  uint32_t index;
  uint32_t job; // the last one before it started
} tri_helper_start;

static void *tri_helper_main(void *context) {
  tri_helper_start start = *(tri_helper_start *)context;
  tri_heap *heap = start.heap;
  tri_helpers *helpers = &heap->helpers;
  tri_marker *marker = &helpers->markers[start.index];
  uint32_t seen = start.job;
  tri_lock_acquire(&helpers->lock);
  for (;;) {
    while (helpers->job == seen && !helpers->quit) tri_lock_wait(&helpers->lock, &helpers->wake, 0);
    if (helpers->quit) break;
    seen = helpers->job;
    if (start.index >= helpers->invited) continue;
    tri_lock_release(&helpers->lock);
    uint64_t began = tri_thread_cpu_ns();
    tri_grey_worker_begin(&heap->world.collect.grey);
    tri_assist_marker_run(&heap->world, marker, UINT64_MAX, NULL);
    tri_grey_worker_end(&heap->world.collect.grey);
    tri_add_relaxed(&heap->world.collect.mark_cpu_ns, tri_thread_cpu_ns() - began);
    tri_lock_acquire(&helpers->lock);
    if (--helpers->busy == 0) pthread_cond_broadcast(&helpers->done);
  }
  tri_lock_release(&helpers->lock);
  return NULL;
}

static uint32_t tri_helpers_beside_caller(uint32_t workers) {
  if (workers <= 1) return 0;
  return workers > TRI_HELPERS_MAX ? TRI_HELPERS_MAX : workers - 1;
}

bool tri_helpers_init(tri_heap *heap) {
  tri_helpers *helpers = &heap->helpers;
  tri_lock_init(&helpers->lock, TRI_RANK_HELPERS);
  tri_condition_init(&helpers->wake);
  tri_condition_init(&helpers->done);
  const tri_options *options = &heap->options;
  uint32_t cpus = tri_cpu_count();
  helpers->worth_objects = TRI_HELPERS_WORTH_OBJECTS;
  helpers->in_stop = tri_helpers_beside_caller(options->mark_workers ? options->mark_workers : cpus);
  helpers->beside_mutators =
      tri_helpers_beside_caller(options->background_workers ? options->background_workers : cpus / 4);
  helpers->rests_of_cpus = options->background_workers || cpus >= 4 ? 0 : cpus;
  return true;
}

// Starts what is missing; with fewer threads than wanted marking is slower, not wrong.
static void tri_helpers_start_missing(tri_heap *heap, uint32_t wanted) {
  tri_helpers *helpers = &heap->helpers;
  while (helpers->started < wanted) {
    uint32_t index = helpers->started;
    tri_helper_start *start = tri_meta_allocate(&heap->world.collect.spans.space.meta, sizeof *start);
    if (!start || !tri_marker_init(&helpers->markers[index], &heap->world.collect)) return;
    *start = (tri_helper_start){heap, index, helpers->job};
    if (!tri_thread_start(tri_helper_main, start, &helpers->threads[index])) {
      tri_marker_destroy(&helpers->markers[index]);
      return;
    }
    helpers->started++;
  }
}

void tri_helpers_destroy(tri_heap *heap) {
  tri_helpers *helpers = &heap->helpers;
  tri_lock_acquire(&helpers->lock);
  helpers->quit = true;
  pthread_cond_broadcast(&helpers->wake);
  tri_lock_release(&helpers->lock);
  for (uint32_t index = 0; index < helpers->started; index++) tri_thread_join(&helpers->threads[index]);
  pthread_cond_destroy(&helpers->done);
  pthread_cond_destroy(&helpers->wake);
  tri_lock_destroy(&helpers->lock);
}

static void tri_helpers_wake(tri_heap *heap, uint32_t wanted) {
  tri_helpers *helpers = &heap->helpers;
  tri_helpers_start_missing(heap, wanted);
  tri_lock_acquire(&helpers->lock);
  helpers->invited = wanted < helpers->started ? wanted : helpers->started;
  helpers->busy = helpers->invited;
  helpers->job++;
  pthread_cond_broadcast(&helpers->wake);
  tri_lock_release(&helpers->lock);
}

static void tri_helpers_wait(tri_heap *heap) {
  tri_helpers *helpers = &heap->helpers;
  tri_lock_acquire(&helpers->lock);
  while (helpers->busy) tri_lock_wait(&helpers->lock, &helpers->done, 0);
  tri_lock_release(&helpers->lock);
}

// While the helpers sleep. Beside mutators, and in a stop that comes in phase mark, others may be marking too.
static uint64_t tri_mark_without_helpers(tri_heap *heap, uint64_t budget_objects, tri_share *share) {
  if (tri_load_relaxed(&heap->world.collect.phase) != TRI_PHASE_MARK_TERMINATION)
    return tri_assist_marker_run(&heap->world, &heap->marker, budget_objects, share);
  tri_assert_world_stopped(&heap->world);
  return tri_marker_run_alone(&heap->marker, budget_objects);
}

// The CPU clock is a system call; a mutator that runs its own short cycle takes the other one.
static uint64_t tri_helpers_clock_ns(const tri_heap *heap) {
  bool wall = heap->cycle.inline_mutator && !tri_load_relaxed(&heap->world.collect.counts_cpu) &&
              tri_load_relaxed(&heap->last_mark_cpu_ns) < TRI_CPU_CLOCK_WORTH_NS;
  return wall ? tri_clock_ns() : tri_thread_cpu_ns();
}

// Marks alone what is worth no helper, then with them.
static void tri_helpers_mark_with(tri_heap *heap, uint32_t helpers, tri_share *share) {
  tri_grey_queue *grey = &heap->world.collect.grey;
  uint64_t began = tri_helpers_clock_ns(heap);
  tri_grey_worker_begin(grey);
  uint64_t worth = helpers ? heap->helpers.worth_objects : UINT64_MAX;
  bool help = tri_mark_without_helpers(heap, worth, share) >= worth;
  if (help) {
    tri_helpers_wake(heap, helpers);
    tri_assist_marker_run(&heap->world, &heap->marker, UINT64_MAX, share);
  }
  tri_grey_worker_end(grey);
  tri_add_relaxed(&heap->world.collect.mark_cpu_ns, tri_helpers_clock_ns(heap) - began);
  if (help) tri_helpers_wait(heap);
}

void tri_helpers_mark_in_stop(tri_heap *heap) {
  tri_assert_world_stopped(&heap->world);
  tri_helpers_mark_with(heap, heap->helpers.in_stop, NULL);
}

void tri_helpers_mark_beside_mutators(tri_heap *heap) {
  tri_assert_phase(&heap->world.collect, TRI_PHASE_MARK);
  tri_share share;
  // A thread that runs a cycle of its own waits for its end.
  bool rests = heap->helpers.rests_of_cpus && !heap->cycle.inline_mutator;
  if (rests) tri_share_begin(&share, heap->helpers.rests_of_cpus);
  tri_helpers_mark_with(heap, heap->helpers.beside_mutators, rests ? &share : NULL);
}

// ---- The collector thread ----

static void *tri_collector_main(void *context) {
  tri_heap *heap = context;
  tri_collector_thread *collector = &heap->collector;
  tri_lock_acquire(&collector->lock);
  while (!collector->quit) {
    bool cycle = collector->cycle_wanted, sweep = collector->sweep_wanted;
    collector->cycle_wanted = collector->sweep_wanted = false;
    uint64_t now_ns = tri_clock_ns();
    bool tick = now_ns >= collector->tick_at_ns;
    if (!cycle && !sweep && !tick) {
      uint64_t left_ns = collector->tick_at_ns == TRI_NEVER_NS ? 0 : collector->tick_at_ns - now_ns;
      tri_lock_wait(&collector->lock, &collector->wake, left_ns);
      continue;
    }
    if (tick) collector->tick_at_ns = TRI_NEVER_NS;
    tri_lock_release(&collector->lock);
    if (tick) tri_heap_tick(heap, now_ns);
    if (sweep)
      while (tri_sweep_unit(&heap->world.collect)) {
      }
    tri_events_deliver(heap);
    if (cycle && tri_heap_take_request(heap)) heap->front.run_cycle(heap->front.context, TRI_MODE_BACKGROUND, true);
    tri_lock_acquire(&collector->lock);
  }
  tri_lock_release(&collector->lock);
  return NULL;
}

void tri_collector_thread_init(tri_heap *heap) {
  tri_lock_init(&heap->collector.lock, TRI_RANK_HELPERS);
  tri_condition_init(&heap->collector.wake);
  heap->collector.tick_at_ns = TRI_NEVER_NS;
}

void tri_collector_thread_destroy(tri_heap *heap) {
  tri_collector_thread *collector = &heap->collector;
  tri_lock_acquire(&collector->lock);
  bool started = collector->started;
  collector->quit = true;
  pthread_cond_broadcast(&collector->wake);
  tri_lock_release(&collector->lock);
  if (started) tri_thread_join(&collector->thread);
  pthread_cond_destroy(&collector->wake);
  tri_lock_destroy(&collector->lock);
}

bool tri_collector_thread_request(tri_heap *heap, bool cycle, bool sweep) {
  tri_collector_thread *collector = &heap->collector;
  tri_lock_acquire(&collector->lock);
  if (!collector->started) collector->started = tri_thread_start(tri_collector_main, heap, &collector->thread);
  bool started = collector->started;
  if (started) {
    collector->cycle_wanted |= cycle;
    collector->sweep_wanted |= sweep;
    pthread_cond_broadcast(&collector->wake);
  }
  tri_lock_release(&collector->lock);
  return started;
}

bool tri_collector_thread_tick_at(tri_heap *heap, uint64_t when_ns) {
  tri_collector_thread *collector = &heap->collector;
  tri_lock_acquire(&collector->lock);
  if (!collector->started) collector->started = tri_thread_start(tri_collector_main, heap, &collector->thread);
  bool started = collector->started;
  if (started && when_ns < collector->tick_at_ns) {
    collector->tick_at_ns = when_ns;
    pthread_cond_broadcast(&collector->wake);
  }
  tri_lock_release(&collector->lock);
  return started;
}
