#include "mutator/stopping.h"

#include "base/step.h"
#include "mutator/states.h"
#include "mutator/thread_mutators.h"

enum {
  TRI_AWAKE_NS = 100 * 1000,     // from here on a stop is slept through
  TRI_GIVEN_WAY_NS = 500 * 1000, // whoever gave way for longer than this gave way to somebody else
  TRI_STOPS_ASLEEP_MIN = 4,
  TRI_STOPS_ASLEEP_MAX = 256,
};

static const tri_mutator_full *tri_world_any_awaited_locked(const tri_world *world) {
  const tri_mutator_full *mutator = world->mutators;
  while (!mutator->awaited) mutator = mutator->next;
  return mutator;
}

// Whoever stands still takes no notice: it is held, and looks at the world's lock before it runs.
static void tri_world_ask_locked(tri_world *world, tri_mutator_full *mutator) {
  if (!tri_mutator_is_still(mutator)) {
    tri_step(TRI_STEP_STOP_ASK);
    tri_or_ordered(&mutator->fast.request, (uint32_t)TRI_REQUEST_STOP);
    // It may have come to a standstill before it could see that.
    mutator->awaited = !tri_mutator_is_still(mutator);
  }
  if (mutator->awaited)
    tri_store_relaxed(&world->awaited, world->awaited + 1);
  else
    tri_world_count_still_locked(world, mutator);
}

// The lines of a mutator that a stop looks at lie far apart, and many of them in the cache of the CPU it ran on.
static inline void tri_mutator_prefetch(const tri_mutator_full *mutator) {
  if (!mutator) return;
  tri_prefetch_to_write(&mutator->state);
  __builtin_prefetch(&mutator->loaded_windows);
  __builtin_prefetch(&mutator->magazines_used);
  __builtin_prefetch(&mutator->unaccounted_bytes);
  __builtin_prefetch(&mutator->barrier.count);
}

// What there is to do for each mutator is done here, or by itself on its way to the stop: from the last arrival to the
// release only those are looked at that are not settled.
static void tri_world_request_stop_locked(tri_world *world) {
  for (tri_mutator_full *mutator = world->mutators; mutator; mutator = mutator->next) {
    tri_mutator_prefetch(mutator->next);
    if (tri_mutator_is_callers(mutator))
      world->stopper = mutator;
    else
      tri_world_ask_locked(world, mutator);
  }
  // It still runs.
  if (world->stopper) tri_world_list_unsettled(world, world->stopper);
}

// Looks for the last arrival and gives way to who has no processor; answers whether somebody else took this one.
static bool tri_world_await_awake(const tri_world *world) {
  uint64_t began_ns = world->stops.current.requested_ns, now_ns = began_ns, before_ns;
  do {
    before_ns = now_ns;
    tri_thread_yield();
    tri_step(TRI_STEP_GIVE_WAY);
    now_ns = tri_clock_ns();
  } while (tri_load_relaxed(&world->awaited) && now_ns - began_ns < TRI_AWAKE_NS);
  return now_ns - before_ns > TRI_GIVEN_WAY_NS;
}

// A thread that sleeps is woken 10 to 30 us after the last mutator came, and all of them wait for that: so a stop
// begins awake. But where others want the processor a thread that gives way waits for it longer than one that sleeps:
// then the next stops are slept through, twice as many each time.
static void tri_world_begin_to_wait_locked(tri_world *world) {
  if (world->stops_asleep) {
    world->stops_asleep--;
    return;
  }
  tri_lock_release(&world->lock);
  bool disturbed = tri_world_await_awake(world);
  tri_lock_acquire(&world->lock);
  uint32_t twice = 2 * world->stops_disturbed;
  world->stops_disturbed = !disturbed ? 0 : twice < TRI_STOPS_ASLEEP_MIN ? TRI_STOPS_ASLEEP_MIN : twice;
  if (world->stops_disturbed > TRI_STOPS_ASLEEP_MAX) world->stops_disturbed = TRI_STOPS_ASLEEP_MAX;
  world->stops_asleep = world->stops_disturbed;
}

void tri_world_stop(tri_world *world, tri_stop_cause cause) {
  tri_step(TRI_STEP_STOP_REQUEST);
  uint64_t next_warning_ms = TRI_FIRST_WARNING_MS;
  tri_stops_make_room(&world->stops, &world->collect.spans.space.meta, tri_load_relaxed(&world->mutator_count));
  tri_world_lock_between_forks(world);
  TRI_CHECK(!world->stopping, "stopping a world that is stopped");
  tri_stops_begin(&world->stops, cause, world->mutator_count);
  world->stopping = true;
  world->stopper_token = tri_thread_token();
  tri_world_request_stop_locked(world);
  if (world->awaited) tri_world_begin_to_wait_locked(world);
  while (world->awaited)
    tri_world_await_locked(world, tri_world_any_awaited_locked(world), world->stops.current.requested_ns,
                           &next_warning_ms, "stop");
  world->stops.current.stopped_ns = world->still ? tri_clock_ns() : world->stops.current.requested_ns;
  TRI_CHECK(world->still + (world->stopper != NULL) == world->mutator_count,
            "the world counts as stopped with %u mutators standing still of %u", world->still, world->mutator_count);
  world->stopped = true;
  tri_lock_release(&world->lock);
  tri_step(TRI_STEP_STOPPED);
}

// Who was parked or held finds out by itself (tri_mutator_make_up_locked).
static void tri_world_let_all_go_locked(tri_world *world) {
  world->still = 0;
  world->unsettled = NULL;
  world->stopped = false;
  world->stopping = false;
  world->stopper = NULL;
  world->stopper_token = 0;
}

uint64_t tri_world_start(tri_world *world) {
  tri_assert_world_stopped(world);
  tri_lock_acquire(&world->lock);
  tri_world_let_all_go_locked(world);
  // Here it ends: nobody is held any more. Whoever is woken may take this thread's processor for milliseconds.
  world->stops.current.started_ns = tri_clock_ns();
  tri_lock_release(&world->lock);
  tri_world_wake_some(world);
  tri_step(TRI_STEP_STARTED);
  return tri_stops_end(&world->stops);
}

void tri_world_end_marking(tri_world *world) {
  tri_assert_world_stopped(world);
  world->marking_ends++;
  if (world->stopper) tri_mutator_follow(world->stopper);
}

void tri_assert_world_stopped(const tri_world *world) {
  TRI_CHECK(world->stopped && world->stopper_token == tri_thread_token(),
            "phase %s: the world must be stopped by this thread, and is not",
            tri_phase_name(tri_load_relaxed(&world->collect.phase)));
}

static void tri_orphan_give_back(void *context, const struct tri_window *window) {
  tri_collect *collect = context;
  uint64_t bytes = tri_window_give_back(collect, window, true);
  tri_subtract_relaxed(&collect->allocated_since_bytes, (int64_t)bytes);
  tri_subtract_relaxed(&collect->allocated_total_bytes, bytes);
}

void tri_world_drop_windows(tri_world *world) {
  tri_assert_world_stopped(world);
  // A mark that one sets could be lost beside those that are cleared here.
  TRI_CHECK(tri_load_relaxed(&world->collect.grey.workers) == 0, "windows are emptied in a stop while %u workers mark",
            world->collect.grey.workers);
  for (tri_mutator_full *mutator = world->unsettled; mutator; mutator = mutator->next_unsettled) {
    tri_mutator_drop_windows(mutator, true);
    tri_mutator_account(mutator);
  }
  tri_spans_take_orphans(&world->collect.spans, tri_orphan_give_back, &world->collect);
}

bool tri_world_keep_running(tri_world *world) {
  tri_mutator_full *mutator = tri_world_current_mutator(world);
  if (mutator && tri_mutator_is_usable(mutator)) return false;
  tri_lock_acquire(&world->lock);
  // A fork's stop is no cycle's; and it may be waiting for the callback that does this.
  bool waits = !world->forking && world->stopper_token != tri_thread_token();
  if (waits && tri_world_wait_for_start_locked(world)) tri_world_wake_some(world);
  return true;
}

// ---- Fork ----

void tri_world_stop_for_fork(tri_world *world, const uintptr_t *owner) {
  tri_lock_acquire(&world->lock);
  if (tri_world_wait_for_start_locked(world)) tri_world_wake_some(world);
  uint64_t since_ns = tri_clock_ns(), next_warning_ms = TRI_FIRST_WARNING_MS;
  world->stopping = true;
  world->forking = true;
  world->stopper_token = tri_thread_token();
  world->stopper = NULL;
  for (tri_mutator_full *mutator = world->mutators; mutator; mutator = mutator->next)
    tri_or_ordered(&mutator->fast.request, (uint32_t)TRI_REQUEST_STOP);
  for (;;) {
    tri_mutator_full *late = NULL;
    for (tri_mutator_full *mutator = world->mutators; mutator; mutator = mutator->next)
      if (!tri_mutator_is_still(mutator) && mutator->thread_token != tri_load_relaxed(owner)) late = mutator;
    if (!late) break;
    tri_world_await_locked(world, late, since_ns, &next_warning_ms, "stop for a fork");
  }
  world->stopped = true;
  tri_lock_release(&world->lock);
}

void tri_world_start_after_fork(tri_world *world) {
  tri_assert_fork_child(world);
  tri_lock_acquire(&world->lock);
  world->forking = false;
  tri_world_let_all_go_locked(world);
  pthread_cond_broadcast(&world->arrived); // a handshake that could not get at those held here
  pthread_cond_broadcast(&world->resumed); // and a cycle that wants its own stop
  tri_lock_release(&world->lock);
}

void tri_assert_fork_child(const tri_world *world) {
  TRI_CHECK(world->forking && world->stopped && world->stopper_token == tri_thread_token(),
            "a cycle is given up, and this is no forked child");
}

// A fork waits for no cycle: whoever runs one waits for the fork, counting as stopped.
void tri_world_lock_between_forks(tri_world *world) {
  tri_lock_acquire(&world->lock);
  if (!world->forking || world->stopper_token == tri_thread_token()) return;
  while (world->forking) tri_lock_wait(&world->lock, &world->resumed, 0);
  tri_world_wake_some(world);
}
