#define _DEFAULT_SOURCE // alarm
#include "stepped.h"

#include <unistd.h>

#include "scenario.h"

static void stepped_run_cycle(void *context, tri_mode mode, bool triggered) {
  (void)context;
  (void)triggered;
  (void)mode;
}
static void stepped_sweep_finished(void *context) {
  (void)context;
}

tri_heap *stepped_heap(void) {
  tri_heap *heap;
  tri_options options = scenario_options();
  const tri_front front = {NULL, stepped_run_cycle, stepped_sweep_finished};
  alarm(SCENARIO_SECONDS);
  scenario_expect(tri_heap_open(&options, &front, &heap) == TRI_OK, "no heap");
  return heap;
}

void stepped_leave_marking(tri_heap *heap) {
  tri_cycle_assert_marking_complete(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_OFF);
  tri_cycle_begin_sweep(heap);
  tri_cycle_start_world(heap);
  tri_cycle_sweep_all(heap);
  tri_cycle_end(heap);
}

void stepped_forced_cycle(tri_heap *heap) {
  tri_cycle_begin(heap, TRI_MODE_FORCE_BLOCK);
  tri_cycle_finish_sweep(heap);
  tri_cycle_stop_world(heap);
  tri_cycle_reset_scan_state(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK_TERMINATION);
  tri_cycle_mark_stopped(heap);
  stepped_leave_marking(heap);
}

void stepped_keep_marks(tri_heap *heap) {
  const tri_pacing pacing = {.trigger_bytes = INT64_MAX,
                             .urgent_bytes = INT64_MAX,
                             .hold_bytes = INT64_MAX,
                             .account_bytes = 32 << 10,
                             .minor = true,
                             .keep_marks = true};
  tri_pacing_set(heap, &pacing);
  tri_cycle_begin(heap, TRI_MODE_FORCE_BLOCK);
  tri_cycle_finish_sweep(heap);
  tri_cycle_choose_generation(heap, false);
  tri_cycle_stop_world(heap);
  tri_cycle_reset_scan_state(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK_TERMINATION);
  tri_cycle_mark_stopped(heap);
  stepped_leave_marking(heap);
}

void stepped_mark_to_the_end(tri_heap *heap) {
  for (uint32_t attempt = 0;; attempt++) {
    tri_cycle_mark_concurrently(heap);
    tri_cycle_stop_world(heap);
    if (tri_cycle_try_finish_marking(heap, attempt)) return;
    tri_cycle_start_world(heap);
  }
}

void stepped_cycle_without_sweep(tri_heap *heap) {
  tri_cycle_begin(heap, TRI_MODE_FORCE);
  tri_cycle_finish_sweep(heap);
  tri_cycle_stop_world(heap);
  tri_cycle_reset_scan_state(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK_TERMINATION);
  tri_cycle_mark_stopped(heap);
  tri_cycle_assert_marking_complete(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_OFF);
  tri_cycle_begin_sweep(heap);
  tri_cycle_start_world(heap);
  tri_cycle_end(heap);
}
