#include "mutator/magazine.h"

#include <string.h>

#include "collect/sweep.h"
#include "os/vm.h"

static void tri_span_relist(tri_world *world, tri_span *span, uint16_t walker) {
  tri_span_class *class = tri_spans_class_by_id(&world->collect.spans, span->class_id);
  tri_lock_acquire(&class->lock);
  tri_span_relist_locked(&world->collect, class, span, walker);
  tri_lock_release(&class->lock);
}

// Counts freed slots that nobody keeps: with enough of them their span is worth another walk, by `walker` alone or, if
// that is 0, by anyone.
static void tri_free_count(tri_world *world, tri_span *span, uint32_t count, uint16_t walker) {
  // A hint only: what is lost between threads makes the span wait a little longer.
  tri_store_relaxed(&span->freed_slots, tri_load_relaxed(&span->freed_slots) + count);
  if (tri_load_relaxed(&span->listed) || !tri_span_is_worth_walking(span)) return;
  if (tri_phase_is_off(&world->collect) && tri_span_is_swept(&world->collect.spans, span))
    tri_span_relist(world, span, walker);
}

// Who is to look for slots that were freed by a mutator: itself, if most are of its own groups, whose bit has left A.
// Were others to load those groups, it could not free there without locks any more.
static uint16_t tri_magazine_walker(const tri_mutator_full *mutator, const uintptr_t *slots, uint32_t count) {
  const tri_space *space = &mutator->world->collect.spans.space;
  if (tri_load_relaxed(&mutator->world->collect.shared) != TRI_SHARED_BY_GROUPS) return 0;
  uint32_t own = 0;
  for (uint32_t index = 0; index < count; index++)
    own += !tri_bit_test(space->bits.allocated, tri_space_granule(space, slots[index]));
  return 2 * own >= count ? mutator->number : 0;
}

// The ones that were freed first. Often they are neighbours.
static void tri_magazine_give_back(const tri_mutator_full *mutator, tri_magazine *magazine, uint32_t count) {
  tri_world *world = mutator->world;
  const tri_spans *spans = &world->collect.spans;
  for (uint32_t index = 0, first = 0; index < count; first = index) {
    uintptr_t block = tri_space_granule(&spans->space, magazine->slots[first]) >> (TRI_BLOCK_LOG2 - TRI_GRANULE_LOG2);
    while (++index < count)
      if (tri_space_granule(&spans->space, magazine->slots[index]) >> (TRI_BLOCK_LOG2 - TRI_GRANULE_LOG2) != block)
        break;
    tri_free_count(world, tri_span_at(spans, magazine->slots[first]), index - first,
                   tri_magazine_walker(mutator, &magazine->slots[first], index - first));
  }
  magazine->count = (uint16_t)(magazine->count - count);
  memmove(magazine->slots, magazine->slots + count, magazine->count * sizeof *magazine->slots);
}

tri_magazine *tri_magazine_make_room(tri_mutator_full *mutator, const tri_span *span) {
  tri_magazine *magazine = tri_mutator_magazine(mutator, span->class_id);
  if (magazine->class_id != span->class_id) {
    tri_magazine_give_back(mutator, magazine, magazine->count);
    magazine->class_id = span->class_id;
    magazine->slot_bytes = (uint16_t)span->slot_bytes;
    magazine->puts = 0;
    magazine->window_waits = 1;
    for (uint32_t zeroed = 0; zeroed < 2; zeroed++)
      tri_window_fold(tri_mutator_window(&mutator->fast, 2 * span->class_id + zeroed));
    mutator->magazines_used = mutator->magazines_touched = true;
  }
  if (magazine->count == TRI_MAGAZINE_SLOTS) tri_magazine_give_back(mutator, magazine, TRI_MAGAZINE_SLOTS / 2 + 1);
  return magazine;
}

// Whether the slot of an entry is this mutator's now.
static bool tri_magazine_claim(tri_mutator_full *mutator, uintptr_t slot) {
  tri_space *space = &mutator->world->collect.spans.space;
  uint64_t granule = tri_space_granule(space, slot);
  if (tri_bit_test(space->bits.allocated, granule)) return tri_lone_bit_clear(mutator, space->bits.freed, granule);
  tri_liberty liberty = tri_liberty_enter(mutator, &mutator->world->collect);
  if (liberty != TRI_LIBERTY_NONE) {
    bool taken = tri_liberty_has(mutator, liberty, granule) && !tri_bit_test(space->bits.allocated, granule);
    if (taken) tri_bits_set_owned(space->bits.allocated, granule >> 6, UINT64_C(1) << (granule & 63));
    tri_lone_leave(mutator);
    if (taken) return true;
  }
  // Its word of A is another's to write by now. A refill will find it.
  tri_free_count(mutator->world, tri_span_at(&mutator->world->collect.spans, slot), 1, 0);
  return false;
}

uintptr_t tri_magazine_take(tri_mutator_full *mutator, uint32_t class_id) {
  tri_magazine *magazine = tri_mutator_magazine(mutator, class_id);
  if (magazine->class_id != class_id || magazine->count == 0) return 0;
  if (tri_magazine_is_detained(mutator) || mutator->world->stress_interval) return 0;
  // Once marking has begun a slot must be handed out black or not at all.
  if (!tri_phase_is_off(&mutator->world->collect)) return 0;
  tri_assert_owner(mutator, "allocating");
  while (magazine->count) {
    uintptr_t slot = magazine->slots[--magazine->count];
    if (!tri_magazine_claim(mutator, slot)) continue;
    mutator->unaccounted_bytes += magazine->slot_bytes;
    return slot;
  }
  return 0;
}

void tri_magazine_refilled(tri_mutator_full *mutator, const tri_span_class *class, struct tri_window *window) {
  tri_magazine *magazine = tri_mutator_magazine(mutator, class->id);
  if (magazine->class_id != class->id) return;
  magazine->window_waits = 1;
  bool churned = magazine->puts >= TRI_MAGAZINE_CHURNED;
  magazine->puts = 0;
  tri_collect *collect = &mutator->world->collect;
  if (!churned) return;
  tri_liberty liberty = tri_liberty_enter(mutator, collect);
  if (liberty == TRI_LIBERTY_NONE) return;
  // The group was just loaded: its words are this mutator's, unless it has no number.
  if (!tri_liberty_has(mutator, liberty, tri_space_granule(&collect->spans.space, window->base))) {
    tri_lone_leave(mutator);
    return;
  }
  tri_store_relaxed(&tri_span_at(&collect->spans, window->base)->lent, (uint8_t)1);
  // From the last one down: the first are handed out first.
  uint64_t left = window->free_slots;
  while (left & (left - 1) && magazine->count < TRI_MAGAZINE_SLOTS) {
    uint32_t index = 63u - (uint32_t)__builtin_clzll(left);
    uintptr_t slot = window->base + (uint64_t)index * window->slot_bytes;
    uint64_t granule = tri_space_granule(&collect->spans.space, slot);
    uint64_t *word = &collect->spans.space.bits.allocated[granule >> 6];
    // Out of the window first: who looks from outside must not take a free slot for one that waits.
    left &= ~(UINT64_C(1) << index);
    tri_store_release(&window->free_slots, left);
    tri_store_release(word, tri_load_relaxed(word) & ~(UINT64_C(1) << (granule & 63)));
    magazine->slots[magazine->count++] = slot;
  }
  tri_lone_leave(mutator);
}

static void tri_magazines_empty(tri_mutator_full *mutator, bool give_back) {
  if (!mutator->magazines_used) return;
  for (uint32_t index = 0; index < TRI_MAGAZINES; index++) {
    tri_magazine *magazine = tri_mutator_magazine(mutator, index);
    if (magazine->class_id == 0) continue;
    if (give_back) tri_magazine_give_back(mutator, magazine, magazine->count);
    magazine->class_id = 0;
    magazine->count = 0;
  }
  mutator->magazines_used = false;
}

void tri_magazines_forget(tri_mutator_full *mutator) {
  tri_magazines_empty(mutator, false);
}

void tri_magazines_give_back(tri_mutator_full *mutator) {
  tri_magazines_empty(mutator, true);
}

void tri_magazines_discard(tri_mutator_full *mutator) {
  // Refused: the pages stay. They say that nothing is kept either way.
  if (mutator->magazines_touched)
    tri_vm_discard(tri_mutator_magazine(mutator, 0), TRI_MAGAZINES * sizeof(tri_magazine));
  mutator->magazines_touched = false;
}
