#include "heap/trigger.h"

#include "base/step.h"

enum {
  // What a thread waits at a limit before it allocates 64 slots more. Less is not told from what sleeping takes anyway;
  // more could be noticed as a stop.
  TRI_HOLD_NS_MIN = 500000,
  TRI_HOLD_NS_MAX = 20000000,
  TRI_HOLD_NS_PER_KIB = 1000,
  // For every so many threads the wait is as long again: a hundred of them allocate between two waits what takes the
  // collector longer than one.
  TRI_HOLD_CROWD = 8,
  TRI_HOLD_LOOK_NS = 100000, // at least, between two looks whether the cycle is over
  TRI_HOLD_LOOKS = 8,        // in one wait, at most: those of a crowd would cost a processor
};

bool tri_heap_take_request(tri_heap *heap) {
  return __atomic_exchange_n(&heap->world.cycle_wanted, 0, __ATOMIC_SEQ_CST);
}

// ---- A cycle that is late ----

static bool tri_heap_is_urgent(const tri_heap *heap, const tri_mutator_full *mutator) {
  const tri_world *world = &heap->world;
  int64_t over = tri_load_relaxed(&world->collect.allocated_since_bytes) - tri_load_relaxed(&world->urgent_bytes);
  // What was loaded and not handed out is no allocation yet (tri_trigger_is_early).
  return over >= 0 && over >= (int64_t)tri_mutator_waiting_bytes(mutator);
}

// At a limit, or far beyond the goal, while a cycle is on its way: whoever would allocate waits until it is over, a
// millisecond for each MiB that is beyond already. So an allocating thread cannot outrun a collector that is given no
// processor; and it waits for a bounded time, because the cycle may be waiting for something that this thread holds.
static void tri_heap_hold(tri_heap *heap, tri_mutator_full *mutator) {
  int64_t beyond_bytes =
      tri_load_relaxed(&heap->world.collect.allocated_since_bytes) - tri_load_relaxed(&heap->world.hold_bytes);
  if (beyond_bytes < 0) return;
  uint64_t most_ns = (uint64_t)(beyond_bytes >> 10) * TRI_HOLD_NS_PER_KIB;
  if (most_ns < TRI_HOLD_NS_MIN) most_ns = TRI_HOLD_NS_MIN;
  if (most_ns > TRI_HOLD_NS_MAX) most_ns = TRI_HOLD_NS_MAX;
  most_ns *= 1 + tri_load_relaxed(&heap->world.mutator_count) / TRI_HOLD_CROWD;
  uint64_t look_ns = most_ns / TRI_HOLD_LOOKS < TRI_HOLD_LOOK_NS ? TRI_HOLD_LOOK_NS : most_ns / TRI_HOLD_LOOKS;
  tri_step(TRI_STEP_HOLD);
  tri_blocking_begin(&mutator->fast);
  uint64_t began_ns = tri_clock_ns();
  do tri_thread_sleep(look_ns);
  while (tri_load_relaxed(&heap->cycle_running) && tri_clock_ns() - began_ns < most_ns);
  tri_blocking_end(&mutator->fast);
}

// The collector thread has not been given a processor for long: this thread takes its request over, or, if the cycle
// is under way, lets it run.
static void tri_heap_help_late_collector(tri_heap *heap, tri_mutator_full *mutator) {
  if (tri_load_relaxed(&heap->cycle_running)) {
    tri_blocking_begin(&mutator->fast);
    tri_thread_yield();
    tri_blocking_end(&mutator->fast);
  } else if (tri_heap_take_request(heap)) {
    heap->front.run_cycle(heap->front.context, TRI_MODE_BACKGROUND, true);
  }
}

// ---- A cycle that is due ----

void tri_heap_start_cycle(tri_world *world, tri_mutator_full *mutator) {
  tri_heap *heap = (tri_heap *)(void *)world;
  if (tri_load_relaxed(&heap->cycle_running) || tri_load_relaxed(&heap->world.cycle_wanted)) {
    if (tri_heap_is_urgent(heap, mutator)) tri_heap_help_late_collector(heap, mutator);
    tri_heap_hold(heap, mutator);
    return;
  }
  if (world->policy == TRI_BARRIER_STOP_THE_WORLD) {
    heap->front.run_cycle(heap->front.context, TRI_MODE_FORCE, true);
    return;
  }
  // A small heap is marked in less time than waking a thread takes: a lone mutator runs the cycle itself.
  bool alone = tri_load_relaxed(&world->mutator_count) == 1;
  bool here = world->stress_interval || (alone && tri_load_relaxed(&world->inline_cycles));
  if (!here) {
    tri_store_relaxed(&world->cycle_wanted, 1u);
    if (tri_collector_thread_request(heap, true, false)) return;
    tri_store_relaxed(&world->cycle_wanted, 0u);
  }
  heap->front.run_cycle(heap->front.context, TRI_MODE_BACKGROUND, true);
}
