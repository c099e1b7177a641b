// Periodic: a full cycle when none ran for a while, and the container's limit read again; both by the clock of the
// collector thread, which sleeps while nothing is allocated.
//
//   asleep  ──a cycle ended, or allocation was accounted──▶ armed     [tri_periodic_arm]
//   armed   ──due, and nothing was allocated since──▶ asleep           [tri_periodic_tick]
//   armed   ──due──▶ a cycle, whose end arms again
//
// So an idle process is woken at most once more.
#include "heap/heap.h"
#include "heap/limits.h"

static uint64_t tri_periodic_ns(const tri_heap *heap) {
  return heap->options.periodic_cycle_ms * 1000000;
}

static void tri_periodic_arm(tri_heap *heap, uint64_t when_ns) {
  tri_store_relaxed(&heap->world.asleep, 0u);
  // Without a thread there is no clock; the next cycle tries again.
  tri_store_relaxed(&heap->periodic.armed, tri_collector_thread_tick_at(heap, when_ns) ? 1u : 0u);
}

static void tri_periodic_resume(tri_world *world) {
  tri_heap *heap = (tri_heap *)(void *)world;
  // Several threads may come here; one arms.
  if (!__atomic_exchange_n(&world->asleep, 0u, __ATOMIC_SEQ_CST)) return;
  tri_periodic_arm(heap, tri_clock_ns() + tri_periodic_ns(heap));
}

void tri_periodic_cycle_ended(tri_heap *heap) {
  uint64_t now_ns = tri_clock_ns();
  tri_store_relaxed(&heap->periodic.cycle_ended_ns, now_ns);
  if (heap->options.periodic_cycle_ms && !tri_load_relaxed(&heap->periodic.armed))
    tri_periodic_arm(heap, now_ns + tri_periodic_ns(heap));
  // Reading files is nothing for a thread that allocates.
  if (tri_limits_refresh_is_due(heap, now_ns)) tri_collector_thread_tick_at(heap, now_ns);
}

void tri_periodic_init(tri_heap *heap) {
  heap->world.allocation_resumed = tri_periodic_resume;
}

static bool tri_periodic_has_news(const tri_heap *heap) {
  return tri_load_ordered(&heap->world.collect.allocated_since_bytes) > 0;
}

static void tri_periodic_fall_asleep(tri_heap *heap) {
  tri_store_relaxed(&heap->periodic.armed, 0u);
  // The flag, then a look: an allocation is accounted first and looks at the flag then.
  tri_store_ordered(&heap->world.asleep, 1u);
  if (tri_periodic_has_news(heap)) tri_periodic_resume(&heap->world);
}

static void tri_periodic_cycle(tri_heap *heap) {
  tri_store_relaxed(&heap->periodic.armed, 0u);
  tri_add_relaxed(&heap->periodic.cycles, (uint64_t)1);
  heap->front.run_cycle(heap->front.context, TRI_MODE_BACKGROUND, false);
}

void tri_periodic_tick(tri_heap *heap, uint64_t now_ns) {
  tri_limits_refresh(heap, now_ns);
  tri_events_deliver(heap);
  if (!tri_load_relaxed(&heap->periodic.armed)) return;
  uint64_t due_ns = tri_load_relaxed(&heap->periodic.cycle_ended_ns) + tri_periodic_ns(heap);
  if (now_ns < due_ns)
    tri_periodic_arm(heap, due_ns);
  else if (tri_periodic_has_news(heap))
    tri_periodic_cycle(heap);
  else
    tri_periodic_fall_asleep(heap);
}
