// Explicit free, and what is known about an object from its address.
//
// A slot goes back into this mutator's own window where it can; otherwise to a magazine, for the next allocation of its
// class: with its bit in A cleared while this mutator is the heap's only one (tri_free_to_magazine), with its F bit set
// beside others. What a magazine has no room for waits for the next refill or sweep of its span. While marking only the
// F bit is set: the memory may be grey.
//
// Always checked: the address is the start of a live object of this heap, and is not freed twice.
#include <string.h>

#include "base/callback.h"
#include "base/step.h"
#include "collect/sweep.h"
#include "mutator/alloc.h"
#include "mutator/magazine.h"
#include "span/ticket.h"

_Noreturn static __attribute__((cold, noinline)) void tri_free_refuse(const void *object, const char *why) {
  tri_fatal("free of %p: %s", object, why);
}

// One look at a window whose owner may be handing out slots, which only takes others away, or loading another group:
// the count of its loads is odd meanwhile, and a slot that is taken up at this moment need not be found. With the same
// even count before and after, all that was read belongs together. The race is meant, and kept from the thread
// sanitizer, which knows no volatile reads.
TRI_NO_TSAN static bool tri_window_seems_to_hold(const struct tri_window *window, const tri_object_place *place) {
  uintptr_t slot = place->start, base = slot - (uint64_t)(place->slot % TRI_WINDOW_SLOTS) * place->span->slot_bytes;
  uint64_t bit = UINT64_C(1) << (place->slot % TRI_WINDOW_SLOTS);
  for (;;) {
    uint8_t before = *(const volatile uint8_t *)&window->loads;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    bool held = before % 2 == 0 && *(const volatile uintptr_t *)&window->base == base;
    tri_step(TRI_STEP_LOOK);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    bool in_range =
        *(const volatile uintptr_t *)&window->next <= slot && slot < *(const volatile uintptr_t *)&window->limit;
    // The mask last, as a range may become one meanwhile.
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    held = held && (in_range || *(const volatile uint64_t *)&window->free_slots & bit);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (!held || *(const volatile uint8_t *)&window->loads == before) return held;
  }
}

// Twice, as a count of eight bits could come round while this thread sleeps.
static bool tri_window_holds(const struct tri_window *window, const tri_object_place *place) {
  return tri_window_seems_to_hold(window, place) && tri_window_seems_to_hold(window, place);
}

static bool tri_slot_is_orphan(tri_world *world, const tri_object_place *place) {
  if (tri_load_relaxed(&world->collect.spans.orphan_count) == 0) return false;
  tri_span_class *class = tri_spans_class_by_id(&world->collect.spans, place->span->class_id);
  bool waits = false;
  tri_lock_acquire(&class->lock);
  for (const tri_orphan *orphan = class->orphans; orphan && !waits; orphan = orphan->next)
    waits = tri_window_holds(&orphan->window, place);
  tri_lock_release(&class->lock);
  return waits;
}

// Whether a slot waits in a window, of any mutator or left by one that is gone: then it was freed already. The window
// that took a group last is the only one that can hold slots of it. Its owner may be taking the slot up, or handing it
// out, at this moment: that is a program that frees twice at once, and may be missed.
bool tri_slot_waits(tri_world *world, const tri_object_place *place) {
  const tri_space *space = &world->collect.spans.space;
  uint32_t group = place->slot / TRI_WINDOW_SLOTS, slot_granules = place->span->slot_bytes >> TRI_GRANULE_LOG2;
  uint64_t word = (tri_space_granule(space, place->span->start) >> 6) + (uint64_t)group * slot_granules;
  uint16_t owner = tri_load_acquire(&space->group_owners[word]);
  if (owner & TRI_OWNER_LOADED) {
    tri_mutator_full *mutator = tri_load_acquire(&world->numbered[tri_owner_number(owner) - 1]);
    const struct tri_window *window = tri_mutator_window(&mutator->fast, 2 * place->span->class_id);
    if (tri_window_holds(&window[0], place) || tri_window_holds(&window[1], place)) return true;
  }
  return tri_slot_is_orphan(world, place);
}

// What is freed is not old any more, nor is what comes to live there; and what it refers to may be freed as well and be
// used for something else: tri_mark_recover() must not scan it. Locked for a lone mutator, too: at liberty or not, a
// full cycle that is about to begin may be clearing M in phase off (tri_marks_forget), and a word that was read before
// must not be written back: its old bits would be marks that nobody made.
static void tri_free_forget(tri_mutator_full *mutator, uintptr_t object) {
  tri_space *space = &mutator->world->collect.spans.space;
  uint64_t granule = tri_space_granule(space, object);
  if (!tri_bit_test(space->bits.marked, granule)) return;
  tri_step(TRI_STEP_FORGET);
  tri_bit_clear(space->bits.marked, granule);
}

// After the F bit: a sweep or refill that sees the flag takes the bit up. From the bit on the span may be given back,
// as this was perhaps its last object: neither flag nor ticket does harm to what comes after it.
static inline void tri_free_tell_span(const tri_spans *spans, tri_span *span, uintptr_t object) {
  tri_store_release(&span->has_freed, (uint8_t)1);
  tri_ticket_watch(spans, object);
}

// Phase off, span swept.
static inline void tri_free_small(tri_mutator_full *mutator, tri_span *span, uintptr_t object) {
  tri_space *space = &mutator->world->collect.spans.space;
  if (!tri_lone_bit_set(mutator, space->bits.freed, tri_space_granule(space, object)))
    tri_free_refuse((void *)object, "it was freed already");
  tri_free_tell_span(&mutator->world->collect.spans, span, object);
  if (mutator->world->collect.marks_kept) tri_free_forget(mutator, object);
  tri_add_owned(&mutator->freed_bytes, span->slot_bytes);
  tri_magazine_put(mutator, span, object);
}

// At any other time a sweep may be at the span's F bits, or about to be, or markers at the object.
static void tri_free_by_bit(tri_mutator_full *mutator, const tri_object_place *place) {
  tri_world *world = mutator->world;
  tri_space *space = &world->collect.spans.space;
  tri_add_owned(&mutator->freed_bytes, tri_span_object_bytes(place->span));
  if (!tri_bit_set(space->bits.freed, tri_space_granule(space, place->start)))
    tri_free_refuse((void *)place->start, "it was freed already");
  tri_free_tell_span(&world->collect.spans, place->span, place->start);
  if (world->collect.marks_kept && tri_phase_is_off(&world->collect)) tri_free_forget(mutator, place->start);
}

static void tri_free_large(tri_mutator_full *mutator, const tri_object_place *place) {
  tri_collect *collect = &mutator->world->collect;
  tri_space *space = &collect->spans.space;
  uint64_t granule = tri_space_granule(space, place->start);
  if (!tri_phase_is_off(collect)) {
    tri_free_by_bit(mutator, place);
    return;
  }
  // Or a sweep in progress would look at what is there then.
  tri_sweep_large_object(collect, place->span);
  uint64_t bit = UINT64_C(1) << (granule & 63);
  uint64_t before = __atomic_fetch_and(&space->bits.allocated[granule >> 6], ~bit, __ATOMIC_SEQ_CST);
  if (!(before & bit)) tri_free_refuse((void *)place->start, "it was freed already");
  tri_bit_clear(space->bits.marked, granule);
  // Its pages were accounted as allocated, to their end.
  uint64_t object_bytes = tri_span_object_bytes(place->span);
  tri_add_owned(&mutator->freed_bytes, object_bytes);
  mutator->accounted_freed_bytes -= ((uint64_t)place->span->page_count << TRI_PAGE_LOG2) - object_bytes;
  tri_span_retire(&collect->spans, place->span);
}

static void tri_free_destroy(const tri_mutator_full *mutator, const tri_object_place *place) {
  const tri_layout_description *description =
      &tri_span_layout(&mutator->world->collect.spans, place->span)->description;
  tri_callback_begin();
  description->destroy((void *)place->start, tri_span_object_bytes(place->span), description->context);
  tri_callback_end();
}

// Everything but a slot of a loaded window.
static __attribute__((noinline)) void tri_free_general(tri_mutator_full *mutator, void *object) {
  const tri_spans *spans = &mutator->world->collect.spans;
  tri_phase phase = tri_load_relaxed(&mutator->world->collect.phase);
  TRI_CHECK(phase != TRI_PHASE_MARK_TERMINATION, "free of %p in phase markTermination", object);
  tri_assert_not_interrupted(mutator, "freeing");
  tri_object_place place = tri_slot_at(spans, (uintptr_t)object);
  if (!place.span) tri_free_refuse(object, "it is not an address of this heap's objects");
  if (place.start != (uintptr_t)object) tri_free_refuse(object, "it is not the start of an object");
  uint64_t granule = tri_space_granule(&spans->space, place.start);
  if (!tri_bit_test(spans->space.bits.allocated, granule) || tri_bit_test(spans->space.bits.freed, granule))
    tri_free_refuse(object, "it was freed already, or never allocated");
  // A loaded window of this mutator included: its slot may have a destroy callback, or a neighbour that was freed
  // from elsewhere.
  if (place.span->state == TRI_SPAN_SMALL && tri_slot_waits(mutator->world, &place))
    tri_free_refuse(object, "it was freed already");
  uint8_t duties = tri_load_acquire(&place.span->duties);
  if (duties & TRI_SPAN_HAS_TIES) tri_ties_end_object(&mutator->world->collect, &place);
  if (duties & TRI_SPAN_DESTROYS) tri_free_destroy(mutator, &place);
  if (place.span->state == TRI_SPAN_LARGE)
    tri_free_large(mutator, &place);
  else if (phase == TRI_PHASE_OFF && tri_span_is_swept(spans, place.span))
    tri_free_small(mutator, place.span, place.start);
  else
    tri_free_by_bit(mutator, &place);
}

// Remembered for the next free: programs free neighbours.
static void tri_free_remember(tri_mutator_full *mutator, tri_span *span, uint32_t group, uintptr_t base,
                              struct tri_window *window, bool zeroed) {
  tri_window_fold(window);
  mutator->last_freed = (tri_free_place){
      .base = base,
      .bytes = tri_group_slots(span->slots, group) * span->slot_bytes,
      .slot_bytes = span->slot_bytes,
      .slot_inverse = span->slot_inverse,
      .zeroed = zeroed,
      .window = window,
      .magazine = tri_mutator_magazine(mutator, span->class_id),
      .span = span,
  };
  *tri_mutator_free_place(mutator, span->class_id) = mutator->last_freed;
}

// Whether a slot of a loaded group is no object by what its span's bits say: freed alone, when the window was empty, or
// from elsewhere. Otherwise every slot of the group is allocated or waiting, and the window's mask alone tells a double
// free.
static inline bool tri_free_is_freed_alone(const tri_spans *spans, const tri_span *span, uintptr_t object) {
  return tri_load_relaxed(&span->lent) &&
         !tri_bit_test(spans->space.bits.allocated, tri_space_granule(&spans->space, object));
}
static bool tri_free_is_freed(const tri_spans *spans, const tri_span *span, uintptr_t object) {
  return tri_free_is_freed_alone(spans, span, object) ||
         (tri_load_acquire(&span->has_freed) &&
          tri_bit_test(spans->space.bits.freed, tri_space_granule(&spans->space, object)));
}

typedef enum tri_free_answer {
  TRI_FREE_DONE,
  TRI_FREE_ELSEWHERE, // nothing changed
  TRI_FREE_LONG_WAY,  // the same; the long way may do it
} tri_free_answer;

// Into the window where the last one went, of all or of its class: two comparisons and a multiplication instead of the
// way through the span. What only some spans take, and every refusal, is left to the long way.
static inline __attribute__((always_inline)) tri_free_answer
tri_free_into(tri_mutator_full *mutator, const tri_free_place *last, uintptr_t object, bool long_way, bool marks_kept) {
  uint64_t offset = object - last->base;
  if (offset >= last->bytes || last->window->base != last->base) return TRI_FREE_ELSEWHERE;
  TRI_ASSERT(!tri_window_has_range(last->window));
  // However long ago: where a group of a class begins says which span of the class it belongs to.
  TRI_ASSERT(last->span == tri_span_at(&mutator->world->collect.spans, last->base));
  uint32_t slot = tri_slot_index(offset, last->slot_inverse);
  if ((uint64_t)slot * last->slot_bytes != offset) return TRI_FREE_ELSEWHERE;
  uint64_t bit = UINT64_C(1) << (slot & 63);
  const tri_spans *spans = &mutator->world->collect.spans;
  bool plain = tri_load_acquire(&last->span->frees) == TRI_SPAN_SMALL && !(last->window->free_slots & bit) &&
               !tri_free_is_freed_alone(spans, last->span, object);
  if (!plain) {
    if (!long_way) return TRI_FREE_LONG_WAY;
    if (tri_load_relaxed(&last->span->duties) || tri_free_is_freed(spans, last->span, object))
      return TRI_FREE_ELSEWHERE;
    if (last->window->free_slots & bit) tri_free_refuse((void *)object, "it was freed already");
  }
  if (marks_kept) tri_free_forget(mutator, object);
  if (last->zeroed) tri_slot_zero_ahead(object, last->slot_bytes);
  tri_add_owned(&mutator->put_back_bytes, last->slot_bytes);
  last->window->free_slots |= bit;
  last->magazine->window_waits = 1;
  return TRI_FREE_DONE;
}
static bool tri_free_into_last_long_way(tri_mutator_full *mutator, uintptr_t object) {
  return tri_free_into(mutator, &mutator->last_freed, object, true, mutator->fast.barrier != 0) == TRI_FREE_DONE;
}

// Whether one of a class's two windows may hold the slot: it lies in the window's group, or just behind one with fewer
// slots than others. Where both are empty the magazine knows it from then on.
static inline bool tri_free_may_wait(const tri_mutator_full *mutator, tri_magazine *magazine, uintptr_t object) {
  const struct tri_window *window =
      tri_mutator_window((tri_mutator *)(uintptr_t)&mutator->fast, 2 * magazine->class_id);
  TRI_ASSERT(!tri_window_has_range(&window[0]) && !tri_window_has_range(&window[1]));
  TRI_ASSERT(magazine->window_waits || (window[0].free_slots | window[1].free_slots) == 0);
  if (!magazine->window_waits) return false;
  if ((window[0].free_slots | window[1].free_slots) == 0) {
    magazine->window_waits = 0;
    return false;
  }
  uint64_t group_bytes = (uint64_t)magazine->slot_bytes * TRI_WINDOW_SLOTS;
  return object - window[0].base < group_bytes || object - window[1].base < group_bytes;
}

// What most frees are: by the only mutator, or of an object of its own groups, between cycles, of an object that does
// not go back into a window and whose block has a ticket: its span asks for nothing else. Its bit leaves A, and it goes
// to a magazine, if that has room. False, and nothing changed, otherwise.
//
// No other thread writes the word of A: nobody else claims the group, and sweeps are past the span.
static inline __attribute__((always_inline)) bool tri_free_to_magazine(tri_mutator_full *mutator, tri_spans *spans,
                                                                       uintptr_t object, bool in_no_window,
                                                                       tri_liberty liberty, bool marks_kept) {
  // Beyond the heap also for what is not at a granule's start.
  uint64_t granule = tri_rotate_right(object - mutator->fast.heap_start, TRI_GRANULE_LOG2);
  if (__builtin_expect(granule >= tri_load_acquire(&spans->space.committed_granules), 0)) return false;
  // Without a ticket this is no class, and no magazine is its.
  uint32_t class_id = tri_ticket_class(spans, granule >> (TRI_BLOCK_LOG2 - TRI_GRANULE_LOG2));
  if (__builtin_expect(class_id & TRI_TICKET_WATCHED, 0)) {
    if (class_id >> TRI_TICKET_TAG_LOG2 || tri_bit_test(spans->space.bits.freed, granule)) return false;
    class_id -= TRI_TICKET_WATCHED;
  }
  tri_magazine *magazine = tri_mutator_magazine(mutator, class_id);
  if (!tri_magazine_has_room(magazine, class_id)) return false;
  // Slots that wait have their bit in A, too.
  if (!in_no_window && tri_free_may_wait(mutator, magazine, object)) return false;
  if (!tri_liberty_has(mutator, liberty, granule)) return false;
  uint64_t *word = &spans->space.bits.allocated[granule >> 6], before = tri_load_relaxed(word);
  uint64_t after = before & ~(UINT64_C(1) << (granule & 63));
  // Only starts of objects have a bit.
  if (__builtin_expect(after == before, 0)) return false;
  if (marks_kept) tri_free_forget(mutator, object);
  tri_store_release(word, after);
  magazine->slots[magazine->count++] = object;
  magazine->puts++;
  tri_add_owned(&mutator->freed_bytes, magazine->slot_bytes);
  return true;
}

// Into the window that holds the slot's group, if this mutator has it, or into a magazine. False, and nothing changed,
// for whatever takes more: wrong addresses, callbacks, what others may be looking at.
static bool tri_free_quickly(tri_mutator_full *mutator, void *object) {
  tri_world *world = mutator->world;
  const tri_space *space = &world->collect.spans.space;
  tri_span *span = tri_span_at(&world->collect.spans, (uintptr_t)object);
  if (!span || span->state != TRI_SPAN_SMALL || tri_load_relaxed(&span->duties)) return false;
  uint64_t offset = (uintptr_t)object - span->start;
  uint32_t slot = tri_slot_index(offset, span->slot_inverse), group = slot / TRI_WINDOW_SLOTS;
  if ((uint64_t)slot * span->slot_bytes != offset || slot >= span->slots) return false;
  uintptr_t base = span->start + (uint64_t)group * TRI_WINDOW_SLOTS * span->slot_bytes;
  struct tri_window *window = tri_mutator_window(&mutator->fast, 2 * span->class_id);
  for (uint32_t zeroed = 0; zeroed < 2; zeroed++) {
    if (window[zeroed].base != base) continue;
    tri_free_remember(mutator, span, group, base, &window[zeroed], zeroed != 0);
    return tri_free_into_last_long_way(mutator, (uintptr_t)object);
  }
  if (!tri_magazine_has_room(tri_mutator_magazine(mutator, span->class_id), span->class_id))
    tri_magazine_make_room(mutator, span);
  tri_liberty liberty = tri_liberty_enter(mutator, &world->collect);
  if (liberty != TRI_LIBERTY_NONE) {
    if (tri_span_is_swept(&world->collect.spans, span))
      tri_ticket_issue(&world->collect.spans, span, (uintptr_t)object);
    bool freed = tri_free_to_magazine(mutator, &world->collect.spans, (uintptr_t)object, true, liberty,
                                      tri_load_relaxed(&world->collect.marks_kept));
    tri_lone_leave(mutator);
    if (freed) return true;
  }
  uint64_t granule = tri_space_granule(space, (uintptr_t)object), bit = UINT64_C(1) << (granule & 63);
  uint64_t live =
      tri_load_relaxed(&space->bits.allocated[granule >> 6]) & ~tri_load_relaxed(&space->bits.freed[granule >> 6]);
  // It does not wait in a window of its own, as seen above, nor in another's that has left the group.
  uint16_t owner = tri_load_acquire(&space->group_owners[tri_space_granule(space, base) >> 6]);
  bool may_wait = owner & TRI_OWNER_LOADED && tri_owner_number(owner) != mutator->number;
  if (!(live & bit) || may_wait || tri_load_relaxed(&world->collect.spans.orphan_count)) return false;
  if (!tri_span_is_swept(&world->collect.spans, span)) return false;
  tri_free_small(mutator, span, (uintptr_t)object);
  return true;
}

// The first free of a mutator comes here: the quick ways find no window and no magazine then.
static __attribute__((noinline)) void tri_free_otherwise(tri_mutator_full *mutator, void *object) {
  tri_assert_owner(mutator, "freeing");
  tri_collect_note(&mutator->world->collect.frees_seen);
  // While marking a freed slot must not be handed out before the cycle ends: it may be grey, or in a barrier buffer. By
  // the phase, not by this thread's barrier: whoever dropped the object may have acknowledged before us.
  if (tri_load_acquire(&mutator->world->collect.phase) == TRI_PHASE_OFF) {
    if (tri_free_into_last_long_way(mutator, (uintptr_t)object)) return;
    if (tri_free_quickly(mutator, object)) return;
  }
  if (object && object != tri_empty_object()) tri_free_general(mutator, object);
}

// Of the last group, but there is more to see to: something else of its span was freed by its bit, say.
static __attribute__((noinline)) void tri_free_last_otherwise(tri_mutator_full *mutator, void *object) {
  bool freed = tri_free_into_last_long_way(mutator, (uintptr_t)object);
  tri_lone_leave(mutator);
  if (!freed) tri_free_otherwise(mutator, object);
}

// Into the window where the last one of its class went, as programs free objects of several classes by turns. The class
// is the block's, whatever is there: a place is compared with the object before it says anything.
static inline bool tri_free_into_last_of_class(tri_mutator_full *mutator, uintptr_t object, bool marks_kept) {
  const tri_space *space = &mutator->world->collect.spans.space;
  uint64_t granule = (object - mutator->fast.heap_start) >> TRI_GRANULE_LOG2;
  if (granule >= tri_load_acquire(&space->committed_granules)) return false;
  tri_layout_entry entry = tri_load_relaxed(&space->layout_map[granule >> (TRI_BLOCK_LOG2 - TRI_GRANULE_LOG2)]);
  const tri_free_place *place = tri_mutator_free_place(mutator, entry & TRI_ENTRY_CLASS);
  return tri_free_into(mutator, place, object, false, marks_kept) == TRI_FREE_DONE;
}

// Neither into the window of the last one nor into a magazine.
static inline __attribute__((always_inline)) void tri_free_by_turns_as(tri_mutator_full *mutator, void *object,
                                                                       bool marks_kept) {
  bool freed = tri_free_into_last_of_class(mutator, (uintptr_t)object, marks_kept);
  tri_lone_leave(mutator);
  if (!freed) tri_free_otherwise(mutator, object);
}
static __attribute__((noinline)) void tri_free_by_turns(tri_mutator_full *mutator, void *object) {
  tri_free_by_turns_as(mutator, object, false);
}
static __attribute__((noinline)) void tri_free_by_turns_keeping_marks(tri_mutator_full *mutator, void *object) {
  tri_free_by_turns_as(mutator, object, true);
}

// The commonest two ways by themselves: a frame would cost as much as half of their checks. The mutator asked for its
// liberty, and leaves.
static inline __attribute__((always_inline)) void tri_free_at_liberty(tri_mutator_full *mutator, void *object,
                                                                      tri_liberty liberty, bool marks_kept) {
  tri_free_answer answer = tri_free_into(mutator, &mutator->last_freed, (uintptr_t)object, false, marks_kept);
  if (__builtin_expect(answer == TRI_FREE_LONG_WAY, 0)) {
    tri_free_last_otherwise(mutator, object);
    return;
  }
  if (answer == TRI_FREE_DONE ||
      tri_free_to_magazine(mutator, &mutator->world->collect.spans, (uintptr_t)object, false, liberty, marks_kept))
    tri_lone_leave(mutator);
  else
    (marks_kept ? tri_free_by_turns_keeping_marks : tri_free_by_turns)(mutator, object);
}

static __attribute__((noinline)) void tri_free_beside_others(tri_mutator_full *mutator, void *object) {
  tri_free_at_liberty(mutator, object, TRI_LIBERTY_OWN_GROUPS, false);
}

static __attribute__((noinline)) void tri_free_keeping_marks(tri_mutator_full *mutator, void *object) {
  tri_free_at_liberty(mutator, object, TRI_LIBERTY_ALL, true);
}

// Both, or not at liberty.
static __attribute__((noinline)) void tri_free_unquietly(tri_mutator_full *mutator, void *object, uint64_t unquiet) {
  tri_liberty liberty = tri_liberty_answer(unquiet);
  if (liberty != TRI_LIBERTY_NONE) {
    tri_free_at_liberty(mutator, object, liberty, tri_unquiet_keeps_marks(unquiet));
  } else {
    tri_lone_leave(mutator);
    tri_free_otherwise(mutator, object);
  }
}

void tri_free(tri_mutator *mutator, void *object) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_step(TRI_STEP_FREE);
  if (__builtin_expect(!tri_mutator_is_callers(full), 0)) {
    tri_free_otherwise(full, object);
    return;
  }
  uint64_t unquiet = tri_liberty_ask(full, &full->world->collect);
  if (__builtin_expect(!unquiet, 1))
    tri_free_at_liberty(full, object, TRI_LIBERTY_ALL, false);
  else if (unquiet == TRI_UNQUIET_BY_GROUPS)
    tri_free_beside_others(full, object);
  else if (unquiet == TRI_UNQUIET_KEEPS_MARKS)
    tri_free_keeping_marks(full, object);
  else
    tri_free_unquietly(full, object, unquiet);
}

void *tri_object_start(tri_heap *heap, const void *address) {
  return (void *)tri_object_at(&tri_world_of_heap(heap)->collect.spans, (uintptr_t)address).start;
}

static tri_object_place tri_object_known(tri_heap *heap, const void *object) {
  tri_object_place place = tri_object_at(&tri_world_of_heap(heap)->collect.spans, (uintptr_t)object);
  TRI_CHECK(object && place.start == (uintptr_t)object, "%p is not the start of a live object of this heap", object);
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
