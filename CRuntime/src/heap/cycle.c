// Cycle: the steps of a collection, each asserting its phase. Their order, and what is decided between them, is in
// the Swift Collector.gc().
#include <stdio.h>

#include "base/step.h"
#include "collect/ephemerons.h"
#include "heap/checkmark.h"
#include "heap/heap.h"
#include "heap/verify.h"
#include "mutator/assist.h"
#include "mutator/handshake.h"
#include "mutator/safepoint.h"
#include "mutator/stopping.h"
#include "mutator/thread_mutators.h"

enum {
  // What a final stop may mark before it gives up and lets marking go on beside the mutators: about 0.1 ms.
  TRI_FINISH_BUDGET_OBJECTS = 2000,
  TRI_FINISH_ATTEMPTS = 4,  // then the stop marks to the end
  TRI_EPHEMERON_ROUNDS = 4, // from then on values are marked the way that follows chains
};

// ---- Begin and end ----

// While this thread waits, the cycle it waits for must be able to stop it; and until its own is over, its mutators of
// other heaps are set aside.
static void tri_cycle_wait_for_lock(tri_heap *heap, tri_mutator_full *own, const tri_registers *saved) {
  tri_thread_others_block(own, tri_registers_stack_pointer(saved), saved);
  // The entry's frame, which holds the registers, is above.
  if (own) tri_mutator_wait_below(own, (uintptr_t)__builtin_frame_address(0));
  tri_lock_acquire(&heap->cycle_lock);
  // Not while the process is being copied: the child must know whether there was a cycle.
  tri_world_lock_between_forks(&heap->world);
  tri_store_relaxed(&heap->cycle_owner, tri_thread_token());
  tri_lock_release(&heap->world.lock);
  if (own) tri_mutator_wait_over(own);
}

void tri_cycle_begin_saved(tri_heap *heap, tri_mode mode, const tri_registers *saved) {
  TRI_CHECK(tri_load_relaxed(&heap->limits.deliverer) != tri_thread_token(),
            "a function that was handed an event collects the heap it is about");
  tri_mutator_full *own = tri_world_current_mutator(&heap->world);
  if (own && !tri_mutator_is_usable(own)) own = NULL;
  if (own) tri_assert_not_interrupted(own, "collecting");
  tri_cycle_wait_for_lock(heap, own, saved);
  TRI_CHECK(tri_load_relaxed(&heap->world.collect.phase) == TRI_PHASE_OFF, "a cycle begins in phase %s",
            tri_phase_name(heap->world.collect.phase));
  tri_store_relaxed(&heap->cycle_running, 1u);
  tri_store_release(&heap->world.cycle_wanted, (uint32_t)TRI_CYCLE_WISH_NONE);
  heap->cycle = (tri_cycle_record){.mode = mode, .start_ns = tri_clock_ns(), .inline_mutator = own != NULL};
  tri_store_relaxed(&heap->world.collect.marked_objects, (uint64_t)0);
  tri_ephemerons_forget(&heap->world.collect);
  tri_store_relaxed(&heap->world.collect.mark_cpu_ns, (uint64_t)0);
}

void tri_cycle_end(tri_heap *heap) {
  tri_phase phase = tri_load_relaxed(&heap->world.collect.phase);
  TRI_CHECK(phase == TRI_PHASE_OFF, "a cycle ends in phase %s, expected off", tri_phase_name(phase));
  const tri_cycle_record *cycle = &heap->cycle;
  tri_store_relaxed(&heap->start_ns_at_last_cycle, cycle->start_ns);
  tri_store_relaxed(&heap->mark_ns_at_last_cycle, cycle->sweep_ns - cycle->mark_ns);
  tri_store_relaxed(&heap->termination_ns_at_last_cycle, cycle->sweep_ns - cycle->termination_ns);
  tri_store_relaxed(&heap->pause_ns_at_last_cycle, cycle->pause_ns_longest);
  if (cycle->pause_ns_longest > heap->pause_ns_max) tri_store_relaxed(&heap->pause_ns_max, cycle->pause_ns_longest);
  tri_store_relaxed(&heap->pause_ns_total, heap->pause_ns_total + cycle->pause_ns_sum);
  tri_store_relaxed(&heap->mark_ns_total, heap->mark_ns_total + heap->world.collect.mark_cpu_ns);
  tri_store_relaxed(&heap->marked_objects_at_last_cycle, cycle->marked_objects);
  tri_store_relaxed(&heap->cycles, heap->cycles + 1);
  if (cycle->mode != TRI_MODE_BACKGROUND) tri_store_relaxed(&heap->cycles_forced, heap->cycles_forced + 1);
  tri_store_relaxed(&heap->cycle_running, 0u);
  // From there on this thread's mutator goes on, or polls.
  tri_world_lock_between_forks(&heap->world);
  tri_store_relaxed(&heap->cycle_owner, (uintptr_t)0);
  pthread_cond_broadcast(&heap->world.cycle_over);
  tri_lock_release(&heap->world.lock);
  tri_scavenger_note_cycle(heap);
  tri_lock_release(&heap->cycle_lock);
  tri_thread_others_unblock();
  tri_periodic_cycle_ended(heap);
  tri_events_deliver(heap);
}

void tri_cycle_finish_sweep(tri_heap *heap) {
  tri_assert_phase(&heap->world.collect, TRI_PHASE_OFF);
  tri_sweep_finish(&heap->world.collect);
}

void tri_cycle_clear_pools(tri_heap *heap, bool drop_victims) {
  tri_assert_phase(&heap->world.collect, TRI_PHASE_OFF);
  tri_roots_clear_pools(&heap->world.roots, drop_victims);
}

// ---- Generations ----

// Stores that the barrier does not see could hide a young object in an old one.
static bool tri_cycle_can_keep_marks(const tri_heap *heap) {
  return heap->options.generations != TRI_GENERATIONS_OFF && heap->world.policy != TRI_BARRIER_STOP_THE_WORLD &&
         tri_load_relaxed(&heap->world.collect.spans.custom_layouts) == 0;
}

bool tri_cycle_choose_generation(tri_heap *heap, bool triggered) {
  tri_collect *collect = &heap->world.collect;
  tri_assert_phase(collect, TRI_PHASE_OFF);
  heap->cycle.minor = triggered && collect->marks_kept && tri_cycle_can_keep_marks(heap) &&
                      tri_load_relaxed(&heap->world.next_is_minor);
  tri_store_relaxed(&collect->minor, heap->cycle.minor ? 1u : 0u);
  if (heap->cycle.minor)
    tri_store_relaxed(&heap->cycles_minor, heap->cycles_minor + 1);
  else if (collect->marks_kept)
    tri_marks_forget(collect);
  return heap->cycle.minor;
}

// Every barrier is on, so nothing more is written down.
static void tri_cycle_take_remembered(tri_heap *heap) {
  if (heap->cycle.minor)
    tri_remembered_shade(&heap->world.collect);
  else
    tri_remembered_discard(&heap->world.collect);
}

// ---- Phase ----

tri_phase tri_cycle_phase(tri_heap *heap) {
  return tri_load_relaxed(&heap->world.collect.phase);
}

static void tri_cycle_choose_barrier(tri_heap *heap) {
  tri_world *world = &heap->world;
  world->dijkstra = world->policy == TRI_BARRIER_DIJKSTRA || tri_roots_any_plain(&world->roots);
}

// World stopped: what a handshake would have each mutator do for itself.
static void tri_cycle_enter_termination_from_off(tri_heap *heap) {
  tri_cycle_choose_barrier(heap);
  // A second pass counts for itself.
  tri_store_relaxed(&heap->world.collect.marked_objects, (uint64_t)0);
  tri_ephemerons_forget(&heap->world.collect);
  heap->world.collect.mark_limit_bytes = heap->world.collect.spans.space.committed_bytes;
  heap->cycle.mark_ns = tri_clock_ns();
  for (tri_mutator_full *mutator = heap->world.mutators; mutator; mutator = mutator->next) {
    bool grey = mutator->stack_grey;
    tri_mutator_follow(mutator); // its thread may not have run since the last stop
    tri_mutator_set_barrier(mutator, true, grey);
    tri_remember_share(&heap->world.collect, &mutator->remembered);
    mutator->allocates_black = true;
  }
  tri_cycle_take_remembered(heap);
  heap->world.blackening = true;
}

static void tri_cycle_leave_termination(tri_heap *heap) {
  tri_cycle_assert_marking_complete(heap);
  bool keeps_marks = tri_load_relaxed(&heap->world.keep_marks) && tri_cycle_can_keep_marks(heap);
  tri_store_relaxed(&heap->world.collect.marks_kept, (uint16_t)keeps_marks);
  if (keeps_marks) tri_collect_note(&heap->world.collect.keeps_seen);
  tri_world_end_marking(&heap->world);
  tri_assist_forget(&heap->world);
  heap->world.blackening = false;
  tri_store_relaxed(&heap->world.collect.mark_limit_bytes, (uint64_t)0);
  heap->cycle.marked_objects = tri_load_relaxed(&heap->world.collect.marked_objects);
  tri_store_relaxed(&heap->last_marked_objects, heap->cycle.marked_objects);
  tri_store_relaxed(&heap->last_logged_stores,
                    __atomic_exchange_n(&heap->world.collect.logged_stores, 0, __ATOMIC_RELAXED));
  tri_store_relaxed(&heap->last_was_minor, heap->cycle.minor ? 1u : 0u);
  uint64_t mark_cpu_ns = tri_load_relaxed(&heap->world.collect.mark_cpu_ns);
  tri_store_relaxed(&heap->last_mark_cpu_ns, mark_cpu_ns);
  heap->cycle.sweep_ns = tri_clock_ns();
  tri_store_relaxed(&heap->last_mark_wall_ns, heap->cycle.sweep_ns - heap->cycle.mark_ns);
  tri_add_relaxed(&heap->marked_cpu_ns, mark_cpu_ns - heap->cycle.counted_mark_ns);
  heap->cycle.counted_mark_ns = mark_cpu_ns;
}

// A forked child has nobody to go on with the mark. What is marked so far means nothing, nor does what was old: the
// next cycle marks everything. World stopped, by the fork; only the forking thread's mutators are of interest, and the
// others are put away next.
static void tri_cycle_leave_abandoned(tri_heap *heap) {
  tri_world *world = &heap->world;
  tri_assert_fork_child(world);
  world->collect.marks_kept = 0;
  world->blackening = false;
  tri_store_relaxed(&world->collect.mark_limit_bytes, (uint64_t)0);
  tri_grey_renew(&world->collect.grey);
  tri_remembered_discard(&world->collect);
  tri_world_end_marking(world);
  for (tri_mutator_full *mutator = world->mutators; mutator; mutator = mutator->next) {
    mutator->barrier.count = 0;
    // Its chunk may be in the list as well, as the owner was about to forget it: it is not used again.
    mutator->remembered = NULL;
    tri_mutator_follow(mutator);
  }
}

void tri_cycle_forget_marks(tri_heap *heap) {
  tri_cycle_leave_abandoned(heap);
  tri_marks_forget(&heap->world.collect);
}

void tri_cycle_set_phase(tri_heap *heap, tri_phase phase) {
  tri_world *world = &heap->world;
  tri_phase before = tri_load_relaxed(&world->collect.phase);
  TRI_CHECK(!tri_sweep_is_running(&world->collect), "phase %s to %s while a sweep is running", tri_phase_name(before),
            tri_phase_name(phase));
  if (phase == TRI_PHASE_MARK) {
    heap->cycle.mark_ns = tri_clock_ns();
    tri_fibers_reset(world);
    heap->cycle.allocated_before_marking_bytes = tri_load_relaxed(&world->collect.allocated_since_bytes);
    tri_cycle_choose_barrier(heap);
  } else {
    tri_assert_world_stopped(world);
    if (phase == TRI_PHASE_MARK_TERMINATION) {
      heap->cycle.termination_ns = world->stops.current.requested_ns;
      if (before == TRI_PHASE_OFF) tri_cycle_enter_termination_from_off(heap);
      // So every slot with its bit in A is an object from here on. And the thread that stopped the world, the only one
      // that could still allocate, reaches the assertion even from the inline path (S7).
      tri_world_drop_windows(world);
    } else if (before == TRI_PHASE_MARK) {
      tri_cycle_leave_abandoned(heap);
    } else {
      tri_cycle_leave_termination(heap);
    }
  }
  // Under the lock: a thread that attaches reads the phase there.
  tri_lock_acquire(&world->lock);
  tri_store_ordered(&world->collect.phase, phase);
  tri_lock_release(&world->lock);
  tri_step(TRI_STEP_PHASE);
}

_Noreturn void tri_cycle_illegal_move(tri_phase phase, const char *event) {
  tri_fatal("illegal phase move: %s in phase %s", event, tri_phase_name(phase));
}

_Noreturn void tri_cycle_fail(tri_heap *heap, const char *sentence) {
  tri_fatal("phase %s: %s", heap ? tri_phase_name(tri_cycle_phase(heap)) : "unknown", sentence);
}

// ---- Marking beside the mutators ----

static void tri_handshake_enable_barrier(tri_mutator_full *mutator, void *context) {
  (void)context;
  tri_mutator_set_barrier(mutator, true, true);
  tri_remember_share(&mutator->world->collect, &mutator->remembered);
}

static void tri_handshake_blacken(tri_mutator_full *mutator, void *context) {
  (void)context;
  tri_mutator_blacken(mutator);
}

static void tri_handshake_scan_stack(tri_mutator_full *mutator, void *context) {
  (void)context;
  tri_mutator_shade(mutator);
}

// Shades what the mutator recorded, and its stack if that is grey (a mutator that attached while marking).
static void tri_handshake_flush(tri_mutator_full *mutator, void *context) {
  uint32_t *found = context;
  // In a blocking region it cannot do this itself on the way to the stop, and perhaps it stays there until then.
  if (tri_load_relaxed(&mutator->state) == TRI_MUTATOR_HELD) tri_mutator_lay_down(mutator);
  if (tri_barrier_flush(&mutator->barrier, &mutator->world->collect)) tri_store_relaxed(found, 1u);
  if (!mutator->stack_grey) return;
  tri_mutator_shade(mutator);
  tri_store_relaxed(found, 1u);
}

void tri_cycle_enable_barrier(tri_heap *heap) {
  tri_assert_phase(&heap->world.collect, TRI_PHASE_MARK);
  tri_world *world = &heap->world;
  // Two rounds: were a mutator to allocate black while another's stores are not yet barriered, that one could hide the
  // last reference to a white object in a black one.
  tri_world_handshake(world, tri_handshake_enable_barrier, NULL);
  tri_lock_acquire(&world->lock);
  world->blackening = true;
  tri_lock_release(&world->lock);
  tri_world_handshake(world, tri_handshake_blacken, NULL);
  tri_spans_each_orphan(&world->collect.spans, tri_window_mark, &world->collect);
  tri_store_relaxed(&world->assist_pool_objects, tri_load_relaxed(&world->assist_loan_objects));
  // After the last acknowledgement: what is allocated beyond this is black.
  tri_space *space = &world->collect.spans.space;
  tri_store_release(&world->collect.mark_limit_bytes, tri_load_acquire(&space->committed_bytes));
  tri_cycle_take_remembered(heap);
}

void tri_cycle_scan_roots(tri_heap *heap) {
  tri_assert_phase(&heap->world.collect, TRI_PHASE_MARK);
  tri_world_handshake(&heap->world, tri_handshake_scan_stack, NULL);
  tri_roots_shade(&heap->world.roots, &heap->world.collect, false);
  tri_fibers_shade(&heap->world);
}

// Looks at ephemerons, and marks what that shades, until nothing is left to shade.
static void tri_cycle_follow_ephemerons(tri_heap *heap, void (*mark)(tri_heap *heap)) {
  for (uint32_t round = 0; tri_ephemerons_shade(&heap->world.collect); round++) {
    if (round >= TRI_EPHEMERON_ROUNDS) tri_ephemerons_trace(&heap->world.collect);
    mark(heap);
  }
}

void tri_cycle_mark_concurrently(tri_heap *heap) {
  tri_collect *collect = &heap->world.collect;
  tri_assert_phase(collect, TRI_PHASE_MARK);
  uint32_t found;
  do {
    tri_helpers_mark_beside_mutators(heap);
    tri_cycle_follow_ephemerons(heap, tri_helpers_mark_beside_mutators);
    found = 0;
    tri_world_handshake(&heap->world, tri_handshake_flush, &found);
  } while (tri_load_relaxed(&found) || !tri_grey_is_empty(&collect->grey) || !tri_ephemerons_are_settled(collect));
}

// ---- The stop ----

// In phase off a background cycle stops the world for hooks only.
static tri_stop_cause tri_cycle_stop_cause(const tri_heap *heap) {
  if (tri_load_relaxed(&heap->world.collect.phase) != TRI_PHASE_OFF) return TRI_STOP_TERMINATION;
  return heap->cycle.mode == TRI_MODE_BACKGROUND && heap->world.policy != TRI_BARRIER_STOP_THE_WORLD ? TRI_STOP_HOOKS
                                                                                                     : TRI_STOP_FORCED;
}

void tri_cycle_stop_world(tri_heap *heap) {
  tri_world_stop(&heap->world, tri_cycle_stop_cause(heap));
}

void tri_cycle_start_world(tri_heap *heap) {
  uint64_t pause = tri_world_start(&heap->world);
  heap->cycle.pause_ns_sum += pause;
  if (pause <= heap->cycle.pause_ns_longest) return;
  heap->cycle.pause_ns_longest = pause;
  heap->cycle.longest_stop = heap->world.stops.current;
}

// World stopped: what was dropped for want of memory is found again.
static void tri_cycle_recover(tri_heap *heap) {
  tri_grey_queue *grey = &heap->world.collect.grey;
  if (!tri_grey_has_overflowed(grey)) return;
  tri_report("the system refused memory for grey objects: marking again what was marked, in a stop");
  // What waits in windows is marked and must not be scanned: it holds what was there before.
  tri_world_drop_windows(&heap->world);
  tri_grey_worker_begin(grey);
  tri_mark_recover(&heap->marker);
  tri_grey_worker_end(grey);
}

static void tri_cycle_flush_all(tri_heap *heap) {
  for (tri_mutator_full *mutator = heap->world.unsettled; mutator; mutator = mutator->next_unsettled) {
    tri_barrier_flush(&mutator->barrier, &heap->world.collect);
    if (mutator->stack_grey) tri_mutator_shade(mutator);
  }
  // Barriered roots need no second look under the hybrid barrier; Dijkstra's scans them all again, stacks included.
  if (heap->world.dijkstra) {
    for (tri_mutator_full *mutator = heap->world.mutators; mutator; mutator = mutator->next) tri_mutator_shade(mutator);
    tri_roots_shade(&heap->world.roots, &heap->world.collect, false);
    tri_fibers_reset(&heap->world);
  }
  tri_fibers_shade(&heap->world);
}

// In a stop. If anything was marked since ephemerons were looked at last, they have to be looked at again: here if they
// are few, otherwise beside the mutators, so that the stop does not grow with their number.
static bool tri_cycle_finish_ephemerons(tri_heap *heap, uint64_t budget) {
  tri_collect *collect = &heap->world.collect;
  if (tri_ephemerons_are_settled(collect)) return true;
  if (tri_load_relaxed(&collect->ties.ephemerons) > budget) return false;
  for (uint32_t round = 0; tri_ephemerons_shade(collect); round++) {
    if (round >= TRI_EPHEMERON_ROUNDS) tri_ephemerons_trace(collect);
    tri_grey_worker_begin(&collect->grey);
    tri_marker_run(&heap->marker, budget, false);
    tri_grey_worker_end(&collect->grey);
    if (!tri_grey_is_empty(&collect->grey)) return false;
    tri_cycle_recover(heap);
  }
  return true;
}

bool tri_cycle_try_finish_marking(tri_heap *heap, uint32_t attempt) {
  tri_assert_phase(&heap->world.collect, TRI_PHASE_MARK);
  tri_assert_world_stopped(&heap->world);
  tri_cycle_flush_all(heap);
  bool to_the_end = attempt >= TRI_FINISH_ATTEMPTS;
  tri_grey_queue *grey = &heap->world.collect.grey;
  if (to_the_end) {
    tri_helpers_mark_in_stop(heap);
  } else if (!tri_grey_is_empty(grey)) {
    tri_grey_worker_begin(grey);
    tri_marker_run(&heap->marker, (uint64_t)TRI_FINISH_BUDGET_OBJECTS << attempt, false);
    tri_grey_worker_end(grey);
  }
  if (tri_grey_is_empty(grey)) tri_cycle_recover(heap);
  uint64_t budget = to_the_end ? UINT64_MAX : (uint64_t)TRI_FINISH_BUDGET_OBJECTS << attempt;
  bool finished = tri_grey_is_empty(grey) && tri_cycle_finish_ephemerons(heap, budget);
  if (!finished) heap->world.stops.current.cause = TRI_STOP_UNFINISHED;
  return finished;
}

void tri_cycle_reset_scan_state(tri_heap *heap) {
  tri_assert_world_stopped(&heap->world);
  for (tri_mutator_full *mutator = heap->world.mutators; mutator; mutator = mutator->next) mutator->stack_grey = true;
  tri_fibers_reset(&heap->world);
}

static void tri_cycle_mark_and_recover(tri_heap *heap) {
  tri_helpers_mark_in_stop(heap);
  tri_cycle_recover(heap);
}

void tri_cycle_mark_stopped(tri_heap *heap) {
  tri_assert_phase(&heap->world.collect, TRI_PHASE_MARK_TERMINATION);
  tri_assert_world_stopped(&heap->world);
  for (tri_mutator_full *mutator = heap->world.mutators; mutator; mutator = mutator->next)
    if (mutator->stack_grey) tri_mutator_shade(mutator);
  tri_roots_shade(&heap->world.roots, &heap->world.collect, false);
  tri_fibers_shade(&heap->world);
  tri_cycle_mark_and_recover(heap);
  tri_cycle_follow_ephemerons(heap, tri_cycle_mark_and_recover);
}

static void tri_cycle_assert_mutator_complete(const tri_mutator_full *mutator) {
  TRI_CHECK(mutator->barrier.count == 0,
            "phase markTermination: marking ends with %u words in the barrier buffer of thread %llu",
            mutator->barrier.count, (unsigned long long)mutator->thread_id);
  TRI_CHECK(!mutator->stack_grey, "phase markTermination: marking ends with the stack of thread %llu not scanned",
            (unsigned long long)mutator->thread_id);
}

// The stop looked at every mutator as it came to stand still, which it asserts; those that had nothing in their buffers
// and a black stack then have it now. A stop that scans all stacks looks at all again.
static void tri_cycle_assert_mutators_complete(const tri_world *world, bool all) {
  for (const tri_mutator_full *mutator = world->unsettled; mutator; mutator = mutator->next_unsettled)
    tri_cycle_assert_mutator_complete(mutator);
  if (!all && !TRI_CHECKS) return;
  for (const tri_mutator_full *mutator = world->mutators; mutator; mutator = mutator->next)
    tri_cycle_assert_mutator_complete(mutator);
}

void tri_cycle_assert_marking_complete(tri_heap *heap) {
  tri_assert_phase(&heap->world.collect, TRI_PHASE_MARK_TERMINATION);
  TRI_CHECK(tri_grey_is_empty(&heap->world.collect.grey) && !tri_grey_has_overflowed(&heap->world.collect.grey),
            "phase markTermination: marking ends with %u chunks of grey objects and %u workers left",
            heap->world.collect.grey.chunk_count, heap->world.collect.grey.workers);
  TRI_CHECK(tri_ephemerons_are_settled(&heap->world.collect),
            "phase markTermination: marking ends with %llu objects marked, and ephemerons were looked at after %lld",
            (unsigned long long)heap->world.collect.marked_objects,
            (long long)heap->world.collect.ties.marks_looked_at);
  bool forced = heap->cycle.mode != TRI_MODE_BACKGROUND || heap->world.policy == TRI_BARRIER_STOP_THE_WORLD;
  tri_cycle_assert_mutators_complete(&heap->world, forced || heap->world.dijkstra);
  tri_fibers_assert_black(&heap->world);
  tri_step(TRI_STEP_MARKING_COMPLETE);
}

// The collector's part of tri_store_log().
static void tri_cycle_log(tri_heap *heap, const void *slot, const void *value) {
  tri_collect *collect = &heap->world.collect;
  uintptr_t object = tri_object_at(&collect->spans, (uintptr_t)slot).start;
  if (!object || !tri_store_makes_news(collect, object, (uintptr_t)value)) return;
  tri_grey_chunk *chunk = NULL;
  tri_remember(collect, &chunk, object - collect->spans.space.start);
  tri_remember_share(collect, &chunk);
}

void tri_cycle_store(tri_heap *heap, void *slot, void *value) {
  tri_collect *collect = &heap->world.collect;
  if (collect->marks_kept && tri_phase_is_off(collect)) tri_cycle_log(heap, slot, value);
  if (tri_phase_barrier_is_on(tri_load_relaxed(&collect->phase))) {
    tri_grey_chunk *chunk = NULL;
    tri_shade(collect, tri_barrier_target(collect, tri_load_relaxed((uintptr_t *)slot)), &chunk);
    tri_shade(collect, tri_barrier_target(collect, (uintptr_t)value), &chunk);
    if (chunk) tri_grey_share(&collect->grey, chunk);
    // A store after the mark was drained: complete it again, so that the end of marking stays proven.
    if (tri_load_relaxed(&collect->phase) == TRI_PHASE_MARK_TERMINATION) {
      tri_cycle_mark_and_recover(heap);
      tri_cycle_follow_ephemerons(heap, tri_cycle_mark_and_recover);
    }
  }
  tri_store_release((void **)slot, value);
}

// ---- Checks ----

void tri_cycle_checkmark(tri_heap *heap) {
  tri_assert_phase(&heap->world.collect, TRI_PHASE_MARK_TERMINATION);
  tri_assert_world_stopped(&heap->world);
  tri_checkmark(heap);
}

void tri_cycle_verify(tri_heap *heap) {
  tri_assert_world_stopped(&heap->world);
  tri_verify(heap);
}

// ---- Sweep ----

void tri_cycle_begin_sweep(tri_heap *heap) {
  tri_collect *collect = &heap->world.collect;
  tri_assert_phase(collect, TRI_PHASE_OFF);
  tri_assert_world_stopped(&heap->world);
  tri_bitmaps *bits = &collect->spans.space.bits;
  uint64_t *allocated = bits->allocated;
  bits->allocated = bits->marked;
  bits->marked = allocated;
  tri_world_end_marking(&heap->world); // the old objects are in another map
  int64_t since = __atomic_exchange_n(&collect->allocated_since_bytes, 0, __ATOMIC_RELAXED);
  int64_t before = heap->cycle.allocated_before_marking_bytes;
  bool concurrent = heap->cycle.mode == TRI_MODE_BACKGROUND && since > before;
  tri_store_relaxed(&heap->last_allocated_while_marking_bytes, concurrent ? (uint64_t)(since - before) : 0);
  // That is the mode in which allocation collects when there is no memory left (tri_heap_collect_for_memory).
  bool makes_room = heap->cycle.mode == TRI_MODE_FORCE_BLOCK;
  tri_sweep_begin(collect, since > 0 ? (uint64_t)since : 0, !makes_room, heap->cycle.sweep_ns);
}

void tri_cycle_sweep_all(tri_heap *heap) {
  tri_assert_phase(&heap->world.collect, TRI_PHASE_OFF);
  tri_sweep_finish(&heap->world.collect);
}

void tri_cycle_sweep_in_background(tri_heap *heap) {
  // Without a thread, allocation and the next cycle do it.
  tri_collector_thread_request(heap, false, true);
}

// ---- Reports ----

uint64_t tri_monotonic_ns(void) {
  return tri_clock_ns();
}

static const char *tri_mode_name(tri_mode mode) {
  switch (mode) {
  case TRI_MODE_BACKGROUND: return "background";
  case TRI_MODE_FORCE: return "force";
  case TRI_MODE_FORCE_BLOCK: return "forceBlock";
  }
  return "unknown";
}

// Of the longest stop, how much was waiting, and for whom.
static void tri_cycle_describe_wait(const tri_stop *stop, char *text, size_t bytes) {
  text[0] = 0;
  if (stop->latest_thread)
    snprintf(text, bytes, " (%llu of them waiting for thread %llu)",
             (unsigned long long)(stop->stopped_ns - stop->requested_ns) / 1000,
             (unsigned long long)stop->latest_thread);
}

void tri_cycle_print_trace(tri_heap *heap) {
  const tri_cycle_record *cycle = &heap->cycle;
  const tri_collect *collect = &heap->world.collect;
  char wait[80];
  tri_cycle_describe_wait(&cycle->longest_stop, wait, sizeof wait);
  tri_report("gc %llu %s%s: start %llu us, mark %llu us, termination %llu us, pause %llu us%s; marked %llu objects; "
             "live %llu KiB%s, goal %llu KiB, mapped %llu KiB",
             (unsigned long long)heap->cycles + 1, tri_mode_name(cycle->mode), cycle->minor ? " minor" : "",
             (unsigned long long)(cycle->mark_ns - cycle->start_ns) / 1000,
             (unsigned long long)(cycle->sweep_ns - cycle->mark_ns) / 1000,
             (unsigned long long)(cycle->sweep_ns - cycle->termination_ns) / 1000,
             (unsigned long long)cycle->pause_ns_longest / 1000, wait, (unsigned long long)cycle->marked_objects,
             (unsigned long long)tri_load_relaxed(&collect->live_bytes) / 1024,
             tri_sweep_is_running(collect) ? " (before this cycle: still sweeping)" : "",
             (unsigned long long)tri_load_relaxed(&heap->goal_bytes) / 1024,
             (unsigned long long)tri_load_relaxed(&collect->spans.space.touched_pages) * TRI_PAGE_BYTES / 1024);
}

// Where no limit could ask for it the CPU clock of the process, a system call, is left alone.
static void tri_pacing_read_cpu(tri_heap *heap, tri_pacing_input *out) {
  bool limited = tri_load_relaxed(&heap->world.collect.counts_cpu);
  out->process_cpu_ns = limited ? tri_process_cpu_ns() : 0;
  out->collector_cpu_ns = limited ? tri_load_relaxed(&heap->marked_cpu_ns) +
                                        tri_load_relaxed(&heap->world.collect.sweep_ns_total) +
                                        tri_load_relaxed(&heap->world.assist_ns_total)
                                  : 0;
}

void tri_pacing_read(tri_heap *heap, tri_pacing_input *out) {
  const tri_collect *collect = &heap->world.collect;
  out->live_bytes = tri_load_relaxed(&collect->live_bytes);
  out->live_objects = tri_load_relaxed(&collect->live_objects);
  out->touched_bytes = tri_load_relaxed(&collect->spans.space.touched_pages) << TRI_PAGE_LOG2;
  out->allocated_while_marking_bytes = tri_load_relaxed(&heap->last_allocated_while_marking_bytes);
  out->mark_cpu_ns = tri_load_relaxed(&heap->last_mark_cpu_ns);
  out->marked_objects = tri_load_relaxed(&heap->last_marked_objects);
  out->freed_bytes = tri_load_relaxed(&collect->freed_bytes_last);
  out->logged_stores = tri_load_relaxed(&heap->last_logged_stores);
  out->minor = tri_load_relaxed(&heap->last_was_minor) != 0;
  out->marks_kept = tri_load_relaxed(&collect->marks_kept) != 0; // a plan may be made again beside a cycle
  out->can_keep_marks = tri_cycle_can_keep_marks(heap);
  out->cache_bytes = heap->cache_bytes;
  out->mutators = tri_load_relaxed(&heap->world.mutator_count);
  out->mark_wall_ns = tri_load_relaxed(&heap->last_mark_wall_ns);
  out->metadata_bytes = tri_load_relaxed(&collect->spans.space.meta.mapped_bytes);
  out->external_bytes = (uint64_t)heap->limits.swept_external_bytes;
  out->used_bytes = tri_load_relaxed(&collect->spans.space.used_pages) << TRI_PAGE_LOG2;
  out->allocated_bytes = tri_load_relaxed(&collect->allocated_total_bytes);
  out->allocation_failed = tri_load_relaxed(&heap->limits.allocation_failed) != 0;
  out->now_ns = tri_clock_ns();
  tri_pacing_read_cpu(heap, out);
}
