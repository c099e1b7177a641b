#include "tricolor_testing.h"

#include "base/step.h"
#include "collect/ephemerons.h"
#include "heap/heap.h"
#include "heap/trigger.h"
#include "heap/verify.h"
#include "mutator/placement.h"
#include "mutator/share.h"
#include "os/cgroup.h"
#include "os/vm.h"
#include "span/ticket.h"

tri_step_function *tri_step_hook;

bool tri_testing_has_steps(void) {
  return TRI_STEPS != 0;
}
void tri_testing_set_step_hook(tri_step_function *function) {
  tri_step_hook = function;
}
void tri_testing_refuse_memory(uint32_t skip, uint32_t count) {
  tri_vm_refuse_testing(skip, count);
}

void tri_testing_set_helpers_worth(tri_heap *heap, uint64_t objects) {
  heap->helpers.worth_objects = objects;
}
void tri_testing_refuse_give_back(uint32_t skip, uint32_t count) {
  tri_vm_refuse_give_back_testing(skip, count);
}
uint64_t tri_testing_scavenger_ticks(tri_heap *heap) {
  return tri_load_relaxed(&heap->scavenger.ticks);
}
uint64_t tri_testing_scavenger_cpu_ns(tri_heap *heap) {
  return tri_load_relaxed(&heap->scavenger.cpu_ns);
}

void tri_testing_lay_down(tri_mutator *mutator) {
  tri_mutator_lay_down(tri_mutator_of(mutator));
}

static uint64_t tri_testing_granule(tri_heap *heap, const void *object) {
  TRI_CHECK(tri_space_contains(&heap->world.collect.spans.space, (uintptr_t)object), "%p is not in this heap", object);
  return tri_space_granule(&heap->world.collect.spans.space, (uintptr_t)object);
}

bool tri_testing_is_marked(tri_heap *heap, const void *object) {
  return tri_bit_test(heap->world.collect.spans.space.bits.marked, tri_testing_granule(heap, object));
}
uint32_t tri_testing_waiting_slots(const struct tri_window *window) {
  return tri_popcount(tri_window_waiting(window));
}

bool tri_testing_is_allocated(tri_heap *heap, const void *object) {
  return tri_object_start(heap, object) == object;
}
uint32_t tri_testing_barrier_words(tri_mutator *mutator) {
  return tri_mutator_of(mutator)->barrier.count;
}
bool tri_testing_barrier_is_on(tri_mutator *mutator) {
  const tri_mutator_full *full = tri_mutator_of(mutator);
  // One that is behind turns it off before it runs.
  return (mutator->barrier & TRI_SHADES_ANY) != 0 && full->marking_ends == full->world->marking_ends;
}
bool tri_testing_stack_is_grey(tri_mutator *mutator) {
  return tri_mutator_of(mutator)->stack_grey;
}

void tri_testing_unmark(tri_heap *heap, const void *object) {
  uint64_t granule = tri_testing_granule(heap, object);
  __atomic_fetch_and(&heap->world.collect.spans.space.bits.marked[granule >> 6], ~(UINT64_C(1) << (granule & 63)),
                     __ATOMIC_RELAXED);
}

bool tri_testing_sweep_is_running(tri_heap *heap) {
  return tri_sweep_is_running(&heap->world.collect);
}
uint64_t tri_testing_unswept_spans(tri_heap *heap, bool large) {
  const tri_spans *spans = &heap->world.collect.spans;
  uint32_t end = tri_span_index_end(spans);
  uint64_t unswept = 0;
  for (uint32_t index = 0; index < end; index++) {
    const tri_span *span = tri_span_by_index(spans, index);
    if (tri_load_acquire(&span->state) == (large ? TRI_SPAN_LARGE : TRI_SPAN_SMALL) && !tri_span_is_swept(spans, span))
      unswept++;
  }
  return unswept;
}
void tri_testing_verify(tri_heap *heap) {
  // A sweep on the collector thread would change under our eyes what is being counted.
  if (tri_phase_is_off(&heap->world.collect)) tri_sweep_finish(&heap->world.collect);
  tri_verify(heap);
}

static tri_span *tri_testing_any_span(tri_heap *heap) {
  const tri_space *space = &heap->world.collect.spans.space;
  for (uint64_t page = 0; page < space->committed_bytes >> TRI_PAGE_LOG2; page++)
    if (space->page_map[page]) return &space->spans[space->page_map[page] - 1];
  tri_fatal("there is no span to break");
}

// A span with free slots that a refill would find.
static tri_span *tri_testing_listed_span(tri_heap *heap) {
  tri_spans *spans = &heap->world.collect.spans;
  for (uint32_t id = 1; id < spans->class_count; id++)
    for (int list = 0; list < TRI_FULLNESS_LISTS; list++) {
      const tri_span_class *class = tri_spans_class_by_id(spans, id);
      if (class->list_generation == spans->sweep_generation && class->partial[list])
        return tri_span_by_index(spans, class->partial[list] - 1);
    }
  tri_fatal("no span is on a list");
}

void tri_testing_break(tri_heap *heap, tri_break what) {
  tri_collect *collect = &heap->world.collect;
  switch (what) {
  case TRI_BREAK_LEFTOVER_GREY: {
    tri_grey_chunk *chunk = tri_grey_chunk_take_empty(&collect->grey);
    TRI_CHECK(chunk, "no memory to break something with");
    chunk->count = 1;
    tri_grey_share(&collect->grey, chunk);
    return;
  }
  case TRI_BREAK_WORKER: tri_grey_worker_begin(&collect->grey); return;
  case TRI_BREAK_BARRIER_BUFFER: heap->world.mutators->barrier.count = 1; return;
  case TRI_BREAK_MARK_OUTSIDE: {
    uint64_t last = (collect->spans.space.committed_bytes >> TRI_GRANULE_LOG2) - 1;
    tri_bit_set(collect->spans.space.bits.marked, last);
    return;
  }
  case TRI_BREAK_PAGE_MAP: {
    tri_span *span = tri_testing_any_span(heap);
    collect->spans.space.page_map[tri_span_first_page(&collect->spans, span) + span->page_count - 1] = 0;
    return;
  }
  case TRI_BREAK_LIVE_COUNT: {
    tri_span *span = tri_testing_any_span(heap);
    span->live_slots = span->slots + 1;
    return;
  }
  case TRI_BREAK_HELD_COUNT: collect->spans.space.held_pages++; return;
  case TRI_BREAK_DROP_WHILE_SWEEPING: tri_sweep_drop_empty_spans(collect); return;
  case TRI_BREAK_HELD_FREED:
    for (uint32_t chunk = 0; chunk < collect->spans.space.chunk_count; chunk++)
      collect->spans.space.chunks[chunk].free[0] = ~UINT64_C(0);
    return;
  case TRI_BREAK_ASSIST_POOL: heap->world.assist_pool_objects = -1; return;
  case TRI_BREAK_MUTATOR_COUNT: heap->world.mutator_count++; return;
  case TRI_BREAK_FREED_PLACE: {
    tri_mutator_full *mutator = heap->world.mutators;
    for (uint32_t place = 0; place < TRI_FREE_PLACES; place++) mutator->freed_places[place].span = NULL;
    return;
  }
  case TRI_BREAK_MISSED_END: heap->world.mutators->marking_ends--; return;
  case TRI_BREAK_UNSEEN_MARK: collect->marked_objects++; return;
  case TRI_BREAK_TIE_COUNT: collect->ties.tied++; return;
  case TRI_BREAK_TIE_LIST: tri_ties_break_count_testing(collect, tri_testing_any_span(heap)); return;
  case TRI_BREAK_TIED_OBJECT: {
    // Its other objects are none either, but what hangs on them is looked at first.
    const tri_span *span = tri_testing_any_span(heap);
    collect->spans.space.bits.allocated[tri_space_granule(&collect->spans.space, span->start) >> 6] = 0;
    return;
  }
  case TRI_BREAK_TIE_FLAG: tri_testing_any_span(heap)->duties ^= TRI_SPAN_HAS_TIES; return;
  case TRI_BREAK_TICKET:
  case TRI_BREAK_TICKET_FREED: {
    tri_span *span = tri_testing_any_span(heap);
    *tri_ticket_of(&collect->spans, span->start) = collect->spans.ticket_tag | span->class_id;
    if (what == TRI_BREAK_TICKET) return;
    span->lent = 1;
    tri_bit_set(collect->spans.space.bits.freed, tri_space_granule(&collect->spans.space, span->start));
    return;
  }
  case TRI_BREAK_SPAN_LIST: {
    tri_span *span = tri_testing_listed_span(heap);
    span->next = tri_span_index(&collect->spans, span) + 1;
    return;
  }
  case TRI_BREAK_SPAN_LISTED: tri_testing_listed_span(heap)->listed = 0; return;
  case TRI_BREAK_GROUP_OWNER: {
    const tri_span *span = tri_testing_any_span(heap);
    uint64_t group = (span->slots - 1) / TRI_WINDOW_SLOTS;
    uintptr_t base = span->start + group * TRI_WINDOW_SLOTS * span->slot_bytes;
    collect->spans.space.group_owners[tri_space_granule(&collect->spans.space, base) >> 6] = 1;
    return;
  }
  }
}

void tri_testing_set_cgroup_root(const char *root) {
  tri_cgroup_root_testing(root);
}
uint64_t tri_testing_cgroup_memory_bytes(void) {
  return tri_cgroup_read(0).memory_bytes;
}
uint64_t tri_testing_cgroup_cpu_permille(void) {
  return tri_cgroup_read(0).cpu_permille;
}
uint32_t tri_testing_cpu_count(void) {
  return tri_cpu_count();
}
uint32_t tri_testing_share_permille(uint32_t cpus, int64_t loan_objects, int64_t pool_objects) {
  return tri_share_permille(cpus, loan_objects, pool_objects);
}
bool tri_testing_fills_cpus(tri_heap *heap, uint32_t cpus) {
  return tri_world_fills_cpus(&heap->world, cpus);
}
uint64_t tri_testing_share_due_ns(uint32_t permille, uint64_t wall_ns, uint64_t cpu_ns) {
  return tri_share_due_ns(permille, wall_ns, cpu_ns);
}
void tri_testing_set_cpu(tri_mutator *mutator, uint32_t cpu) {
  tri_store_relaxed(&tri_mutator_of(mutator)->cpu, cpu);
}
uint32_t tri_testing_cpu(tri_mutator *mutator) {
  return tri_load_relaxed(&tri_mutator_of(mutator)->cpu);
}
uint32_t tri_testing_spread(tri_heap *heap, uint32_t own) {
  return tri_world_spread(&heap->world, own);
}
void tri_testing_end_rest(tri_heap *heap) {
  tri_world_end_rest(&heap->world);
}
void tri_testing_change_cpu(void) {
  tri_thread_change_cpu();
}
bool tri_testing_ask_for_cycle(tri_heap *heap) {
  return tri_heap_ask_for_cycle(heap);
}
bool tri_testing_take_request(tri_heap *heap) {
  return tri_heap_take_request(heap);
}
void tri_testing_await_cycle(tri_heap *heap, uint64_t most_ns) {
  tri_heap_await_cycle(heap, most_ns);
}
void tri_testing_forget_marks(tri_heap *heap) {
  tri_sweep_finish(&heap->world.collect);
  tri_marks_forget(&heap->world.collect);
}
void tri_testing_set_huge_page_patience_ns(tri_heap *heap, uint64_t ns) {
  heap->world.collect.spans.space.huge_patience_ns = ns;
}
void tri_testing_refresh_limits(tri_heap *heap) {
  tri_store_relaxed(&heap->limits.container_ns, tri_clock_ns() - TRI_CGROUP_AGE_NS);
  tri_limits_refresh(heap, tri_clock_ns());
  tri_events_deliver(heap);
}

void tri_testing_look_at_ephemerons(tri_heap *heap) {
  tri_ephemerons_shade(&heap->world.collect);
}
void tri_testing_sweep_ties(tri_heap *heap, const void *object) {
  tri_ties_sweep(&heap->world.collect, tri_span_at(&heap->world.collect.spans, (uintptr_t)object));
}

uint32_t tri_testing_span_bytes(uint32_t size_class) {
  return tri_size_class_span_pages(size_class) << TRI_PAGE_LOG2;
}
uint64_t tri_testing_layout_mask(const tri_layout_description *description, uint64_t first_word) {
  return tri_layout_mask_at(description, first_word);
}
