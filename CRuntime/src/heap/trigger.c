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
  TRI_HOLD_NAP_NS = 100000, // where no cycle has begun that could be waited for
};

bool tri_heap_take_request(tri_heap *heap) {
  uint32_t asked = TRI_CYCLE_WISH_ASKED;
  return tri_compare_exchange_ordered(&heap->world.cycle_wanted, &asked, (uint32_t)TRI_CYCLE_WISH_TAKEN);
}

// In this order: the wish is taken back after the cycle has begun.
static bool tri_heap_expects_cycle(const tri_heap *heap) {
  return tri_load_acquire(&heap->world.cycle_wanted) || tri_load_acquire(&heap->cycle_running);
}

bool tri_heap_ask_for_cycle(tri_heap *heap) {
  uint32_t *wish = &heap->world.cycle_wanted, none = TRI_CYCLE_WISH_NONE, asked = TRI_CYCLE_WISH_ASKED;
  if (tri_heap_expects_cycle(heap)) return false;
  if (!tri_compare_exchange_ordered(wish, &none, (uint32_t)TRI_CYCLE_WISH_ASKED)) return false;
  if (!tri_load_acquire(&heap->cycle_running)) return true;
  // One was asked for, taken and begun in between.
  tri_compare_exchange_ordered(wish, &asked, (uint32_t)TRI_CYCLE_WISH_NONE);
  return false;
}

// ---- A cycle that is late ----

static bool tri_heap_is_urgent(const tri_heap *heap, const tri_mutator_full *mutator) {
  const tri_world *world = &heap->world;
  int64_t over = tri_load_relaxed(&world->collect.allocated_since_bytes) - tri_load_relaxed(&world->urgent_bytes);
  // What was loaded and not handed out is no allocation yet (tri_trigger_is_early).
  return over >= 0 && over >= (int64_t)tri_mutator_waiting_bytes(mutator);
}

void tri_heap_await_cycle(tri_heap *heap, uint64_t most_ns) {
  if (!tri_load_relaxed(&heap->cycle_running)) {
    tri_thread_sleep(TRI_HOLD_NAP_NS);
    return;
  }
  uint64_t now_ns = tri_clock_ns(), until_ns = now_ns + most_ns;
  tri_lock_acquire(&heap->world.lock);
  for (; tri_load_relaxed(&heap->cycle_running) && now_ns < until_ns; now_ns = tri_clock_ns())
    tri_lock_wait(&heap->world.lock, &heap->world.cycle_over, until_ns - now_ns);
  tri_lock_release(&heap->world.lock);
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
  tri_step(TRI_STEP_HOLD);
  tri_blocking_begin(&mutator->fast);
  tri_heap_await_cycle(heap, most_ns);
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
  if (tri_heap_expects_cycle(heap)) {
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
    if (!tri_heap_ask_for_cycle(heap) || tri_collector_thread_request(heap, true, false)) return;
    if (!tri_heap_take_request(heap)) return;
  }
  heap->front.run_cycle(heap->front.context, TRI_MODE_BACKGROUND, true);
}
