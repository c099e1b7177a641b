#include "mutator/owners.h"

#include "base/step.h"
#include "os/thread.h"

uint16_t tri_group_take_over(const tri_mutator_full *mutator, const tri_size_class_info *info, uintptr_t base,
                             uint32_t group) {
  const tri_space *space = &mutator->world->collect.spans.space;
  uint16_t owner = tri_owner_number(tri_load_relaxed(&space->group_owners[tri_space_granule(space, base) >> 6]));
  if (owner == 0 || owner == mutator->number) return 0;
  tri_group_own(mutator, info, base, group);
  return owner;
}

void tri_wait_for_last_owners(const tri_world *world, const uint16_t *owners, uint32_t count) {
  if (!count) return;
  tri_step(TRI_STEP_TAKE_OVER);
  tri_process_barrier();
  for (uint32_t index = 0; index < count; index++) {
    const tri_mutator_full *owner = tri_load_acquire(&world->numbered[owners[index] - 1]);
    while (tri_load_acquire(&owner->lone_busy)) tri_thread_yield();
  }
}

void tri_group_unload(const tri_mutator_full *mutator, const struct tri_window *window) {
  const tri_space *space = &mutator->world->collect.spans.space;
  const struct tri_window *pair = (const struct tri_window *)((uintptr_t)window & ~(uintptr_t)(2 * sizeof *window - 1));
  if (!window->base || pair[0].base == pair[1].base) return;
  uint16_t *owner = &space->group_owners[tri_space_granule(space, window->base) >> 6];
  uint16_t loaded = (uint16_t)(mutator->number | TRI_OWNER_LOADED);
  tri_compare_exchange_ordered(owner, &loaded, mutator->number);
}
