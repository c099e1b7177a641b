#include "mutator/safepoint.h"

#include "base/step.h"
#include "mutator/handshake.h"
#include "mutator/placement.h"
#include "mutator/states.h"
#include "mutator/thread_mutators.h"

// ---- Blocking regions ----

void tri_blocking_begin_saved(tri_mutator *mutator, uintptr_t unused, const tri_registers *saved) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  (void)unused;
  tri_assert_owner(full, "beginning a blocking region");
  tri_assert_not_interrupted(full, "beginning a blocking region");
  tri_step(TRI_STEP_BLOCKING_BEGIN);
  full->blocking = true;
  tri_mutator_set_blocked(full, tri_registers_stack_pointer(saved), saved);
}

static void tri_blocking_end_held(void *context, uintptr_t stack_pointer) {
  tri_mutator_full *mutator = context;
  tri_thread_others_block(mutator, stack_pointer, NULL);
  tri_mutator_set_running(mutator);
  mutator->blocking = false;
  tri_thread_others_unblock();
}

void tri_blocking_end(tri_mutator *mutator) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  TRI_CHECK(full->thread_token == tri_thread_token(), "ending a blocking region of another thread's mutator");
  TRI_CHECK(full->blocking, "ending a blocking region that was not begun");
  tri_step(TRI_STEP_BLOCKING_END);
  // Only a wait sets the thread's other mutators aside.
  if (!tri_mutator_take_back(full)) tri_thread_with_stack(tri_blocking_end_held, full);
  full->blocking = false;
  tri_safepoint(mutator);
}

void tri_mutator_wait_below(tri_mutator_full *mutator, uintptr_t stack_pointer) {
  tri_mutator_set_blocked(mutator, stack_pointer, NULL);
}
void tri_mutator_wait_over(tri_mutator_full *mutator) {
  tri_mutator_set_running(mutator);
}

// ---- Safepoints ----

// Whether there was a wait.
static bool tri_mutator_park_locked(tri_mutator_full *mutator) {
  tri_world *world = mutator->world;
  tri_store_ordered(&mutator->state, (uint32_t)TRI_MUTATOR_PARKED);
  tri_world_arrive_locked(world, mutator);
  bool waited = tri_world_wait_for_start_locked(world);
  tri_mutator_make_up_locked(mutator);
  tri_store_ordered(&mutator->state, (uint32_t)TRI_MUTATOR_RUNNING);
  return waited;
}

// Without the lock: others must be able to come by meanwhile. The stop waits for this thread, so it does not end.
static void tri_mutator_lay_down_unlocked(tri_mutator_full *mutator) {
  tri_world *world = mutator->world;
  // A fork wants everything as it is.
  if (world->forking || world->stops.current.cause == TRI_STOP_HOOKS) return;
  tri_lock_release(&world->lock);
  if (tri_phase_barrier_is_on(tri_load_relaxed(&world->collect.phase)))
    tri_barrier_flush(&mutator->barrier, &world->collect);
  tri_mutator_lay_down(mutator);
  tri_lock_acquire(&world->lock);
}

// Called with everything of the thread above `stack_pointer`, registers included.
static void tri_mutator_come_by(void *context, uintptr_t stack_pointer) {
  tri_mutator_full *mutator = context;
  tri_world *world = mutator->world;
  mutator->stack_pointer = stack_pointer;
  tri_mutator_set_busy(mutator, "a safepoint");
  tri_thread_others_block(mutator, stack_pointer, NULL);
  bool waited = false;
  tri_lock_acquire(&world->lock);
  while (tri_load_ordered(&mutator->fast.request)) {
    if (mutator->handshake) tri_mutator_run_handshake_locked(mutator);
    if (tri_load_relaxed(&mutator->fast.request) & TRI_REQUEST_STEP_ASIDE) tri_mutator_step_aside_locked(mutator);
    if (!world->stopping) {
      // Of a stop that did not wait for this thread: a fork's, while it runs a cycle.
      tri_mutator_make_up_locked(mutator);
      continue;
    }
    tri_mutator_lay_down_unlocked(mutator);
    waited |= tri_mutator_park_locked(mutator);
  }
  tri_lock_release(&world->lock);
  if (waited) tri_world_wake_some(world);
  tri_thread_others_unblock();
  tri_mutator_set_busy(mutator, NULL);
}

void tri_safepoint_slow(tri_mutator *mutator) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_assert_owner(full, "polling");
  tri_assert_not_interrupted(full, "polling");
  // The thread that stopped the world has nobody to wait for.
  if (full->world->stopped && full->world->stopper == full) return;
  tri_step(TRI_STEP_SAFEPOINT);
  tri_thread_with_stack(tri_mutator_come_by, full);
}
