// Explicit free, and what is known about an object from its address.
//
// A slot goes back into this mutator's own window where it can; otherwise its F bit is set, which the next refill or
// sweep of its span takes up. While marking only the F bit is set: the memory may be grey.
//
// Always checked: the address is the start of a live object of this heap, and is not freed twice.
#include <string.h>

#include "base/step.h"
#include "mutator/alloc.h"

_Noreturn static __attribute__((cold, noinline)) void tri_free_refuse(const void *object, const char *why) {
  tri_fatal("free of %p: %s", object, why);
}

// The owner may be popping slots meanwhile, which only clears other bits: the race is meant, and kept from the
// thread sanitizer.
TRI_NO_TSAN static bool tri_window_holds(const struct tri_window *window, const tri_object_place *place) {
  uintptr_t base = place->start - (uint64_t)(place->slot % TRI_WINDOW_SLOTS) * place->span->slot_bytes;
  uint64_t bit = UINT64_C(1) << (place->slot % TRI_WINDOW_SLOTS);
  return *(volatile const uintptr_t *)&window->base == base && (*(volatile const uint64_t *)&window->free_slots & bit);
}

// Whether a slot waits in a window, of any mutator or left by one that is gone: then it was freed already. Under
// the class's lock no window of the class is refilled, so base and mask belong together.
static bool tri_slot_waits(const tri_mutator_full *own, const tri_object_place *place) {
  tri_world *world = own->world;
  tri_span_class *class = tri_spans_class_by_id(&world->collect.spans, place->span->class_id);
  const struct tri_window *own_window = tri_mutator_window((tri_mutator *)(uintptr_t)&own->fast, 2 * class->id);
  if (tri_window_holds(&own_window[0], place) || tri_window_holds(&own_window[1], place)) return true;
  if (tri_load_relaxed(&world->mutator_count) == 1 && !tri_load_relaxed(&class->orphans)) return false;
  bool waits = false;
  tri_lock_acquire(&world->lock);
  tri_lock_acquire(&class->lock);
  for (const tri_orphan *orphan = class->orphans; orphan && !waits; orphan = orphan->next)
    waits = tri_window_holds(&orphan->window, place);
  for (tri_mutator_full *mutator = world->mutators; mutator && !waits; mutator = mutator->next) {
    const struct tri_window *window = tri_mutator_window(&mutator->fast, 2 * place->span->class_id);
    waits = tri_window_holds(&window[0], place) || tri_window_holds(&window[1], place);
  }
  tri_lock_release(&class->lock);
  tri_lock_release(&world->lock);
  return waits;
}

static void tri_free_relist(tri_world *world, tri_span *span) {
  tri_span_class *class = tri_spans_class_by_id(&world->collect.spans, span->class_id);
  if (tri_load_relaxed(&span->sweep_generation) != tri_load_relaxed(&world->collect.spans.sweep_generation)) return;
  tri_lock_acquire(&class->lock);
  if (!span->listed && span->runs == 0 && tri_span_is_worth_walking(span)) {
    span->freed_slots = 0;
    span->next_group = 0;
    span->fresh = 0;
    tri_span_list_locked(&world->collect, class, span);
  }
  tri_lock_release(&class->lock);
}

// Neither the object nor what comes to live there is old.
static void tri_free_forget(tri_mutator_full *mutator, const void *object) {
  tri_space *space = &mutator->world->collect.spans.space;
  uint64_t granule = tri_space_granule(space, (uintptr_t)object);
  tri_and_relaxed(&space->bits.marked[granule >> 6], ~(UINT64_C(1) << (granule & 63)));
}

static void tri_free_by_bit(tri_mutator_full *mutator, const tri_object_place *place) {
  tri_world *world = mutator->world;
  tri_space *space = &world->collect.spans.space;
  if (!tri_bit_set(space->bits.freed, tri_space_granule(space, place->start)))
    tri_free_refuse((void *)place->start, "it was freed already");
  // After the bit: a sweep or refill that sees the flag takes the bit up.
  tri_store_release(&place->span->has_freed, 1u);
  // A hint only: an increment lost between threads makes the span wait a little longer.
  tri_store_relaxed(&place->span->freed_slots, tri_load_relaxed(&place->span->freed_slots) + 1);
  mutator->unaccounted_freed_bytes += tri_span_object_bytes(place->span);
  if (!tri_phase_is_off(&world->collect)) return;
  // What it refers to may be freed as well and be used for something else: tri_mark_recover() must not scan it.
  if (world->collect.marks_kept) tri_free_forget(mutator, (void *)place->start);
  if (!tri_load_relaxed(&place->span->listed) && tri_span_is_worth_walking(place->span))
    tri_free_relist(world, place->span);
}

static void tri_free_large(tri_mutator_full *mutator, const tri_object_place *place) {
  tri_collect *collect = &mutator->world->collect;
  tri_space *space = &collect->spans.space;
  uint64_t granule = tri_space_granule(space, place->start);
  if (!tri_phase_is_off(collect)) {
    tri_free_by_bit(mutator, place);
    return;
  }
  // A sweep in progress may be about to look at this span.
  tri_sweep_finish(collect);
  uint64_t bit = UINT64_C(1) << (granule & 63);
  uint64_t before = __atomic_fetch_and(&space->bits.allocated[granule >> 6], ~bit, __ATOMIC_SEQ_CST);
  if (!(before & bit)) tri_free_refuse((void *)place->start, "it was freed already");
  tri_and_relaxed(&space->bits.marked[granule >> 6], ~bit);
  mutator->unaccounted_freed_bytes += (uint64_t)place->span->page_count << TRI_PAGE_LOG2;
  tri_span_retire(&collect->spans, place->span);
}

static void tri_free_destroy(const tri_mutator_full *mutator, const tri_object_place *place) {
  const tri_layout_description *description =
      &tri_span_layout(&mutator->world->collect.spans, place->span)->description;
  description->destroy((void *)place->start, tri_span_object_bytes(place->span), description->context);
}

// Everything but a slot of a loaded window.
static __attribute__((noinline)) void tri_free_general(tri_mutator_full *mutator, void *object) {
  const tri_spans *spans = &mutator->world->collect.spans;
  tri_phase phase = tri_load_relaxed(&mutator->world->collect.phase);
  TRI_CHECK(phase != TRI_PHASE_MARK_TERMINATION, "free of %p in phase markTermination", object);
  tri_object_place place = tri_slot_at(spans, (uintptr_t)object);
  if (!place.span) tri_free_refuse(object, "it is not an address of this heap's objects");
  if (place.start != (uintptr_t)object) tri_free_refuse(object, "it is not the start of an object");
  uint64_t granule = tri_space_granule(&spans->space, place.start);
  if (!tri_bit_test(spans->space.bits.allocated, granule) || tri_bit_test(spans->space.bits.freed, granule))
    tri_free_refuse(object, "it was freed already, or never allocated");
  // A loaded window of this mutator included: its slot may have a destroy callback, or a neighbour that was freed
  // from elsewhere.
  if (place.span->state == TRI_SPAN_SMALL && tri_slot_waits(mutator, &place))
    tri_free_refuse(object, "it was freed already");
  if (place.span->has_destroy) tri_free_destroy(mutator, &place);
  mutator->freed_bytes += tri_span_object_bytes(place.span);
  if (place.span->state == TRI_SPAN_LARGE)
    tri_free_large(mutator, &place);
  else
    tri_free_by_bit(mutator, &place);
}

// Puts a slot back. Every slot of a loaded group is allocated or waiting, so the window's mask alone tells a double
// free.
static inline void tri_free_put_back(tri_mutator_full *mutator, const tri_free_place *place, void *object,
                                     uint32_t slot) {
  uint64_t bit = UINT64_C(1) << (slot & 63);
  if (__builtin_expect((place->window->free_slots & bit) != 0, 0)) tri_free_refuse(object, "it was freed already");
  if (place->zeroed) memset(object, 0, place->slot_bytes);
  if (mutator->fast.barrier) tri_free_forget(mutator, object);
  mutator->freed_bytes += place->slot_bytes;
  place->window->free_slots |= bit;
}

// The window of this mutator that holds the group an object is in, remembered for the next free: programs free
// neighbours. False when there is none, or when freeing takes more than putting a slot back.
static bool tri_free_find_window(tri_mutator_full *mutator, void *object) {
  tri_span *span = tri_span_at(&mutator->world->collect.spans, (uintptr_t)object);
  if (!span || span->state != TRI_SPAN_SMALL || span->has_destroy) return false;
  uint32_t slot = tri_slot_index((uintptr_t)object - span->start, span->slot_inverse);
  uint32_t group = slot / TRI_WINDOW_SLOTS;
  uintptr_t base = span->start + (uint64_t)group * TRI_WINDOW_SLOTS * span->slot_bytes;
  struct tri_window *window = tri_mutator_window(&mutator->fast, 2 * span->class_id);
  bool zeroed = window[0].base != base;
  if (slot >= span->slots || window[zeroed].base != base) return false;
  mutator->last_freed = (tri_free_place){
      .base = base,
      .bytes = tri_group_slots(span->slots, group) * span->slot_bytes,
      .slot_bytes = span->slot_bytes,
      .slot_inverse = span->slot_inverse,
      .zeroed = zeroed,
      .window = &window[zeroed],
      .span = span,
  };
  return true;
}

// The shortcut: two comparisons and a multiplication instead of the way through page map and span.
static inline bool tri_free_into_last(tri_mutator_full *mutator, void *object) {
  const tri_free_place *last = &mutator->last_freed;
  uint64_t offset = (uintptr_t)object - last->base;
  if (offset >= last->bytes || last->window->base != last->base) return false;
  const tri_spans *spans = &mutator->world->collect.spans;
  uint32_t slot = tri_slot_index(offset, last->slot_inverse);
  if ((uint64_t)slot * last->slot_bytes != offset) return false;
  if (tri_load_acquire(&last->span->has_freed) &&
      tri_bit_test(spans->space.bits.freed, tri_space_granule(&spans->space, (uintptr_t)object)))
    return false;
  tri_free_put_back(mutator, last, object, slot);
  return true;
}

void tri_free(tri_mutator *mutator, void *object) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_assert_owner(full, "freeing");
  tri_step(TRI_STEP_FREE);
  // While marking a freed slot must not be handed out before the cycle ends: it may be grey, or in a barrier buffer. By
  // the phase, not by this thread's barrier: whoever dropped the object may have acknowledged before us.
  if (__builtin_expect(tri_load_acquire(&full->world->collect.phase) == TRI_PHASE_OFF, 1)) {
    if (tri_free_into_last(full, object)) return;
    if (tri_free_find_window(full, object) && tri_free_into_last(full, object)) return;
  }
  if (object && object != tri_empty_object()) tri_free_general(full, object);
}

void *tri_object_start(tri_heap *heap, const void *address) {
  return (void *)tri_object_at(&tri_world_of_heap(heap)->collect.spans, (uintptr_t)address).start;
}

static tri_object_place tri_object_known(tri_heap *heap, const void *object) {
  tri_object_place place = tri_object_at(&tri_world_of_heap(heap)->collect.spans, (uintptr_t)object);
  TRI_CHECK(place.start == (uintptr_t)object, "%p is not the start of a live object of this heap", object);
  return place;
}

size_t tri_object_bytes(tri_heap *heap, const void *object) {
  if (object == tri_empty_object()) return 0;
  return tri_span_object_bytes(tri_object_known(heap, object).span);
}

tri_layout *tri_object_layout(tri_heap *heap, const void *object) {
  if (object == tri_empty_object()) return tri_layout_leaf(heap);
  return tri_span_layout(&tri_world_of_heap(heap)->collect.spans, tri_object_known(heap, object).span);
}
