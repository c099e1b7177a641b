#include "mutator/placement.h"

#include "base/step.h"
#include "mutator/states.h"

enum {
  // Long enough to be off the CPU; the system makes it some 60 us.
  TRI_STEP_ASIDE_NS = 1000,
  // Where more run no CPU stays idle for long, and nobody is asked: to compare them all takes the square of it.
  TRI_SPREAD_MUTATORS_MAX = 8,
};

static bool tri_mutator_is_on(const tri_mutator_full *mutator, uint32_t cpu) {
  return tri_load_relaxed(&mutator->state) == TRI_MUTATOR_RUNNING && tri_load_relaxed(&mutator->cpu) == cpu;
}

static bool tri_any_mutator_on_locked(const tri_world *world, uint32_t cpu) {
  for (const tri_mutator_full *mutator = world->mutators; mutator; mutator = mutator->next)
    if (tri_mutator_is_on(mutator, cpu)) return true;
  return false;
}

// The mutators that run on CPUs that are known; none if there are more than there is room for.
static uint32_t tri_running_mutators_locked(const tri_world *world, tri_mutator_full *out[TRI_SPREAD_MUTATORS_MAX]) {
  uint32_t count = 0;
  for (tri_mutator_full *mutator = world->mutators; mutator; mutator = mutator->next) {
    if (tri_load_relaxed(&mutator->state) != TRI_MUTATOR_RUNNING || tri_load_relaxed(&mutator->cpu) == 0) continue;
    if (count == TRI_SPREAD_MUTATORS_MAX) return 0;
    out[count++] = mutator;
  }
  return count;
}

// Which of those that share a CPU runs at this moment is not known: the first that polls does.
static uint32_t tri_ask_crowded_locked(const tri_world *world) {
  tri_mutator_full *running[TRI_SPREAD_MUTATORS_MAX];
  uint32_t count = tri_running_mutators_locked(world, running), asked = 0;
  for (uint32_t one = 0; one < count; one++) {
    bool crowded = false;
    for (uint32_t other = 0; other < count && !crowded; other++)
      crowded = other != one && tri_mutator_is_on(running[other], tri_load_relaxed(&running[one]->cpu));
    if (!crowded) continue;
    tri_or_ordered(&running[one]->fast.request, (uint32_t)TRI_REQUEST_STEP_ASIDE);
    asked++;
  }
  return asked;
}

uint32_t tri_world_spread(tri_world *world, uint32_t own) {
  tri_lock_acquire(&world->lock);
  bool idle = !world->stopping && own && !tri_any_mutator_on_locked(world, own);
  uint32_t asked = idle ? tri_ask_crowded_locked(world) : 0;
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
  bool has_company = tri_any_mutator_on_locked(world, tri_thread_cpu());
  tri_lock_release(&world->lock);
  // The scheduler would leave this thread where it was, beside the same mutator each time: that one would lose its CPU
  // while the others lose nothing.
  if (has_company) tri_thread_change_cpu();
}

void tri_mutator_step_aside_locked(tri_mutator_full *mutator) {
  tri_world *world = mutator->world;
  tri_and_ordered(&mutator->fast.request, ~(uint32_t)TRI_REQUEST_STEP_ASIDE);
  if (!world->crowded || world->stopping) return;
  world->crowded = false;
  tri_lock_release(&world->lock);
  tri_mutator_set_blocked(mutator, mutator->stack_pointer, NULL);
  tri_step(TRI_STEP_ASIDE);
  tri_thread_sleep(TRI_STEP_ASIDE_NS);
  tri_mutator_set_running(mutator);
  tri_lock_acquire(&world->lock);
}
