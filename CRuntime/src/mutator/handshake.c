#include "mutator/handshake.h"

#include "base/step.h"
#include "mutator/states.h"
#include "mutator/stopping.h"
#include "mutator/thread_mutators.h"

void tri_mutator_run_handshake_locked(tri_mutator_full *mutator) {
  tri_world *world = mutator->world;
  tri_handshake_function *function = mutator->handshake;
  void *context = mutator->handshake_context;
  mutator->handshake_running = true;
  tri_lock_release(&world->lock);
  tri_step(TRI_STEP_HANDSHAKE);
  function(mutator, context);
  tri_lock_acquire(&world->lock);
  mutator->handshake_running = false;
  mutator->handshake = NULL;
  tri_and_ordered(&mutator->fast.request, ~(uint32_t)TRI_REQUEST_HANDSHAKE);
  pthread_cond_broadcast(&world->arrived);
}

static void tri_mutator_let_go(tri_mutator_full *mutator) {
  uint32_t held = TRI_MUTATOR_HELD;
  tri_compare_exchange_ordered(&mutator->state, &held, (uint32_t)TRI_MUTATOR_BLOCKED);
}

// One mutator's part of a handshake, if it can be done here.
static bool tri_handshake_try_locked(tri_mutator_full *mutator) {
  if (!mutator->handshake) return true;
  // Held by a stop: for now a fork's. A parked owner does it as it wakes up.
  if (mutator->handshake_running || mutator->world->stopping || !tri_mutator_is_still(mutator)) return false;
  if (tri_load_relaxed(&mutator->state) == TRI_MUTATOR_PARKED) return false;
  tri_mutator_make_up_locked(mutator);
  mutator->handshake(mutator, mutator->handshake_context);
  mutator->handshake = NULL;
  tri_and_ordered(&mutator->fast.request, ~(uint32_t)TRI_REQUEST_HANDSHAKE);
  tri_mutator_let_go(mutator);
  return true;
}

// Asks every mutator but the caller's; whether there are any. One that attaches from here on need not be asked: it is
// told what the world's state is.
static bool tri_handshake_ask_others(tri_world *world, const tri_mutator_full *own, tri_handshake_function *function,
                                     void *context) {
  bool others = false;
  tri_world_lock_between_forks(world);
  TRI_CHECK(!world->stopping, "a handshake while the world is stopped");
  for (tri_mutator_full *mutator = world->mutators; mutator; mutator = mutator->next) {
    if (mutator == own) continue;
    mutator->handshake = function;
    mutator->handshake_context = context;
    tri_or_ordered(&mutator->fast.request, (uint32_t)TRI_REQUEST_HANDSHAKE);
    others = true;
  }
  tri_lock_release(&world->lock);
  return others;
}

void tri_world_handshake(tri_world *world, tri_handshake_function *function, void *context) {
  tri_mutator_full *own = tri_world_current_mutator(world);
  if (own && !tri_mutator_is_usable(own)) own = NULL;
  bool others = tri_handshake_ask_others(world, own, function, context);
  uint64_t since_ns = others ? tri_clock_ns() : 0, next_warning_ms = TRI_FIRST_WARNING_MS;
  if (own) function(own, context);
  if (!others) return;
  tri_lock_acquire(&world->lock);
  for (;;) {
    tri_mutator_full *late = NULL;
    for (tri_mutator_full *mutator = world->mutators; mutator; mutator = mutator->next)
      if (mutator != own && !tri_handshake_try_locked(mutator)) late = mutator;
    if (!late) break;
    tri_world_await_locked(world, late, since_ns, &next_warning_ms, "answer a handshake");
  }
  tri_lock_release(&world->lock);
}
