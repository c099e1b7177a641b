#include "mutator/attach.h"

#include <inttypes.h>

#include "base/step.h"
#include "mutator/fiber.h"
#include "mutator/magazine.h"
#include "mutator/states.h"
#include "mutator/stopping.h"
#include "mutator/thread_mutators.h"

// ---- Threads that end ----

static pthread_key_t tri_thread_exit_key;
static pthread_once_t tri_thread_exit_once = PTHREAD_ONCE_INIT;

static void tri_thread_exit(void *unused) {
  (void)unused;
  // A thread that ends without detaching: its scopes and blocking region end with it.
  for (tri_mutator_full *mutator; (mutator = tri_thread_innermost());) {
    if (mutator->blocking) tri_blocking_end(&mutator->fast);
    mutator->scope_open = 0;
    mutator->scope_depth = 0;
    tri_fiber_end_with(mutator);
    tri_detach(&mutator->fast);
  }
}

static void tri_thread_exit_key_make(void) {
  int error = pthread_key_create(&tri_thread_exit_key, tri_thread_exit);
  TRI_CHECK(error == 0, "no thread-exit key: error %d", error);
}

// ---- Coming ----

// From here on no mutator may take itself for the only one.
static void tri_world_share_locked(tri_world *world) {
  if (world->collect.shared) return;
  tri_store_ordered(&world->collect.shared, (uint16_t)TRI_SHARED_BY_GROUPS);
  tri_process_barrier();
  for (const tri_mutator_full *mutator = world->mutators; mutator; mutator = mutator->next)
    while (tri_load_acquire(&mutator->lone_busy)) tri_thread_yield();
}

static void tri_world_admit_locked(tri_world *world, tri_mutator_full *mutator) {
  bool marking = tri_phase_barrier_is_on(world->collect.phase);
  if (world->mutator_count) tri_world_share_locked(world);
  tri_mutator_set_barrier(mutator, marking, marking);
  mutator->allocates_black = world->blackening;
  mutator->marking_ends = world->marking_ends;
  mutator->fast.old_objects = world->collect.spans.space.bits.marked;
  mutator->next = world->mutators;
  if (mutator->next) mutator->next->previous = mutator;
  world->mutators = mutator;
  tri_store_relaxed(&world->mutator_count, world->mutator_count + 1);
}

// The frame that called this stays until the wait is over, and holds the registers.
static void tri_world_await_end_of_stop(void *context, uintptr_t stack_pointer) {
  tri_mutator_full *mutator = context;
  tri_thread_others_block(mutator, stack_pointer, NULL);
  tri_world_wait_for_start(mutator->world);
  tri_thread_others_unblock();
}

// A world that is not being stopped lets a mutator in at once. Only a wait sets the thread's other mutators aside, of
// which there may be thousands; whoever holds the world lock waits for none of them.
static void tri_world_admit(tri_mutator_full *mutator) {
  tri_world *world = mutator->world;
  for (;;) {
    tri_lock_acquire(&world->lock);
    bool admitted = !world->stopping;
    if (admitted) tri_world_admit_locked(world, mutator);
    tri_lock_release(&world->lock);
    if (admitted) return;
    tri_thread_with_stack(tri_world_await_end_of_stop, mutator);
  }
}

tri_status tri_attach(tri_heap *heap, uint32_t flags, tri_mutator **out_mutator) {
  tri_world *world = tri_world_of_heap(heap);
  pthread_once(&tri_thread_exit_once, tri_thread_exit_key_make);
  if (tri_world_current_mutator(world)) return TRI_ALREADY_ATTACHED;
  if (!tri_thread_make_room()) return TRI_OUT_OF_MEMORY;
  tri_mutator_full *mutator = tri_mutator_make(world, (flags & TRI_ATTACH_PRECISE) != 0);
  if (!mutator) {
    tri_thread_free_if_empty();
    return TRI_OUT_OF_MEMORY;
  }
  tri_world_admit(mutator);
  tri_thread_add(mutator);
  // Any value but NULL makes the destructor run.
  pthread_setspecific(tri_thread_exit_key, mutator);
  *out_mutator = &mutator->fast;
  return TRI_OK;
}

// ---- Going ----

static void tri_world_dismiss_locked(tri_world *world, tri_mutator_full *mutator) {
  if (mutator->previous)
    mutator->previous->next = mutator->next;
  else
    world->mutators = mutator->next;
  if (mutator->next) mutator->next->previous = mutator->previous;
  tri_store_relaxed(&world->mutator_count, world->mutator_count - 1);
  if (world->mutator_count <= 1 && world->can_be_lone)
    tri_store_release(&world->collect.shared, (uint16_t)TRI_SHARED_NOT);
}

// What a mutator leaves behind, and to whom. Under the world lock: no final stop comes between this and the dismissal.
static void tri_mutator_leave_locked(tri_mutator_full *mutator) {
  tri_collect *collect = &mutator->world->collect;
  tri_remember_share(collect, &mutator->remembered);
  tri_magazines_give_back(mutator);
  tri_mutator_orphan_windows(mutator);
  tri_mutator_account(mutator);
  tri_add_relaxed(&collect->explicitly_freed_bytes, mutator->freed_bytes + mutator->put_back_bytes);
}

tri_status tri_detach(tri_mutator *mutator) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_world *world = full->world;
  TRI_CHECK(full->thread_token == tri_thread_token(), "detaching another thread's mutator (thread %" PRIu64 ")",
            full->thread_id);
  TRI_CHECK(!full->away, "detaching from inside a cycle of another heap");
  tri_assert_not_interrupted(full, "detaching");
  TRI_CHECK(!full->fiber, "detaching on a fiber: switch to the thread's own stack first");
  if (full->scope_open || full->blocking) return TRI_SCOPE_OPEN;
  for (;;) {
    tri_lock_acquire(&world->lock);
    // With no request pending under the lock, no stop and no handshake is under way.
    if (tri_load_ordered(&full->fast.request) == 0) break;
    tri_lock_release(&world->lock);
    tri_safepoint_slow(mutator);
  }
  tri_step(TRI_STEP_DETACH);
  // Still under the lock: the final stop cannot come between the flush and the dismissal.
  tri_barrier_flush(&full->barrier, &world->collect);
  tri_mutator_leave_locked(full);
  tri_thread_remove(full);
  tri_world_dismiss_locked(world, full);
  tri_mutator_retire_locked(full);
  // Without mutators the heap may be closed: nothing of it is touched from here on.
  tri_lock_release(&world->lock);
  return TRI_OK;
}

// ---- In a forked child ----

// Of a thread that the child does not have.
static void tri_mutator_put_away_locked(tri_mutator_full *mutator) {
  tri_world *world = mutator->world;
  TRI_CHECK(mutator->barrier.count == 0, "a forked child finds %u words in the barrier buffer of thread %" PRIu64,
            mutator->barrier.count, mutator->thread_id);
  if (mutator->pages_in_hand)
    tri_pages_free(&world->collect.spans.space, mutator->pages_in_hand_first, mutator->pages_in_hand);
  mutator->pages_in_hand = 0;
  tri_store_relaxed(&mutator->lone_busy, 0u);
  tri_fiber_end_with(mutator);
  tri_mutator_leave_locked(mutator);
  tri_world_dismiss_locked(world, mutator);
  tri_mutator_retire_locked(mutator);
}

void tri_world_keep_only_caller(tri_world *world) {
  tri_assert_fork_child(world);
  tri_lock_acquire(&world->lock);
  for (tri_mutator_full *mutator = world->mutators, *next; mutator; mutator = next) {
    next = mutator->next;
    mutator->handshake = NULL;
    mutator->handshake_running = false;
    tri_and_ordered(&mutator->fast.request, ~(uint32_t)TRI_REQUEST_HANDSHAKE);
    if (mutator->thread_token == tri_thread_token())
      mutator->thread_id = tri_thread_id();
    else
      tri_mutator_put_away_locked(mutator);
  }
  tri_lock_release(&world->lock);
}
