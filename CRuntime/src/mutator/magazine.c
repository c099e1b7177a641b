#include "mutator/magazine.h"

#include "collect/sweep.h"
#include "mutator/lone.h"
#include "os/vm.h"

static void tri_span_relist(tri_world *world, tri_span *span) {
  tri_span_class *class = tri_spans_class_by_id(&world->collect.spans, span->class_id);
  tri_lock_acquire(&class->lock);
  tri_span_relist_locked(&world->collect, class, span);
  tri_lock_release(&class->lock);
}

void tri_free_count(tri_world *world, tri_span *span) {
  // A hint only: an increment lost between threads makes the span wait a little longer.
  tri_store_relaxed(&span->freed_slots, tri_load_relaxed(&span->freed_slots) + 1);
  if (tri_load_relaxed(&span->listed) || !tri_span_is_worth_walking(span)) return;
  if (tri_phase_is_off(&world->collect) && tri_span_is_swept(&world->collect.spans, span)) tri_span_relist(world, span);
}

static void tri_magazine_give_back(tri_world *world, tri_magazine *magazine, uint32_t count) {
  for (uint32_t index = 0; index < count; index++) {
    tri_span *span = tri_span_at(&world->collect.spans, magazine->slots[index]);
    tri_free_count(world, span);
  }
  magazine->count -= count;
  for (uint32_t index = 0; index < magazine->count; index++) magazine->slots[index] = magazine->slots[index + count];
}

void tri_magazine_put_slowly(tri_mutator_full *mutator, tri_span *span, uintptr_t slot) {
  if (!mutator->magazines) mutator->magazines = tri_vm_map(TRI_MAGAZINES * sizeof *mutator->magazines);
  if (!mutator->magazines) {
    tri_free_count(mutator->world, span);
    return;
  }
  tri_magazine *magazine = &mutator->magazines[span->class_id % TRI_MAGAZINES];
  if (magazine->class_id != span->class_id) {
    tri_magazine_give_back(mutator->world, magazine, magazine->count);
    magazine->class_id = span->class_id;
    mutator->magazines_used = true;
  }
  if (magazine->count == TRI_MAGAZINE_SLOTS)
    tri_magazine_give_back(mutator->world, magazine, TRI_MAGAZINE_SLOTS / 2 + 1);
  magazine->slots[magazine->count++] = slot;
}

uintptr_t tri_magazine_take_from(tri_mutator_full *mutator, tri_magazine *magazine) {
  tri_collect *collect = &mutator->world->collect;
  tri_space *space = &collect->spans.space;
  while (magazine->count) {
    uintptr_t slot = magazine->slots[--magazine->count];
    uint64_t granule = tri_space_granule(space, slot);
    if (!tri_lone_bit_clear(mutator, space->bits.freed, granule)) continue;
    return slot;
  }
  return 0;
}

static void tri_magazines_empty(tri_mutator_full *mutator, bool give_back) {
  if (!mutator->magazines_used) return;
  for (int index = 0; index < TRI_MAGAZINES; index++) {
    tri_magazine *magazine = &mutator->magazines[index];
    if (give_back) tri_magazine_give_back(mutator->world, magazine, magazine->count);
    magazine->class_id = magazine->count = 0;
  }
  mutator->magazines_used = false;
}

void tri_magazines_forget(tri_mutator_full *mutator) {
  tri_magazines_empty(mutator, false);
}

void tri_magazines_give_back(tri_mutator_full *mutator) {
  tri_magazines_empty(mutator, true);
}

void tri_magazines_unmap(tri_mutator_full *mutator) {
  if (mutator->magazines) tri_vm_release(mutator->magazines, TRI_MAGAZINES * sizeof *mutator->magazines);
  mutator->magazines = NULL;
}
