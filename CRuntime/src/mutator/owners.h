// Owners: which mutator writes a group's words of A without locked instructions (lone.h), as the table group_owners
// says.
//
//   nobody's -> loaded      [tri_group_own, tri_group_note_loaded]  a refill
//   loaded   -> owned       [tri_group_unload]                      its window went on to another group
//   another's -> owned      [tri_group_take_over]                   its span is walked once more
//   any      -> nobody's    a sweep of its span
//
// Callers     refill.c.
#ifndef TRI_MUTATOR_OWNERS_H
#define TRI_MUTATOR_OWNERS_H

#include "mutator/world.h"

/// Every word of A in which slots of a group have their bits is the mutator's now. Above 64 granules that is one for
/// each slot, and those between have none.
static inline void tri_group_own(const tri_mutator_full *mutator, const tri_size_class_info *info, uintptr_t base,
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

/// A window holds the group from here on: a free on another thread may have to ask there.
static inline void tri_group_note_loaded(const tri_mutator_full *mutator, uintptr_t base) {
  const tri_space *space = &mutator->world->collect.spans.space;
  uint16_t *owner = &space->group_owners[tri_space_granule(space, base) >> 6];
  if (mutator->number) tri_store_release(owner, (uint16_t)(mutator->number | TRI_OWNER_LOADED));
}

/// A group that another mutator may be writing bits of: whose it was, or 0 if nobody else's. It is this mutator's now,
/// but its last owner may not have noticed.
uint16_t tri_group_take_over(const tri_mutator_full *mutator, const tri_size_class_info *info, uintptr_t base,
                             uint32_t group);
/// Those from whom groups were taken over: after this none of them is at one. Costs a barrier on every thread.
void tri_wait_for_last_owners(const tri_world *world, const uint16_t *owners, uint32_t count);
/// Nothing waits any more in the group that the window held. Its owner may be another by now.
void tri_group_unload(const tri_mutator_full *mutator, const struct tri_window *window);

#endif
