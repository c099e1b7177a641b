#include "mutator/alloc.h"
#include "mutator/assist.h"
#include "mutator/magazine.h"

#include <string.h>

#include "base/step.h"

// ---- The gate: what every slow-path allocation passes ----

static void tri_allocation_check_phase(const tri_mutator_full *mutator) {
  tri_phase phase = tri_load_relaxed(&mutator->world->collect.phase);
  TRI_CHECK(phase != TRI_PHASE_MARK_TERMINATION,
            "allocation in phase markTermination: nothing may be allocated while marking is being completed");
}

static bool tri_stress_is_due(tri_mutator_full *mutator) {
  uint32_t interval = mutator->world->stress_interval;
  if (interval == 0 || ++mutator->refills_since_stress < interval) return false;
  mutator->refills_since_stress = 0;
  return true;
}

// What is counted is what windows were loaded with. With many classes in use, or large ones, much of it waits: a
// program with objects of all sizes had twice the cycles it needed. Looked at again when half of what was left is gone.
static bool tri_trigger_is_early(tri_mutator_full *mutator, int64_t since, int64_t trigger) {
  tri_world *world = mutator->world;
  if (mutator->fast.barrier & TRI_SHADES_ANY || tri_load_relaxed(&world->cycle_wanted)) return false;
  if (since < mutator->early_until_bytes) return true;
  int64_t left = trigger - (since - (int64_t)tri_mutator_waiting_bytes(mutator));
  if (left < tri_load_relaxed(&world->account_bytes)) return false;
  mutator->early_until_bytes = since + left / 2;
  return true;
}

static bool tri_trigger_is_reached(tri_mutator_full *mutator) {
  const tri_world *world = mutator->world;
  int64_t since = tri_load_relaxed(&world->collect.allocated_since_bytes);
  int64_t trigger = tri_load_relaxed(&world->trigger_bytes);
  return since >= trigger && !tri_trigger_is_early(mutator, since, trigger);
}

static void tri_allocation_gate(tri_mutator_full *mutator) {
  tri_world *world = mutator->world;
  tri_allocation_check_phase(mutator);
  tri_assert_owner(mutator, "allocating");
  tri_assert_not_interrupted(mutator, "allocating");
  tri_step(TRI_STEP_ALLOCATE_SLOW);
  tri_safepoint(&mutator->fast);
  if (tri_trigger_is_reached(mutator) || tri_stress_is_due(mutator)) world->start_cycle(world, mutator);
}

// So that a sweep that the collector thread gets no processor for is over when half of the way to the next trigger is
// gone: the next cycle could not begin before.
static void tri_pay_sweep_debt(tri_mutator_full *mutator, int64_t bytes) {
  tri_world *world = mutator->world;
  if (!tri_sweep_is_running(&world->collect)) return;
  int64_t units = (int64_t)tri_load_relaxed(&world->collect.sweep.units);
  int64_t unit_bytes = tri_load_relaxed(&world->trigger_bytes) / 2 / (units + 1) + 1;
  for (mutator->sweep_debt_bytes += bytes; mutator->sweep_debt_bytes >= unit_bytes;
       mutator->sweep_debt_bytes -= unit_bytes)
    if (!tri_sweep_unit(&world->collect)) break;
}

static void tri_allocation_add(tri_mutator_full *mutator) {
  tri_world *world = mutator->world;
  tri_mutator_account(mutator);
  if (tri_load_relaxed(&world->asleep)) world->allocation_resumed(world);
}

// Shared counters are written once per account_bytes: a locked instruction waits until the stores into the last
// window have left the store buffer.
static void tri_allocation_account(tri_mutator_full *mutator, uint64_t bytes) {
  mutator->unaccounted_bytes += (int64_t)bytes;
  if (mutator->unaccounted_bytes >= tri_load_relaxed(&mutator->world->account_bytes)) {
    tri_pay_sweep_debt(mutator, mutator->unaccounted_bytes);
    tri_allocation_add(mutator);
  }
  if (mutator->fast.barrier & TRI_SHADES_ANY) tri_assist(mutator, bytes);
}

void tri_external_bytes_add(tri_mutator *mutator, int64_t delta) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_world *world = full->world;
  tri_allocation_check_phase(full);
  tri_assert_owner(full, "counting external bytes");
  world->external_bytes_add(world, delta);
  if (delta <= 0) return;
  if (full->fast.barrier & TRI_SHADES_ANY) tri_assist(full, (uint64_t)delta);
  tri_allocation_add(full);
  tri_allocation_gate(full);
}

// There was no memory, even after a collection; why.
static void tri_allocation_failed(tri_mutator_full *mutator, tri_status status) {
  if (status == TRI_LIMIT_REACHED) mutator->world->limit_reached(mutator->world);
}

// ---- Claiming a group ----

typedef struct tri_claim {
  const tri_collect *collect;
  tri_span *span;
  uint64_t first_word; // of the group, in A, M and F
  uint32_t slots;      // in the group
  bool marking;
  bool merge_freed;
} tri_claim;

// The explicit frees of one bitmap word, unless marking has begun meanwhile: what was freed since may still be in a
// barrier buffer, and stays as it is until the swap.
static uint64_t tri_claim_freed(const tri_claim *claim, uint64_t word) {
  uint64_t *place = &claim->collect->spans.space.bits.freed[word];
  uint64_t freed = __atomic_exchange_n(place, 0, __ATOMIC_SEQ_CST);
  if (tri_phase_is_off(claim->collect)) {
    // What comes to live there is young.
    if (claim->collect->marks_kept) tri_and_relaxed(&claim->collect->spans.space.bits.marked[word], ~freed);
    return freed;
  }
  tri_or_relaxed(place, freed);
  return 0;
}

// Takes every free slot that starts in one bitmap word; `starts` are the slot starts there. Returns A before.
static uint64_t tri_claim_word(const tri_claim *claim, uint64_t word, uint64_t starts) {
  const tri_bitmaps *bits = &claim->collect->spans.space.bits;
  uint64_t taken = tri_load_relaxed(&bits->allocated[word]);
  if (claim->merge_freed && tri_load_relaxed(&bits->freed[word])) taken &= ~tri_claim_freed(claim, word);
  // Black from the start, and before A says that it is there: markers never scan what is handed out in this cycle, not
  // even by way of a stale word that leads to it at this moment.
  if (claim->marking && (starts & ~taken)) tri_or_relaxed(&bits->marked[word], starts & ~taken);
  tri_store_release(&bits->allocated[word], taken | starts);
  return taken;
}

static bool tri_words_are_zero(const uint64_t *words, uint32_t count) {
  uint64_t any = 0;
  for (uint32_t word = 0; word < count; word++) any |= words[word];
  return any == 0;
}

// A whole group with nothing in it: what is free needs no counting.
static bool tri_claim_empty(const tri_claim *claim, const tri_size_class_info *info) {
  uint64_t *allocated = &claim->collect->spans.space.bits.allocated[claim->first_word];
  if (claim->slots != TRI_WINDOW_SLOTS || claim->marking || claim->merge_freed || !info->slot_starts) return false;
  if (!tri_words_are_zero(allocated, info->slot_granules)) return false;
  memcpy(allocated, info->slot_starts, info->slot_granules * sizeof *allocated);
  return true;
}

static uint64_t tri_claim_narrow(const tri_claim *claim, const tri_size_class_info *info) {
  uint32_t granules = claim->slots * info->slot_granules, words = (granules + 63) / 64;
  uint64_t used = 0;
  for (uint32_t word = 0; word < words; word++) {
    // The last group of a span may end in the middle of a word.
    uint64_t starts = info->slot_starts[word] & tri_low_bits(granules - word * 64);
    uint64_t taken = tri_claim_word(claim, claim->first_word + word, starts);
    for (; taken; taken &= taken - 1) {
      uint64_t offset = ((uint64_t)word * 64 + tri_first_set(taken)) << TRI_GRANULE_LOG2;
      used |= UINT64_C(1) << (tri_slot_index(offset, info->slot_inverse) & 63);
    }
  }
  return ~used & tri_low_bits(claim->slots);
}

static uint64_t tri_claim_wide(const tri_claim *claim, const tri_size_class_info *info) {
  uint64_t free_slots = 0;
  for (uint32_t slot = 0; slot < claim->slots; slot++) {
    uint64_t granule = (uint64_t)slot * info->slot_granules, bit = UINT64_C(1) << (granule & 63);
    if (!(tri_claim_word(claim, claim->first_word + (granule >> 6), bit) & bit)) free_slots |= UINT64_C(1) << slot;
  }
  return free_slots;
}

// Sets the free slots of a group in A, and in M while marking; which they were.
static uint64_t tri_group_claim(const tri_mutator_full *mutator, tri_span *span, const tri_size_class_info *info,
                                uint32_t group) {
  const tri_collect *collect = &mutator->world->collect;
  bool marking = mutator->allocates_black;
  tri_claim claim = {collect, span, 0, tri_group_slots(info->slots, group), marking,
                     // A free during marking takes effect after the swap.
                     tri_phase_is_off(collect) && tri_load_acquire(&span->has_freed)};
  claim.first_word =
      (tri_space_granule(&collect->spans.space, span->start) >> 6) + (uint64_t)group * info->slot_granules;
  // Markers have the lines of M: the next group's is asked for while this one is handed out.
  if (marking) tri_prefetch_to_write(&collect->spans.space.bits.marked[claim.first_word + info->slot_granules]);
  if (tri_claim_empty(&claim, info)) return ~UINT64_C(0);
  return info->slot_starts ? tri_claim_narrow(&claim, info) : tri_claim_wide(&claim, info);
}

// ---- Refill ----

enum {
  // Groups a window takes under the class's lock at once: larger means fewer locks, smaller fewer spans for many
  // threads.
  TRI_RUN_BYTES_MAX = TRI_BLOCK_BYTES,
  TRI_REFILL_PASSED_MAX = 8, // spans of others that a refill looks past for one of its own
  TRI_RUN_GROUPS_MAX = TRI_RUN_BYTES_MAX / (TRI_WINDOW_SLOTS * TRI_GRANULE_BYTES), // of the smallest slots
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

// Every word of A in which slots of a group have their bits is the mutator's now. Above 64 granules that is one for
// each slot, and those between have none.
static void tri_group_own(const tri_mutator_full *mutator, const tri_size_class_info *info, uintptr_t base,
                          uint32_t group) {
  const tri_space *space = &mutator->world->collect.spans.space;
  uint16_t *owners = &space->group_owners[tri_space_granule(space, base) >> 6];
  uint32_t slots = tri_group_slots(info->slots, group);
  if (slots == TRI_WINDOW_SLOTS && info->slot_starts && info->slot_granules % 4 == 0) {
    tri_four_owners four = mutator->number * UINT64_C(0x0001000100010001);
    for (uint32_t word = 0; word < info->slot_granules; word += 4)
      tri_store_release((tri_four_owners *)(void *)&owners[word], four);
  } else if (info->slot_starts) {
    uint32_t words = (slots * info->slot_granules + 63) / 64;
    for (uint32_t word = 0; word < words; word++) tri_store_release(&owners[word], mutator->number);
  } else {
    for (uint32_t slot = 0; slot < slots; slot++)
      tri_store_release(&owners[slot * info->slot_granules >> 6], mutator->number);
  }
}

static void tri_group_note_loaded(const tri_mutator_full *mutator, uintptr_t base) {
  const tri_space *space = &mutator->world->collect.spans.space;
  uint16_t *owner = &space->group_owners[tri_space_granule(space, base) >> 6];
  if (mutator->number) tri_store_release(owner, (uint16_t)(mutator->number | TRI_OWNER_LOADED));
}

// A group that another mutator may be writing bits of (lone.h): whose it was, or 0 if nobody else's. It is this
// mutator's now, but its last owner may not have noticed.
static uint16_t tri_group_take_over(const tri_mutator_full *mutator, const tri_size_class_info *info, uintptr_t base,
                                    uint32_t group) {
  const tri_space *space = &mutator->world->collect.spans.space;
  uint16_t owner = tri_owner_number(tri_load_relaxed(&space->group_owners[tri_space_granule(space, base) >> 6]));
  if (owner == 0 || owner == mutator->number) return 0;
  tri_group_own(mutator, info, base, group);
  return owner;
}

// Those from whom groups were taken over: after this none of them is at one.
static void tri_wait_for_last_owners(const tri_world *world, const uint16_t *owners, uint32_t count) {
  if (!count) return;
  tri_step(TRI_STEP_TAKE_OVER);
  tri_process_barrier();
  for (uint32_t index = 0; index < count; index++) {
    const tri_mutator_full *owner = tri_load_acquire(&world->numbered[owners[index] - 1]);
    while (tri_load_acquire(&owner->lone_busy)) tri_thread_yield();
  }
}

// Nothing waits any more in the group that the window held. Its owner may be another by now.
static __attribute__((noinline)) void tri_refill_unload(const tri_mutator_full *mutator,
                                                        const struct tri_window *window) {
  const tri_space *space = &mutator->world->collect.spans.space;
  const struct tri_window *pair = (const struct tri_window *)((uintptr_t)window & ~(uintptr_t)(2 * sizeof *window - 1));
  if (!window->base || pair[0].base == pair[1].base) return;
  uint16_t *owner = &space->group_owners[tri_space_granule(space, window->base) >> 6];
  uint16_t loaded = (uint16_t)(mutator->number | TRI_OWNER_LOADED);
  tri_compare_exchange_ordered(owner, &loaded, mutator->number);
}

// In this order, for a free on another thread that asks whether a slot waits here (tri_window_seems_to_hold): the
// count, the base, the mask. The table of owners tells it where to ask, and before any slot waits.
static inline __attribute__((always_inline)) void tri_refill_load(tri_refill *refill, uintptr_t base, uint32_t group,
                                                                  uint64_t free_slots) {
  struct tri_window *window = refill->window;
  // Without others nobody asks, and it only costs them a look.
  if (tri_load_relaxed(&refill->mutator->world->collect.shared)) tri_refill_unload(refill->mutator, window);
  tri_store_release(&window->loads, (uint8_t)(window->loads + 1));
  tri_store_release(&window->base, base);
  window->slot_bytes = refill->class->info->slot_bytes;
  tri_group_own(refill->mutator, refill->class->info, base, group);
  tri_group_note_loaded(refill->mutator, base);
  tri_store_release(&window->free_slots, free_slots);
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
  tri_refill_load(refill, orphan->window.base, group, orphan->window.free_slots);
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
  if (window->free_slots == ~UINT64_C(0)) {
    memset((void *)window->base, 0, TRI_WINDOW_SLOTS * slot_bytes);
    return;
  }
  for (uint64_t left = window->free_slots; left; left &= left - 1)
    memset((void *)(window->base + (uint64_t)tri_first_set(left) * slot_bytes), 0, slot_bytes);
}

// Puts a window on the mutator's list when it is loaded for the first time in a cycle.
static void tri_refill_note_window(tri_mutator_full *mutator, uint32_t index) {
  struct tri_window *window = tri_mutator_window(&mutator->fast, index);
  if (window->loaded_next) return;
  window->loaded_next = mutator->loaded_windows;
  mutator->loaded_windows = index;
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
  tri_allocation_account(mutator, (uint64_t)tri_popcount(refill.window->free_slots) * refill.window->slot_bytes);
  return TRI_OK;
}

static uintptr_t tri_window_pop(struct tri_window *window) {
  uint64_t free_slots = window->free_slots;
  window->free_slots = free_slots & (free_slots - 1);
  return window->base + (uint64_t)tri_first_set(free_slots) * window->slot_bytes;
}

// The empty window `index` is filled, collecting once if memory is short. 0 and *out_status on failure.
static uintptr_t tri_refill_and_pop(tri_mutator_full *mutator, tri_span_class *class, uint32_t index,
                                    tri_status *out_status) {
  struct tri_window *window = tri_mutator_window(&mutator->fast, index);
  tri_allocation_gate(mutator);
  // The gate may have let a cycle run, or a hook free into this window.
  tri_status status = window->free_slots ? TRI_OK : tri_window_refill(mutator, class, index);
  if (status != TRI_OK) {
    mutator->world->collect_for_memory(mutator->world, mutator);
    status = window->free_slots ? TRI_OK : tri_window_refill(mutator, class, index);
    if (status != TRI_OK) tri_allocation_failed(mutator, status);
  }
  *out_status = status;
  return status == TRI_OK ? tri_window_pop(window) : 0;
}

void *tri_allocate_small(tri_mutator_full *mutator, tri_span_class *class, bool uninitialized, tri_status *out_status) {
  uint32_t slot_bytes = class->info->slot_bytes;
  bool ahead = !uninitialized && slot_bytes <= TRI_ZERO_AHEAD_BYTES_MAX;
  uint32_t index = 2 * class->id + (ahead ? TRI_WINDOW_ZEROED : 0);
  struct tri_window *window = tri_mutator_window(&mutator->fast, index);
  *out_status = TRI_OK;
  uintptr_t object =
      window->free_slots ? tri_window_pop(window) : tri_refill_and_pop(mutator, class, index, out_status);
  if (object && !uninitialized && !ahead) memset((void *)object, 0, slot_bytes);
  return (void *)object;
}

// ---- Large objects ----

static tri_status tri_large_take_pages(tri_mutator_full *mutator, uint64_t pages, uint64_t alignment_pages,
                                       tri_page_run *run) {
  tri_world *world = mutator->world;
  tri_space *space = &world->collect.spans.space;
  // What the sweep would free has priority over growth, but no more is swept than it takes: first what another large
  // object may have left, a bit each, and only then spans of small ones.
  do {
    if (tri_pages_reuse(space, pages, alignment_pages, tri_load_relaxed(&world->limit_bytes), run)) return TRI_OK;
  } while (tri_sweep_large(&world->collect, pages) || tri_sweep_unit(&world->collect));
  tri_mutator_set_busy(mutator, tri_refill_busy);
  tri_status status = tri_pages_allocate(space, pages, alignment_pages, tri_load_relaxed(&world->limit_bytes), run);
  tri_mutator_set_busy(mutator, NULL);
  if (status == TRI_OK) return status;
  world->collect_for_memory(world, mutator);
  status = tri_pages_allocate(space, pages, alignment_pages, tri_load_relaxed(&world->limit_bytes), run);
  if (status != TRI_OK) tri_allocation_failed(mutator, status);
  return status;
}

void *tri_allocate_large(tri_mutator_full *mutator, struct tri_layout *layout, uint64_t bytes, uint64_t alignment,
                         bool uninitialized, tri_status *out_status) {
  tri_collect *collect = &mutator->world->collect;
  uint64_t object_bytes = tri_align_up(bytes, TRI_GRANULE_BYTES);
  uint64_t pages = tri_align_up(object_bytes, TRI_PAGE_BYTES) >> TRI_PAGE_LOG2;
  // A small object comes here for its alignment. Shorter runs could share an entry of the span table.
  if (pages < TRI_LARGE_PAGES_MIN) pages = TRI_LARGE_PAGES_MIN;
  uint64_t alignment_pages = alignment <= TRI_PAGE_BYTES ? 1 : alignment >> TRI_PAGE_LOG2;
  tri_allocation_gate(mutator);
  tri_page_run run;
  *out_status = tri_large_take_pages(mutator, pages, alignment_pages, &run);
  if (*out_status != TRI_OK) return NULL;
  bool partly = uninitialized && !tri_layout_has_references_beyond(layout, object_bytes);
  uint64_t zeroed_bytes = partly ? layout->reference_bytes : object_bytes;
  if (!run.fresh && zeroed_bytes) {
    // Zeroed before anyone can find it, and without keeping the collector waiting.
    mutator->pages_in_hand_first = run.page;
    mutator->pages_in_hand = pages;
    tri_blocking_begin(&mutator->fast);
    memset((void *)tri_space_page_address(&collect->spans.space, run.page), 0, zeroed_bytes);
    tri_blocking_end(&mutator->fast);
    mutator->pages_in_hand = 0;
  }
  tri_step(TRI_STEP_ALLOCATE_LARGE);
  // From here to the return there is no safepoint; the account comes first, as it may assist.
  tri_allocation_account(mutator, pages << TRI_PAGE_LOG2);
  tri_span *span = tri_span_make_large(&collect->spans, layout, object_bytes, pages, run);
  uint64_t granule = tri_space_granule(&collect->spans.space, span->start);
  if (mutator->allocates_black) tri_bit_set(collect->spans.space.bits.marked, granule);
  TRI_ASSERT(!tri_phase_is_off(collect) || !tri_is_old(collect, granule << TRI_GRANULE_LOG2));
  tri_bit_set(collect->spans.space.bits.allocated, granule);
  return (void *)span->start;
}

// ---- Entries ----

static const char tri_empty_bytes[TRI_GRANULE_BYTES] __attribute__((aligned(16)));

void *tri_empty_object(void) {
  return (void *)(uintptr_t)tri_empty_bytes;
}

static void *tri_allocate_empty(tri_mutator_full *mutator) {
  tri_allocation_check_phase(mutator);
  tri_assert_owner(mutator, "allocating");
  return tri_empty_object();
}

// The smallest size class that holds `bytes` with slots at multiples of `alignment`; spans start at blocks.
static uint32_t tri_aligned_size_class(uint64_t bytes, uint64_t alignment) {
  uint32_t size_class = tri_size_class(tri_align_up(bytes, alignment));
  while (tri_size_class_bytes(size_class) % alignment != 0) size_class++;
  return size_class;
}

tri_status tri_allocate(tri_mutator *mutator, tri_layout *layout, size_t bytes, size_t alignment, void **out_object) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  if (!tri_is_power_of_two(alignment) || alignment > TRI_ALIGNMENT_MAX) return TRI_BAD_ALIGNMENT;
  if (bytes > TRI_OBJECT_BYTES_MAX || bytes > mutator->heap_bytes) return TRI_TOO_LARGE;
  void *object;
  tri_status status = TRI_OK;
  if (bytes == 0) {
    object = tri_allocate_empty(full);
  } else if (bytes <= TRI_SMALL_BYTES_MAX && alignment <= TRI_SMALL_BYTES_MAX) {
    alignment = alignment < TRI_GRANULE_BYTES ? TRI_GRANULE_BYTES : alignment;
    tri_span_class *class =
        tri_spans_class(&full->world->collect.spans, layout, tri_aligned_size_class(bytes, alignment), &status);
    object = class ? tri_allocate_small(full, class, false, &status) : NULL;
  } else {
    object = tri_allocate_large(full, layout, bytes, alignment, false, &status);
  }
  if (object) *out_object = object;
  return status;
}

tri_status tri_allocate_array(tri_mutator *mutator, tri_layout *layout, size_t count, size_t element_bytes,
                              void **out_object) {
  size_t bytes;
  if (__builtin_mul_overflow(count, element_bytes, &bytes)) return TRI_TOO_LARGE;
  return tri_allocate(mutator, layout, bytes, TRI_GRANULE_BYTES, out_object);
}

void *tri_alloc_slow(tri_mutator *mutator, tri_layout *layout, size_t bytes) {
  void *object = NULL;
  if (bytes - 1 < TRI_SMALL_BYTES_MAX) {
    uint32_t size_class = tri_size_class(bytes);
    uintptr_t kept =
        tri_magazine_take(tri_mutator_of(mutator), tri_load_acquire(&layout->window_of_class[size_class]) / 2);
    if (kept) {
      tri_slot_zero(kept, tri_size_class_bytes(size_class));
      return (void *)kept;
    }
  }
  tri_allocate(mutator, layout, bytes, TRI_GRANULE_BYTES, &object);
  return object;
}

static inline void *tri_zero_references(uintptr_t object, const tri_layout *layout, uint32_t slot_bytes) {
  if (layout->reference_bytes)
    memset((void *)object, 0, layout->reference_bytes < slot_bytes ? layout->reference_bytes : slot_bytes);
  return (void *)object;
}

void *tri_alloc_uninitialized_slow(tri_mutator *mutator, tri_layout *layout, size_t bytes) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_status status = TRI_OK;
  if (bytes == 0 || bytes > TRI_OBJECT_BYTES_MAX || bytes > mutator->heap_bytes)
    return tri_alloc_slow(mutator, layout, bytes);
  if (bytes > TRI_SMALL_BYTES_MAX) return tri_allocate_large(full, layout, bytes, TRI_GRANULE_BYTES, true, &status);
  uint32_t size_class = tri_size_class(bytes);
  uintptr_t object = tri_magazine_take(full, tri_load_acquire(&layout->window_of_class[size_class]) / 2);
  if (!object) {
    tri_span_class *class = tri_spans_class(&full->world->collect.spans, layout, size_class, &status);
    object = class ? (uintptr_t)tri_allocate_small(full, class, true, &status) : 0;
  }
  return object ? tri_zero_references(object, layout, tri_size_class_bytes(size_class)) : NULL;
}

void *tri_alloc_leaf_slow(tri_mutator *mutator, size_t bytes) {
  return tri_alloc_uninitialized_slow(mutator, tri_mutator_of(mutator)->world->collect.spans.leaf, bytes);
}

void *tri_alloc_leaf_zeroed_slow(tri_mutator *mutator, size_t bytes) {
  return tri_alloc_slow(mutator, tri_mutator_of(mutator)->world->collect.spans.leaf, bytes);
}

// A window is empty. What a program that frees explicitly does all the time comes first: a slot that it freed a moment
// ago, and that is still in the cache, from a magazine. For a lone mutator without a frame, for one beside others with
// one call.

typedef enum tri_refill_kind {
  TRI_REFILL_TYPE,
  TRI_REFILL_ZEROED,
  TRI_REFILL_UNINITIALIZED,
  TRI_REFILL_LEAF,
  TRI_REFILL_LEAF_ZEROED,
} tri_refill_kind;

static __attribute__((noinline)) void *tri_refill_type_slow(tri_mutator *mutator, uint64_t window) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  uint32_t id = (uint32_t)window / 2;
  TRI_CHECK(id && id < tri_load_acquire(&full->world->collect.spans.class_count),
            "allocating a type that was not made for this heap");
  uintptr_t kept = tri_magazine_take(full, id);
  if (kept) return (void *)kept;
  tri_status status;
  tri_span_class *class = tri_spans_class_by_id(&full->world->collect.spans, id);
  return (void *)tri_refill_and_pop(full, class, (uint32_t)window, &status);
}

// An object of a slot from a magazine, or the long way where there was none.
static inline __attribute__((always_inline)) void *tri_refill_with(tri_mutator *mutator, uint64_t window_offset,
                                                                   tri_layout *layout, size_t bytes,
                                                                   tri_refill_kind kind, uintptr_t kept) {
  switch (kind) {
  case TRI_REFILL_TYPE:
    return kept ? (void *)kept : tri_refill_type_slow(mutator, window_offset / sizeof(struct tri_window));
  case TRI_REFILL_LEAF: return kept ? (void *)kept : tri_alloc_leaf_slow(mutator, bytes);
  case TRI_REFILL_UNINITIALIZED:
    return kept ? tri_zero_references(kept, layout, tri_size_class_bytes(tri_size_class(bytes)))
                : tri_alloc_uninitialized_slow(mutator, layout, bytes);
  case TRI_REFILL_ZEROED:
    if (!kept) return tri_alloc_slow(mutator, layout, bytes);
    break;
  case TRI_REFILL_LEAF_ZEROED:
    if (!kept) return tri_alloc_leaf_zeroed_slow(mutator, bytes);
    break;
  }
  tri_slot_zero(kept, tri_size_class_bytes(tri_size_class(bytes)));
  return (void *)kept;
}

// The mutator asked for its liberty, and leaves.
static inline __attribute__((always_inline)) void *tri_refill_at_liberty(tri_mutator *mutator, uint64_t window_offset,
                                                                         tri_layout *layout, size_t bytes,
                                                                         tri_refill_kind kind, tri_liberty liberty) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  uintptr_t kept = liberty == TRI_LIBERTY_NONE ? 0 : tri_magazine_take_at_liberty(full, window_offset, liberty);
  tri_lone_leave(full);
  return tri_refill_with(mutator, window_offset, layout, bytes, kind, kept);
}

static __attribute__((noinline)) void *tri_refill_unquietly(tri_mutator *mutator, uint64_t window_offset,
                                                            tri_layout *layout, size_t bytes, tri_refill_kind kind) {
  return tri_refill_at_liberty(mutator, window_offset, layout, bytes, kind, TRI_LIBERTY_NONE);
}

// Beside others. A function for each kind: together they would take a frame, and a jump by the kind.
typedef void *tri_refill_beside_others(tri_mutator *mutator, uint64_t window_offset, tri_layout *layout, size_t bytes);
#define TRI_REFILL_BESIDE_OTHERS(name, kind)                                                                           \
  static __attribute__((noinline)) void *name(tri_mutator *mutator, uint64_t window_offset, tri_layout *layout,        \
                                              size_t bytes) {                                                          \
    return tri_refill_at_liberty(mutator, window_offset, layout, bytes, kind, TRI_LIBERTY_OWN_GROUPS);                 \
  }
TRI_REFILL_BESIDE_OTHERS(tri_refill_type_beside_others, TRI_REFILL_TYPE)
TRI_REFILL_BESIDE_OTHERS(tri_refill_zeroed_beside_others, TRI_REFILL_ZEROED)
TRI_REFILL_BESIDE_OTHERS(tri_refill_uninitialized_beside_others, TRI_REFILL_UNINITIALIZED)
TRI_REFILL_BESIDE_OTHERS(tri_refill_leaf_beside_others, TRI_REFILL_LEAF)
TRI_REFILL_BESIDE_OTHERS(tri_refill_leaf_zeroed_beside_others, TRI_REFILL_LEAF_ZEROED)

static inline __attribute__((always_inline)) void *tri_refill_from_magazine(tri_mutator *mutator,
                                                                            uint64_t window_offset, tri_layout *layout,
                                                                            size_t bytes, tri_refill_kind kind,
                                                                            tri_refill_beside_others *beside_others) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  // What is in a magazine is young: whether marks are kept makes no difference.
  uint64_t unquiet = tri_liberty_ask(full, &full->world->collect) & (TRI_UNQUIET_KEEPS_MARKS - 1);
  if (__builtin_expect(!unquiet, 1))
    return tri_refill_at_liberty(mutator, window_offset, layout, bytes, kind, TRI_LIBERTY_ALL);
  if (__builtin_expect(unquiet == TRI_UNQUIET_BY_GROUPS, 1))
    return beside_others(mutator, window_offset, layout, bytes);
  return tri_refill_unquietly(mutator, window_offset, layout, bytes, kind);
}

static inline uint64_t tri_window_offset(tri_mutator *mutator, const struct tri_window *window) {
  return (uint64_t)((const char *)window - (const char *)tri_mutator_window(mutator, 0));
}

void *tri_refill_type(tri_mutator *mutator, tri_type type) {
  return tri_refill_from_magazine(mutator, type.window * sizeof(struct tri_window), NULL, 0, TRI_REFILL_TYPE,
                                  tri_refill_type_beside_others);
}
void *tri_refill_zeroed(tri_mutator *mutator, const struct tri_window *window, tri_layout *layout, size_t bytes) {
  return tri_refill_from_magazine(mutator, tri_window_offset(mutator, window), layout, bytes, TRI_REFILL_ZEROED,
                                  tri_refill_zeroed_beside_others);
}
void *tri_refill_uninitialized(tri_mutator *mutator, const struct tri_window *window, tri_layout *layout,
                               size_t bytes) {
  return tri_refill_from_magazine(mutator, tri_window_offset(mutator, window), layout, bytes, TRI_REFILL_UNINITIALIZED,
                                  tri_refill_uninitialized_beside_others);
}
void *tri_refill_leaf(tri_mutator *mutator, const struct tri_window *window, size_t bytes) {
  return tri_refill_from_magazine(mutator, tri_window_offset(mutator, window), NULL, bytes, TRI_REFILL_LEAF,
                                  tri_refill_leaf_beside_others);
}
void *tri_refill_leaf_zeroed(tri_mutator *mutator, const struct tri_window *window, size_t bytes) {
  return tri_refill_from_magazine(mutator, tri_window_offset(mutator, window), NULL, bytes, TRI_REFILL_LEAF_ZEROED,
                                  tri_refill_leaf_zeroed_beside_others);
}

tri_status tri_type_make(tri_heap *heap, tri_layout *layout, size_t bytes, tri_type *out_type) {
  if (bytes == 0 || bytes < 8 * (size_t)layout->description.prefix_words) return TRI_BAD_LAYOUT;
  if (bytes > TRI_SMALL_BYTES_MAX) return TRI_TOO_LARGE;
  tri_status status = TRI_OK;
  tri_span_class *class =
      tri_spans_class(&tri_world_of_heap(heap)->collect.spans, layout, tri_size_class(bytes), &status);
  if (class) *out_type = (tri_type){2 * class->id, (uint32_t)bytes};
  return status;
}

tri_status tri_layout_make(tri_heap *heap, const tri_layout_description *description, tri_layout **out_layout) {
  return tri_spans_intern_layout(&tri_world_of_heap(heap)->collect.spans, description, out_layout);
}
tri_layout *tri_layout_leaf(tri_heap *heap) {
  return tri_world_of_heap(heap)->collect.spans.leaf;
}
tri_layout *tri_layout_references(tri_heap *heap) {
  return tri_world_of_heap(heap)->collect.spans.references;
}
tri_layout *tri_layout_conservative(tri_heap *heap) {
  return tri_world_of_heap(heap)->collect.spans.conservative;
}
