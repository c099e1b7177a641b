#include "heap/heap.h"
#include "heap/fork.h"

#include <stdlib.h>
#include <string.h>

#include "base/callback.h"
#include "heap/trigger.h"
#include "mutator/safepoint.h"
#include "mutator/thread_mutators.h"
#include "os/vm.h"

// ---- What the floors below ask of this one ----

static void tri_heap_collect_for_memory(tri_world *world, tri_mutator_full *mutator) {
  tri_heap *heap = (tri_heap *)(void *)world;
  (void)mutator;
  if (!tri_limits_allow_force(heap)) return;
  uint64_t began_ns = tri_clock_ns();
  heap->front.run_cycle(heap->front.context, TRI_MODE_FORCE_BLOCK, false);
  tri_limits_forced(heap, tri_clock_ns() - began_ns);
}

static void tri_heap_sweep_finished(tri_collect *collect) {
  tri_heap *heap = (tri_heap *)(void *)collect;
  tri_limits_swept(heap);
  heap->front.sweep_finished(heap->front.context);
}

static void tri_heap_exclude_below(void *context, uintptr_t stack_pointer) {
  tri_heap *heap = context;
  tri_mutator_full *own = tri_world_current_mutator(&heap->world);
  if (own && !tri_mutator_is_usable(own)) own = NULL;
  tri_thread_others_block(own, stack_pointer, NULL);
  if (own) tri_mutator_wait_below(own, stack_pointer);
  tri_lock_acquire(&heap->cycle_lock);
  if (own) tri_mutator_wait_over(own);
  tri_thread_others_unblock();
}

static bool tri_heap_exclude_cycles(tri_world *world) {
  tri_heap *heap = (tri_heap *)(void *)world;
  if (tri_load_relaxed(&heap->cycle_owner) == tri_thread_token()) return false;
  tri_thread_with_stack(tri_heap_exclude_below, heap);
  return true;
}

static void tri_heap_allow_cycles(tri_world *world) {
  tri_lock_release(&((tri_heap *)(void *)world)->cycle_lock);
}

// ---- Life ----

_Static_assert(TRI_PAGE_BYTES % _Alignof(tri_heap) == 0, "a heap is mapped, so it is aligned");

tri_status tri_heap_open(const tri_options *options, const tri_front *front, tri_heap **out_heap) {
  tri_heap *heap = tri_vm_map(sizeof *heap);
  if (!heap) return TRI_OUT_OF_MEMORY;
  tri_status status = tri_world_init(&heap->world, options);
  if (status != TRI_OK) {
    tri_vm_release(heap, sizeof *heap);
    return status;
  }
  heap->options = *options;
  heap->front = *front;
  heap->cache_bytes = tri_cache_bytes();
  heap->world.start_cycle = tri_heap_start_cycle;
  heap->world.collect_for_memory = tri_heap_collect_for_memory;
  heap->world.exclude_cycles = tri_heap_exclude_cycles;
  heap->world.allow_cycles = tri_heap_allow_cycles;
  heap->world.collect.sweep_finished = tri_heap_sweep_finished;
  tri_lock_init(&heap->cycle_lock, TRI_RANK_CYCLE);
  tri_lock_init(&heap->hooks_lock, TRI_RANK_ROOTS);
  tri_helpers_init(heap);
  tri_limits_init(heap);
  tri_periodic_init(heap);
  tri_cleanups_init(heap);
  tri_collector_thread_init(heap);
  tri_scavenger_init(heap);
  if (!tri_marker_init(&heap->marker, &heap->world.collect) || !tri_fork_add_heap(heap)) {
    tri_heap_close(heap);
    return TRI_OUT_OF_MEMORY;
  }
  *out_heap = heap;
  return TRI_OK;
}

// Every object that is still alive is destroyed, in address order; none of them may look at another.
static void tri_heap_destroy_live_objects(tri_heap *heap) {
  const tri_spans *spans = &heap->world.collect.spans;
  uint32_t end = tri_span_index_end(spans); // not all that is committed: reading the table would make it resident
  for (uint32_t index = 0; index < end; index++) {
    const tri_span *span = tri_span_by_index(spans, index);
    if (span->state == TRI_SPAN_FREE) continue;
    const struct tri_layout *layout = tri_span_layout(spans, span);
    if (!layout->description.destroy) continue;
    uint64_t bytes = tri_span_object_bytes(span);
    for (uint32_t slot = 0; slot < span->slots; slot++) {
      uintptr_t object = span->start + slot * bytes;
      uint64_t granule = tri_space_granule(&spans->space, object);
      if (!tri_bit_test(spans->space.bits.allocated, granule) || tri_bit_test(spans->space.bits.freed, granule))
        continue;
      tri_callback_begin();
      layout->description.destroy((void *)object, bytes, layout->description.context);
      tri_callback_end();
    }
  }
}

// Slots that nobody was given are not objects.
static void tri_heap_forget_slots(void *collect, const struct tri_window *window) {
  tri_window_give_back(collect, window, false);
}

tri_status tri_heap_close(tri_heap *heap) {
  // A cleanup that runs now may be attached: it ends first.
  if (!tri_cleanups_close(heap)) return TRI_MUTATORS_ATTACHED;
  tri_cleanups_run_all(heap);
  tri_scavenger_end(heap);
  tri_fork_remove_heap(heap);
  tri_collector_thread_destroy(heap);
  tri_helpers_destroy(heap);
  tri_sweep_finish(&heap->world.collect);
  tri_spans_each_orphan(&heap->world.collect.spans, tri_heap_forget_slots, &heap->world.collect);
  tri_heap_destroy_live_objects(heap);
  tri_cleanups_destroy(heap);
  tri_limits_destroy(heap);
  tri_lock_destroy(&heap->hooks_lock);
  tri_lock_destroy(&heap->cycle_lock);
  tri_world_destroy(&heap->world);
  tri_vm_release(heap, sizeof *heap);
  return TRI_OK;
}

void *tri_heap_front_context(tri_heap *heap) {
  return heap->front.context;
}
const tri_options *tri_heap_options(tri_heap *heap) {
  return &heap->options;
}

void tri_pacing_lock(tri_heap *heap) {
  tri_lock_acquire(&heap->world.collect.sweep_lock);
}
void tri_pacing_unlock(tri_heap *heap) {
  tri_lock_release(&heap->world.collect.sweep_lock);
}

// Counted by the threads that free, so that freeing costs no shared write.
static uint64_t tri_explicitly_freed_bytes(tri_heap *heap) {
  tri_lock_acquire(&heap->world.lock);
  uint64_t bytes = heap->world.collect.explicitly_freed_bytes;
  for (const tri_mutator_full *mutator = heap->world.mutators; mutator; mutator = mutator->next)
    bytes += tri_load_relaxed(&mutator->freed_bytes) + tri_load_relaxed(&mutator->put_back_bytes);
  tri_lock_release(&heap->world.lock);
  return bytes;
}

void tri_statistics_read(tri_heap *heap, tri_statistics *out) {
  const tri_collect *collect = &heap->world.collect;
  const tri_space *space = &collect->spans.space;
  memset(out, 0, sizeof *out);
  out->cycles = tri_load_relaxed(&heap->cycles);
  out->cycles_forced = tri_load_relaxed(&heap->cycles_forced);
  out->cycles_minor = tri_load_relaxed(&heap->cycles_minor);
  out->live_bytes = tri_load_relaxed(&collect->live_bytes);
  out->live_objects = tri_load_relaxed(&collect->live_objects);
  out->allocated_bytes = tri_load_relaxed(&collect->allocated_total_bytes);
  int64_t since = tri_load_relaxed(&collect->allocated_since_bytes);
  out->allocated_since_cycle_bytes = since > 0 ? (uint64_t)since : 0;
  out->freed_bytes = tri_load_relaxed(&collect->freed_bytes_total);
  out->explicitly_freed_bytes = tri_explicitly_freed_bytes(heap);
  out->marked_objects_at_last_cycle = tri_load_relaxed(&heap->marked_objects_at_last_cycle);
  out->goal_bytes = tri_load_relaxed(&heap->goal_bytes);
  int64_t trigger = tri_load_relaxed(&heap->world.trigger_bytes);
  out->trigger_bytes = trigger > 0 ? (uint64_t)trigger : 0;
  out->mapped_bytes = tri_load_relaxed(&space->touched_pages) << TRI_PAGE_LOG2;
  out->scavenged_bytes = tri_load_relaxed(&space->scavenged_pages) << TRI_PAGE_LOG2;
  out->metadata_bytes = tri_load_relaxed(&space->meta.mapped_bytes);
  out->start_ns_at_last_cycle = tri_load_relaxed(&heap->start_ns_at_last_cycle);
  out->mark_ns_at_last_cycle = tri_load_relaxed(&heap->mark_ns_at_last_cycle);
  out->termination_ns_at_last_cycle = tri_load_relaxed(&heap->termination_ns_at_last_cycle);
  out->sweep_ns_at_last_cycle = tri_load_relaxed(&collect->sweep_ns_last);
  out->pause_ns_at_last_cycle = tri_load_relaxed(&heap->pause_ns_at_last_cycle);
  out->pause_ns_max = tri_load_relaxed(&heap->pause_ns_max);
  out->pause_ns_total = tri_load_relaxed(&heap->pause_ns_total);
  out->mark_ns_total = tri_load_relaxed(&heap->mark_ns_total);
  out->sweep_ns_total = tri_load_relaxed(&collect->sweep_ns_total);
  out->assist_ns_total = tri_load_relaxed(&heap->world.assist_ns_total);
  out->assist_ns_max = tri_load_relaxed(&heap->world.assist_ns_longest);
  out->external_bytes = (uint64_t)tri_load_relaxed(&heap->limits.external_bytes);
  out->cycles_periodic = tri_load_relaxed(&heap->periodic.cycles);
  out->limit_exceeded = tri_load_relaxed(&heap->limits.exceeded);
  tri_limits_read(heap, &out->soft_limit_bytes, &out->limit_bytes);
  out->checkmarks = tri_load_relaxed(&heap->checkmarks);
  out->checkmark_conservative_misses = tri_load_relaxed(&heap->checkmark_conservative_misses);
  out->spans = tri_load_relaxed(&collect->spans.span_count);
  out->mutators = tri_load_relaxed(&heap->world.mutator_count);
  out->phase = tri_load_relaxed(&collect->phase);
}
