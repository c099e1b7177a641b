#include "gap.h"

#include <sched.h>

#include "scenario.h"
#include "stepped.h"
#include "tricolor_testing.h"

enum { GAP_EARLY_ATTACHED = 1, GAP_MARKING, GAP_EARLY_ACTED, GAP_CYCLE_OVER };

static void gap_await(gap *gap, int step, tri_mutator *polling) {
  while (atomic_load(&gap->step) < step) {
    if (polling) tri_safepoint(polling);
    sched_yield();
  }
}

static void *gap_early_main(void *context) {
  gap *gap = context;
  tri_mutator *early = scenario_attach(gap->heap, TRI_ATTACH_PRECISE);
  atomic_store(&gap->step, GAP_EARLY_ATTACHED);
  gap_await(gap, GAP_MARKING, NULL);
  while (!tri_testing_barrier_is_on(early)) tri_safepoint(early);
  gap->early_acts(gap, early);
  atomic_store(&gap->step, GAP_EARLY_ACTED);
  gap_await(gap, GAP_CYCLE_OVER, early);
  scenario_detach(early);
  return NULL;
}

static void *gap_collector_main(void *context) {
  gap *gap = context;
  tri_heap *heap = gap->heap;
  tri_cycle_begin(heap, TRI_MODE_BACKGROUND);
  tri_cycle_finish_sweep(heap);
  scenario_expect(tri_cycle_choose_generation(heap, gap->minor) == gap->minor, "the cycle is of the wrong kind");
  tri_cycle_clear_pools(heap, false);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK);
  atomic_store(&gap->step, GAP_MARKING);
  tri_cycle_enable_barrier(heap);
  tri_cycle_scan_roots(heap);
  stepped_mark_to_the_end(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK_TERMINATION);
  tri_cycle_checkmark(heap);
  tri_cycle_verify(heap);
  stepped_leave_marking(heap);
  atomic_store(&gap->step, GAP_CYCLE_OVER);
  return NULL;
}

void gap_enter(gap *gap) {
  scenario_thread(&gap->early_thread, gap_early_main, gap);
  gap_await(gap, GAP_EARLY_ATTACHED, NULL);
  scenario_thread(&gap->collector, gap_collector_main, gap);
  gap_await(gap, GAP_EARLY_ACTED, NULL);
  scenario_expect(!tri_testing_barrier_is_on(gap->late), "the late thread has a barrier already");
}

void gap_leave(gap *gap) {
  gap_await(gap, GAP_CYCLE_OVER, gap->late);
  pthread_join(gap->collector, NULL);
  pthread_join(gap->early_thread, NULL);
}

void gap_open(gap *gap) {
  gap->heap = stepped_heap();
  gap->late = scenario_attach(gap->heap, TRI_ATTACH_PRECISE);
}

void gap_close(gap *gap) {
  scenario_detach(gap->late);
  scenario_expect(tri_heap_close(gap->heap) == TRI_OK, "the heap does not close");
}

void **gap_root(gap *gap, size_t bytes) {
  void **object = tri_alloc(gap->late, tri_layout_references(gap->heap), bytes);
  scenario_expect(object && tri_handle_make(gap->late, object), "no memory");
  return object;
}

void gap_publish_a_fresh_object(gap *gap, tri_mutator *early) {
  void *fresh = tri_alloc(early, tri_layout_references(gap->heap), 16);
  tri_store(early, gap->holder, gap->holder, fresh);
}
