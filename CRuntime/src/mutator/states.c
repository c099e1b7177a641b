#include "mutator/states.h"

enum {
  TRI_NEXT_WARNING_MS = 10000, // from one warning to the next
};

// ---- Standing still ----

bool tri_mutator_is_still(tri_mutator_full *mutator) {
  uint32_t blocked = TRI_MUTATOR_BLOCKED;
  if (tri_compare_exchange_ordered(&mutator->state, &blocked, (uint32_t)TRI_MUTATOR_HELD)) return true;
  return blocked == TRI_MUTATOR_HELD || blocked == TRI_MUTATOR_PARKED;
}

void tri_world_list_unsettled(tri_world *world, tri_mutator_full *mutator) {
  mutator->next_unsettled = world->unsettled;
  world->unsettled = mutator;
}

void tri_world_count_still_locked(tri_world *world, tri_mutator_full *mutator) {
  world->still++;
  if (!tri_mutator_is_settled(mutator)) tri_world_list_unsettled(world, mutator);
}

// The last one whom a stop waits for wakes it; forks and handshakes look for themselves.
void tri_world_arrive_locked(tri_world *world, tri_mutator_full *mutator) {
  bool last = true;
  if (mutator->awaited) {
    mutator->awaited = false;
    tri_world_count_still_locked(world, mutator);
    tri_stops_note_arrival(&world->stops, mutator->thread_id);
    tri_store_relaxed(&world->awaited, world->awaited - 1);
    last = world->awaited == 0;
  }
  if (last) pthread_cond_broadcast(&world->arrived);
}

void tri_world_note_blocked(tri_world *world, tri_mutator_full *mutator) {
  tri_lock_acquire(&world->lock);
  if (mutator->awaited) {
    // Held before it is counted: it could run again.
    bool still = tri_mutator_is_still(mutator);
    TRI_ASSERT(still);
    (void)still;
  }
  tri_world_arrive_locked(world, mutator);
  tri_lock_release(&world->lock);
}

// ---- Running again ----

// Whoever waits for the world to start is woken by one who was: a start that woke a hundred threads itself would take
// as long as a stop, and most of them could not run yet. Without the lock: a thread that is woken may take the
// processor of the one that wakes it, and would then wait for it.
void tri_world_wake_some(tri_world *world) {
  pthread_cond_signal(&world->resumed);
  pthread_cond_signal(&world->resumed);
}

bool tri_world_wait_for_start_locked(tri_world *world) {
  if (!world->stopping) return false;
  while (world->stopping) tri_lock_wait(&world->lock, &world->resumed, 0);
  return true;
}

void tri_world_wait_for_start(tri_world *world) {
  tri_lock_acquire(&world->lock);
  bool waited = tri_world_wait_for_start_locked(world);
  tri_lock_release(&world->lock);
  if (waited) tri_world_wake_some(world);
}

void tri_mutator_make_up_locked(tri_mutator_full *mutator) {
  TRI_ASSERT(!mutator->world->stopping);
  tri_and_ordered(&mutator->fast.request, ~(uint32_t)TRI_REQUEST_STOP);
  tri_mutator_follow(mutator);
}

static bool tri_mutator_take_back_locked(tri_mutator_full *mutator) {
  if (mutator->world->stopping) return false;
  uint32_t held = TRI_MUTATOR_HELD;
  tri_mutator_make_up_locked(mutator);
  tri_compare_exchange_ordered(&mutator->state, &held, (uint32_t)TRI_MUTATOR_BLOCKED);
  return tri_mutator_try_set_running(mutator);
}

bool tri_mutator_take_back_slow(tri_mutator_full *mutator) {
  tri_lock_acquire(&mutator->world->lock);
  bool taken = tri_mutator_take_back_locked(mutator);
  tri_lock_release(&mutator->world->lock);
  return taken;
}

void tri_mutator_set_running(tri_mutator_full *mutator) {
  if (tri_mutator_take_back(mutator)) return;
  tri_world *world = mutator->world;
  tri_lock_acquire(&world->lock);
  while (!tri_mutator_take_back_locked(mutator)) tri_lock_wait(&world->lock, &world->resumed, 0);
  tri_lock_release(&world->lock);
  tri_world_wake_some(world);
}

// ---- Waiting for others ----

static void tri_world_warn(const tri_mutator_full *late, uint64_t since_ns, const char *what) {
  tri_report("waiting for thread %" PRIu64 " to %s since %" PRIu64
             " ms: it neither allocates, polls (tri_safepoint) nor is in a blocking region",
             late->thread_id, what, (tri_clock_ns() - since_ns) / 1000000);
}

void tri_world_await_locked(tri_world *world, const tri_mutator_full *late, uint64_t since_ns,
                            uint64_t *next_warning_ms, const char *what) {
  uint64_t waited_ms = (tri_clock_ns() - since_ns) / 1000000;
  if (waited_ms >= *next_warning_ms) {
    tri_world_warn(late, since_ns, what);
    *next_warning_ms += TRI_NEXT_WARNING_MS;
  }
  tri_lock_wait(&world->lock, &world->arrived, 100 * 1000000);
}
