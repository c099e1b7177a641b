#include "mutator/gate.h"

#include "base/step.h"
#include "collect/sweep.h"
#include "mutator/assist.h"
#include "mutator/placement.h"
#include "mutator/safepoint.h"

void tri_allocation_check_phase(const tri_mutator_full *mutator) {
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

void tri_allocation_gate(tri_mutator_full *mutator) {
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

// Once per account_bytes: a locked instruction waits until the stores into the last window have left the store buffer.
void tri_allocation_account(tri_mutator_full *mutator, uint64_t bytes) {
  mutator->unaccounted_bytes += (int64_t)bytes;
  if (mutator->unaccounted_bytes >= tri_load_relaxed(&mutator->world->account_bytes)) {
    tri_pay_sweep_debt(mutator, mutator->unaccounted_bytes);
    tri_allocation_add(mutator);
  }
  if (mutator->fast.barrier & TRI_SHADES_ANY) {
    tri_mutator_note_cpu(mutator);
    tri_assist(mutator, bytes);
  }
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

void tri_allocation_failed(tri_mutator_full *mutator, tri_status status) {
  if (status == TRI_LIMIT_REACHED) mutator->world->limit_reached(mutator->world);
}
