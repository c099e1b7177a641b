#include "mutator/placement.h"

#include "base/step.h"
#include "mutator/states.h"

enum {
  // Long enough to be off the CPU; the system makes it some 60 us.
  TRI_STEP_ASIDE_NS = 1000,
};

static uint32_t tri_mutators_on_locked(const tri_world *world, uint32_t cpu) {
  uint32_t count = 0;
  for (const tri_mutator_full *mutator = world->mutators; mutator; mutator = mutator->next)
    count += tri_load_relaxed(&mutator->state) == TRI_MUTATOR_RUNNING && tri_load_relaxed(&mutator->cpu) == cpu;
  return count;
}

static bool tri_mutator_is_crowded_locked(const tri_mutator_full *mutator) {
  uint32_t cpu = tri_load_relaxed(&mutator->cpu);
  return cpu && tri_load_relaxed(&mutator->state) == TRI_MUTATOR_RUNNING &&
         tri_mutators_on_locked(mutator->world, cpu) > 1;
}

bool tri_world_has_mutator_on(tri_world *world, uint32_t cpu) {
  tri_lock_acquire(&world->lock);
  bool has = tri_mutators_on_locked(world, cpu) != 0;
  tri_lock_release(&world->lock);
  return has;
}

// Which of those that share a CPU runs at this moment is not known: the first that polls does.
uint32_t tri_world_spread(tri_world *world, uint32_t own) {
  uint32_t asked = 0;
  tri_lock_acquire(&world->lock);
  if (!world->stopping && own && tri_mutators_on_locked(world, own) == 0)
    for (tri_mutator_full *mutator = world->mutators; mutator; mutator = mutator->next) {
      if (!tri_mutator_is_crowded_locked(mutator)) continue;
      tri_or_ordered(&mutator->fast.request, (uint32_t)TRI_REQUEST_STEP_ASIDE);
      asked++;
    }
  world->crowded = asked != 0;
  tri_lock_release(&world->lock);
  return asked;
}

void tri_world_begin_rest(tri_world *world) {
  tri_world_spread(world, tri_thread_cpu());
}

void tri_world_end_rest(tri_world *world) {
  tri_lock_acquire(&world->lock);
  world->crowded = false;
  tri_lock_release(&world->lock);
  // The scheduler would leave this thread where it was, beside the same mutator each time: that one would lose its CPU
  // while the others lose nothing.
  if (tri_world_has_mutator_on(world, tri_thread_cpu())) tri_thread_change_cpu();
}

void tri_mutator_step_aside_locked(tri_mutator_full *mutator) {
  tri_world *world = mutator->world;
  tri_and_ordered(&mutator->fast.request, ~(uint32_t)TRI_REQUEST_STEP_ASIDE);
  if (!world->crowded || world->stopping) return;
  world->crowded = false;
  tri_lock_release(&world->lock);
  tri_step(TRI_STEP_ASIDE);
  tri_mutator_set_blocked(mutator, mutator->stack_pointer, NULL);
  tri_thread_sleep(TRI_STEP_ASIDE_NS);
  tri_mutator_set_running(mutator);
  tri_lock_acquire(&world->lock);
}
