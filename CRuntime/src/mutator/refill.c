#include "mutator/refill.h"

#include <string.h>

#include "base/step.h"
#include "collect/sweep.h"
#include "mutator/claim.h"
#include "mutator/gate.h"
#include "mutator/magazine.h"
#include "mutator/owners.h"

enum {
  // Groups a window takes under the class's lock at once: larger means fewer locks, smaller fewer spans for many
  // threads.
  TRI_RUN_BYTES_MAX = TRI_BLOCK_BYTES,
  TRI_REFILL_PASSED_MAX = 8, // spans of others that a refill looks past for one of its own
  TRI_RUN_GROUPS_MAX = TRI_RUN_BYTES_MAX / (TRI_WINDOW_SLOTS * TRI_GRANULE_BYTES), // of the smallest slots
  // What is asked for lies so many bytes and slots ahead, in groups of which no more are in use.
  TRI_AHEAD_BYTES = 512,
  TRI_AHEAD_SLOTS = 4,
  TRI_AHEAD_USED_MAX = 4,
  TRI_AHEAD_SLOT_BYTES_MAX = 512, // pairs of 1 KiB took 1.18 of the time
  // Of a count that every whole group lets go up by one, and every other one go back: ranges from here on.
  TRI_WHOLE_GROUPS_RANGE = 32,
  TRI_WHOLE_GROUPS_MAX = 48,
  TRI_WHOLE_GROUPS_BACK = 8,
};

typedef struct tri_refill {
  tri_mutator_full *mutator;
  tri_span_class *class;
  struct tri_window *window;
  bool zeroed;         // the window promises zeroed slots
  bool dirty;          // what was claimed is not zero yet
  bool takes_over;     // groups of the run may be others'
  uint16_t last_owner; // of the orphan's group, who may not have noticed that it is another's; or 0
} tri_refill;

// How far ahead of a slot that is handed out its successors are asked for. Where few are free that would fetch what is
// alive, for nothing. What is zeroed a window ahead has been fetched by that: there it is the next group.
static uint16_t tri_refill_ahead_bytes(uint64_t free_slots, uint32_t slot_bytes, bool zeroed) {
  if (slot_bytes > TRI_AHEAD_SLOT_BYTES_MAX) return 0;
  uint64_t used = ~free_slots;
  for (uint32_t most = TRI_AHEAD_USED_MAX; most; most--) used &= used - 1;
  if (used) return 0;
  return (uint16_t)(TRI_AHEAD_BYTES + (zeroed ? TRI_WINDOW_SLOTS : TRI_AHEAD_SLOTS) * slot_bytes);
}

// Whether a group is handed out as a range. Only whole ones are, and only when nearly all lately were whole: where an
// allocation finds now a range, now a mask, the processor guesses wrong. And not where a free would have to look.
static bool tri_refill_as_range(const tri_refill *refill, uint32_t group, uint64_t free_slots) {
  tri_mutator_full *mutator = refill->mutator;
  uint32_t seen = mutator->whole_groups;
  if (free_slots != tri_low_bits(tri_group_slots(refill->class->info->slots, group))) {
    mutator->whole_groups = (uint8_t)(seen > TRI_WHOLE_GROUPS_BACK ? seen - TRI_WHOLE_GROUPS_BACK : 0);
    return false;
  }
  if (seen < TRI_WHOLE_GROUPS_MAX) mutator->whole_groups = (uint8_t)(seen + 1);
  if (seen < TRI_WHOLE_GROUPS_RANGE) return false;
  if (tri_mutator_magazine(mutator, refill->class->id)->class_id == refill->class->id) return false;
  tri_free_place *place = tri_mutator_free_place(mutator, refill->class->id);
  if (place->window == refill->window) place->bytes = 0;
  if (mutator->last_freed.window == refill->window) mutator->last_freed.bytes = 0;
  return true;
}

// The table of owners tells a free on another thread where to ask whether a slot waits, and before any does.
static inline __attribute__((always_inline)) void tri_refill_load(tri_refill *refill, uintptr_t base, uint32_t group,
                                                                  uint64_t free_slots) {
  struct tri_window *window = refill->window;
  // Without others nobody asks, and it only costs them a look.
  if (tri_load_relaxed(&refill->mutator->world->collect.shared)) tri_group_unload(refill->mutator, window);
  uint32_t slot_bytes = refill->class->info->slot_bytes;
  tri_group_own(refill->mutator, refill->class->info, base, group);
  tri_group_note_loaded(refill->mutator, base);
  window->ahead_bytes = tri_refill_ahead_bytes(free_slots, slot_bytes, refill->zeroed);
  tri_window_load(window, base, slot_bytes, free_slots, tri_refill_as_range(refill, group, free_slots));
}

static bool tri_refill_from_orphan_locked(tri_refill *refill) {
  tri_orphan *orphan = refill->class->orphans;
  if (!orphan) return false;
  tri_store_relaxed(&refill->class->orphans, orphan->next);
  tri_subtract_relaxed(&refill->mutator->world->collect.spans.orphan_count, 1u);
  // What the orphan held of its span passes to the window: a run that is used up.
  tri_spans *spans = &refill->mutator->world->collect.spans;
  tri_span *span = tri_span_at(spans, orphan->window.base);
  uint32_t group = (uint32_t)((orphan->window.base - span->start) / (TRI_WINDOW_SLOTS * span->slot_bytes));
  refill->last_owner = tri_group_take_over(refill->mutator, refill->class->info, orphan->window.base, group);
  tri_refill_load(refill, orphan->window.base, group, tri_window_waiting(&orphan->window));
  refill->window->run_span = tri_span_index(spans, span) + 1;
  refill->window->run_next = refill->window->run_end = 0;
  refill->dirty = !orphan->zeroed;
  // It may have been left before the barrier went on and not been marked yet.
  if (refill->mutator->allocates_black) tri_window_mark(&refill->mutator->world->collect, refill->window);
  tri_meta_free(&refill->mutator->world->collect.spans.space.meta, orphan, sizeof *orphan);
  return true;
}

// Loads one group, which nobody else will touch before the next cycle; false when it has no free slot.
static bool tri_refill_from_group(tri_refill *refill, tri_span *span, uint32_t group) {
  const tri_size_class_info *info = refill->class->info;
  uint64_t free_slots = tri_group_claim(refill->mutator, span, info, group);
  if (!free_slots) return false;
  tri_refill_load(refill, span->start + (uint64_t)group * TRI_WINDOW_SLOTS * info->slot_bytes, group, free_slots);
  refill->dirty = !span->fresh;
  return true;
}

static bool tri_refill_from_run(tri_refill *refill) {
  struct tri_window *window = refill->window;
  if (window->run_next == window->run_end) return false;
  tri_span *span = tri_span_by_index(&refill->mutator->world->collect.spans, window->run_span - 1);
  while (window->run_next < window->run_end)
    if (tri_refill_from_group(refill, span, window->run_next++)) return true;
  return false;
}

// A run of a span that is walked once more may have groups of other mutators. One barrier for all of them.
static void tri_refill_take_run_over(tri_refill *refill) {
  const struct tri_window *window = refill->window;
  const tri_mutator_full *mutator = refill->mutator;
  const tri_size_class_info *info = refill->class->info;
  uintptr_t start = tri_span_by_index(&mutator->world->collect.spans, window->run_span - 1)->start;
  uint16_t owners[TRI_RUN_GROUPS_MAX];
  uint32_t count = 0;
  for (uint32_t group = window->run_next; group < window->run_end; group++) {
    uintptr_t base = start + (uint64_t)group * TRI_WINDOW_SLOTS * info->slot_bytes;
    uint16_t owner = tri_group_take_over(mutator, info, base, group);
    if (owner) owners[count++] = owner;
  }
  tri_wait_for_last_owners(mutator->world, owners, count);
}

// Twice as many groups each time, up to a block: a thread that allocates a lot seldom takes the lock, one that
// allocates a few objects of many classes does not keep spans from others.
static uint32_t tri_refill_run_groups(const tri_refill *refill) {
  uint32_t most = TRI_RUN_BYTES_MAX / (TRI_WINDOW_SLOTS * refill->class->info->slot_bytes);
  uint32_t twice = 2u * refill->window->run_groups;
  if (twice > most) twice = most;
  return twice ? twice : 1;
}

static bool tri_refill_group_is_foreign(const tri_refill *refill, const tri_span *span, uint32_t group) {
  const tri_space *space = &refill->mutator->world->collect.spans.space;
  uint64_t granules = (uint64_t)group * refill->class->info->slot_granules;
  uint16_t owner =
      tri_owner_number(tri_load_relaxed(&space->group_owners[(tri_space_granule(space, span->start) >> 6) + granules]));
  return owner != 0 && owner != refill->mutator->number;
}

// Groups from `first` on, of which that is one, until the next that is another's.
static uint32_t tri_refill_count_own(const tri_refill *refill, const tri_span *span, uint32_t first, uint32_t most) {
  uint32_t count = 1;
  while (count < most && !tri_refill_group_is_foreign(refill, span, first + count)) count++;
  return count;
}

// Nothing is taken over in a span that is walked for the first time since its sweep: that must have nothing to take.
static void tri_refill_check_unowned(const tri_refill *refill, const tri_span *span, uint32_t first, uint32_t count) {
  if (!TRI_CHECKS || span->walked) return;
  const tri_space *space = &refill->mutator->world->collect.spans.space;
  const uint16_t *owners = &space->group_owners[tri_space_granule(space, span->start) >> 6];
  for (uint32_t group = first; group < first + count; group++) {
    uint16_t owner = tri_load_relaxed(&owners[(uint64_t)group * refill->class->info->slot_granules]);
    TRI_CHECK(!owner, "group %u of span 0x%zx was handed to nobody since its sweep and belongs to mutator %u", group,
              (size_t)span->start, owner);
  }
}

static bool tri_refill_from_span_locked(tri_refill *refill, tri_span *span) {
  uint32_t groups = refill->class->info->groups, first = span->next_group;
  bool own_only = span->walker && span->walker == refill->mutator->number;
  while (own_only && first < groups && tri_refill_group_is_foreign(refill, span, first)) first++;
  span->next_group = (uint16_t)first;
  if (first == groups) return false;
  uint32_t count = tri_refill_run_groups(refill);
  if (count > groups - first) count = groups - first;
  if (own_only) count = tri_refill_count_own(refill, span, first, count);
  tri_refill_check_unowned(refill, span, first, count);
  span->next_group = (uint16_t)(first + count);
  span->claimed = 1;
  span->runs++;
  refill->window->run_span = tri_span_index(&refill->mutator->world->collect.spans, span) + 1;
  refill->window->run_next = (uint8_t)first;
  refill->window->run_end = (uint8_t)(first + count);
  refill->window->run_groups = (uint8_t)count;
  refill->takes_over = span->walked && !own_only;
  return true;
}

// The run that is used up: its span may be walked again from now on. What was freed in it meanwhile could not ask for
// that.
static void tri_refill_end_run_locked(tri_refill *refill) {
  struct tri_window *window = refill->window;
  if (!window->run_span) return;
  tri_collect *collect = &refill->mutator->world->collect;
  tri_span *span = tri_span_by_index(&collect->spans, window->run_span - 1);
  span->runs--;
  window->run_span = 0;
  if (tri_phase_is_off(collect)) tri_span_relist_locked(collect, refill->class, span, span->walker);
}

// `others`: also from spans that others are to walk.
static bool tri_refill_from_list_locked(tri_refill *refill, uint32_t *list, bool others) {
  tri_collect *collect = &refill->mutator->world->collect;
  tri_span_class *class = refill->class;
  uint32_t passed = 0;
  while (*list) {
    tri_span *span = tri_span_by_index(&collect->spans, *list - 1);
    if (!others && span->walker && span->walker != refill->mutator->number) {
      if (++passed == TRI_REFILL_PASSED_MAX) return false;
      list = &span->next;
      continue;
    }
    if (tri_refill_from_span_locked(refill, span)) return true;
    *list = span->next;
    tri_store_relaxed(&span->listed, (uint8_t)0);
    // Walked to the end. Slots freed behind the walk may be worth another one, but not while marking.
    if (tri_phase_is_off(collect)) tri_span_relist_locked(collect, class, span, span->walker);
  }
  return false;
}

// The fullest spans first: what is nearly empty may become empty, and go back whole.
static bool tri_refill_from_lists_locked(tri_refill *refill) {
  for (int others = 0; others < 2; others++)
    for (int list = 0; list < TRI_FULLNESS_LISTS; list++)
      if (tri_refill_from_list_locked(refill, &refill->class->partial[list], others)) return true;
  return false;
}

static tri_status tri_refill_grow(tri_refill *refill) {
  tri_world *world = refill->mutator->world;
  tri_spans *spans = &world->collect.spans;
  uint32_t pages = refill->class->info->span_pages;
  tri_page_run run;
  tri_status status = tri_pages_allocate(&spans->space, pages, pages, tri_load_relaxed(&world->limit_bytes), &run);
  if (status != TRI_OK) return status;
  tri_span *span = tri_span_make_small(spans, refill->class, run);
  tri_lock_acquire(&refill->class->lock);
  tri_span_list_locked(&world->collect, refill->class, span);
  tri_lock_release(&refill->class->lock);
  return TRI_OK;
}

typedef enum tri_refill_source { TRI_REFILL_NOTHING, TRI_REFILL_LOADED, TRI_REFILL_RUN } tri_refill_source;

static tri_refill_source tri_refill_look_locked(tri_refill *refill) {
  tri_span_class_refresh_locked(&refill->mutator->world->collect, refill->class);
  tri_refill_end_run_locked(refill);
  if (tri_refill_from_orphan_locked(refill)) return TRI_REFILL_LOADED;
  return tri_refill_from_lists_locked(refill) ? TRI_REFILL_RUN : TRI_REFILL_NOTHING;
}

static const char tri_refill_busy[] = "an allocation";

static tri_status tri_refill_find(tri_refill *refill) {
  tri_collect *collect = &refill->mutator->world->collect;
  while (!tri_refill_from_run(refill)) {
    tri_lock_acquire(&refill->class->lock);
    tri_refill_source source = tri_refill_look_locked(refill);
    tri_lock_release(&refill->class->lock);
    if (source == TRI_REFILL_LOADED) {
      tri_wait_for_last_owners(refill->mutator->world, &refill->last_owner, refill->last_owner != 0);
      return TRI_OK;
    }
    if (source == TRI_REFILL_RUN) {
      if (refill->takes_over) tri_refill_take_run_over(refill);
      continue;
    }
    // Reuse before growth: sweep until something of this class turns up. A unit may call the embedder.
    tri_mutator_set_busy(refill->mutator, NULL);
    bool swept = tri_sweep_unit(collect);
    tri_mutator_set_busy(refill->mutator, tri_refill_busy);
    if (swept) continue;
    tri_status status = tri_refill_grow(refill);
    if (status != TRI_OK) return status;
  }
  return TRI_OK;
}

static void tri_refill_zero(const tri_refill *refill) {
  const struct tri_window *window = refill->window;
  size_t slot_bytes = window->slot_bytes;
  uint64_t waiting = tri_window_waiting(window);
  if (waiting == ~UINT64_C(0)) {
    memset((void *)window->base, 0, TRI_WINDOW_SLOTS * slot_bytes);
    return;
  }
  for (uint64_t left = waiting; left; left &= left - 1)
    memset((void *)(window->base + (uint64_t)tri_first_set(left) * slot_bytes), 0, slot_bytes);
}

// Puts a window on the mutator's list when it is loaded for the first time in a cycle.
static void tri_refill_note_window(tri_mutator_full *mutator, uint32_t index) {
  struct tri_window *window = tri_mutator_window(&mutator->fast, index);
  if (window->loaded_next) return;
  window->loaded_next = mutator->loaded_windows;
  mutator->loaded_windows = (uint16_t)index;
}

static tri_status tri_window_refill(tri_mutator_full *mutator, tri_span_class *class, uint32_t index) {
  tri_refill refill = {.mutator = mutator,
                       .class = class,
                       .window = tri_mutator_window(&mutator->fast, index),
                       .zeroed = (index & TRI_WINDOW_ZEROED) != 0};
  tri_mutator_set_busy(mutator, tri_refill_busy);
  tri_status status = tri_refill_find(&refill);
  if (status == TRI_OK) {
    tri_refill_note_window(mutator, index);
    tri_step(TRI_STEP_REFILL);
    tri_magazine_refilled(mutator, class, refill.window);
    if (refill.zeroed && refill.dirty) tri_refill_zero(&refill);
  }
  tri_mutator_set_busy(mutator, NULL);
  if (status != TRI_OK) return status;
  tri_allocation_account(mutator, tri_window_waiting_bytes(refill.window));
  return TRI_OK;
}

uintptr_t tri_refill_and_pop(tri_mutator_full *mutator, tri_span_class *class, uint32_t index, tri_status *out_status) {
  struct tri_window *window = tri_mutator_window(&mutator->fast, index);
  tri_allocation_gate(mutator);
  // The gate may have let a cycle run, or a hook free into this window.
  tri_status status = tri_window_has_any(window) ? TRI_OK : tri_window_refill(mutator, class, index);
  if (status != TRI_OK) {
    mutator->world->collect_for_memory(mutator->world, mutator);
    status = tri_window_has_any(window) ? TRI_OK : tri_window_refill(mutator, class, index);
    if (status != TRI_OK) tri_allocation_failed(mutator, status);
  }
  *out_status = status;
  return status == TRI_OK ? tri_window_take(window, window->slot_bytes) : 0;
}
