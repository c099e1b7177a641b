// Scenarios of weak references, ephemerons and cleanups.
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "gap.h"
#include "scenario.h"
#include "scenarios.h"
#include "stepped.h"
#include "tricolor_testing.h"

static tri_weak *scenario_weak(tri_mutator *mutator, void *object) {
  tri_weak *weak;
  scenario_expect(tri_weak_make(mutator, object, &weak) == TRI_OK, "no weak reference");
  return weak;
}

static void scenario_no_cleanup(void *context) {
  (*(int *)context)++;
}

// A thread is held when it passes one step point for the first time, until it is let go.
enum { HOLD_WAITS = 0, HOLD_HELD, HOLD_GONE };
static struct {
  tri_step_point point;
  atomic_int step;
} hold;

static void hold_step(tri_step_point point) {
  int waits = HOLD_WAITS;
  if (point != hold.point || !atomic_compare_exchange_strong(&hold.step, &waits, HOLD_HELD)) return;
  while (atomic_load(&hold.step) != HOLD_GONE) sched_yield();
}

static void hold_at(tri_step_point point) {
  hold.point = point;
  atomic_store(&hold.step, HOLD_WAITS);
  tri_testing_set_step_hook(hold_step);
}

static void hold_await(void) {
  while (atomic_load(&hold.step) != HOLD_HELD) sched_yield();
}

static void hold_let_go(void) {
  atomic_store(&hold.step, HOLD_GONE);
}

typedef struct weak_reader {
  tri_heap *heap;
  const tri_weak *weak;
  void *answer;
  atomic_int step; // 1: attached; 2: may load; 3: has loaded
} weak_reader;

static void *weak_reader_main(void *context) {
  weak_reader *reader = context;
  tri_mutator *mutator = scenario_attach(reader->heap, TRI_ATTACH_PRECISE);
  tri_blocking_begin(mutator);
  atomic_store(&reader->step, 1);
  while (atomic_load(&reader->step) < 2) sched_yield();
  tri_blocking_end(mutator);
  reader->answer = tri_weak_get(mutator, reader->weak);
  atomic_store(&reader->step, 3);
  scenario_detach(mutator);
  return NULL;
}

enum { WEAK_BYTES = 64, WEAK_MANY = 5000 };

static void weak_play_reuse(tri_step_point point) {
  pthread_t thread;
  tri_heap *heap = stepped_heap();
  tri_mutator *mutator = scenario_attach(heap, TRI_ATTACH_PRECISE);
  void *object = tri_alloc_leaf(mutator, WEAK_BYTES), *again = NULL;
  weak_reader reader = {.heap = heap, .weak = scenario_weak(mutator, object)};
  scenario_thread(&thread, weak_reader_main, &reader);
  while (atomic_load(&reader.step) < 1) sched_yield();
  stepped_cycle_without_sweep(heap);
  hold_at(point);
  atomic_store(&reader.step, 2);
  hold_await();
  for (int count = 0; again != object && count < WEAK_MANY; count++) again = tri_alloc_leaf(mutator, WEAK_BYTES);
  scenario_expect(again == object, "the slot of the dead object is not used again");
  hold_let_go();
  pthread_join(thread, NULL);
  tri_testing_set_step_hook(NULL);
  scenario_expect(!reader.answer, "a weak load answers the object that lives where its own did");
  scenario_detach(mutator);
  scenario_expect(tri_heap_close(heap) == TRI_OK, "the heap does not close");
}

bool scenario_weak_load_does_not_answer_the_next_object(void) {
  weak_play_reuse(TRI_STEP_WEAK_LOAD);
  weak_play_reuse(TRI_STEP_WEAK_LOAD_UNSWEPT);
  return true;
}

static void *weak_sweeper_main(void *heap) {
  tri_cycle_sweep_all(heap);
  return NULL;
}

bool scenario_weak_references_of_a_span_about_to_be_swept(void) {
  pthread_t thread;
  int runs = 0;
  tri_heap *heap = stepped_heap();
  tri_mutator *mutator = scenario_attach(heap, TRI_ATTACH_PRECISE);
  void *live = tri_alloc_leaf(mutator, WEAK_BYTES), *freed = tri_alloc_leaf(mutator, WEAK_BYTES),
       *dead = tri_alloc_leaf(mutator, WEAK_BYTES);
  scenario_expect(tri_handle_make(mutator, live) && tri_handle_make(mutator, freed), "no handle");
  tri_weak *weak_live = scenario_weak(mutator, live), *weak_freed = scenario_weak(mutator, freed),
           *weak_dead = scenario_weak(mutator, dead);
  tri_cleanup_add(mutator, freed, scenario_no_cleanup, &runs, NULL);
  tri_cleanup_add(mutator, dead, scenario_no_cleanup, &runs, NULL);
  stepped_cycle_without_sweep(heap);
  hold_at(TRI_STEP_TIES_SWEEP);
  scenario_thread(&thread, weak_sweeper_main, heap);
  hold_await();
  scenario_expect(tri_weak_get(mutator, weak_live) == live, "a live object is not answered");
  scenario_expect(!tri_weak_get(mutator, weak_dead), "a dead object is answered before its span is swept");
  tri_weak *second = scenario_weak(mutator, live);
  tri_cleanup_add(mutator, live, scenario_no_cleanup, &runs, NULL);
  tri_free(mutator, freed);
  scenario_expect(!tri_weak_get(mutator, weak_freed), "a freed object is answered");
  tri_weak_free(heap, weak_dead);
  hold_let_go();
  pthread_join(thread, NULL);
  tri_testing_set_step_hook(NULL);
  scenario_expect(tri_weak_get(mutator, weak_live) == live && tri_weak_get(mutator, second) == live,
                  "the sweep clears what refers to a live object");
  tri_testing_verify(heap);
  scenario_detach(mutator);
  scenario_expect(tri_heap_close(heap) == TRI_OK, "the heap does not close");
  scenario_expect(runs == 3, "a cleanup did not run once");
  return true;
}

// The collector tells, in its step, that it has found nothing grey and wants the world to stop.
static atomic_int weak_stop_wanted;
static void weak_stop_step(tri_step_point point) {
  if (point != TRI_STEP_STOP_REQUEST) return;
  int none = 0;
  if (!atomic_compare_exchange_strong(&weak_stop_wanted, &none, 1)) return;
  while (atomic_load(&weak_stop_wanted) != 2) sched_yield();
}

static void *weak_cycle_main(void *context) {
  tri_heap *heap = context;
  tri_cycle_begin(heap, TRI_MODE_BACKGROUND);
  tri_cycle_finish_sweep(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK);
  tri_cycle_enable_barrier(heap);
  tri_cycle_scan_roots(heap);
  stepped_mark_to_the_end(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK_TERMINATION);
  tri_cycle_checkmark(heap);
  tri_cycle_verify(heap);
  stepped_leave_marking(heap);
  atomic_store(&weak_stop_wanted, 3);
  return NULL;
}

bool scenario_weak_load_just_before_the_final_stop(void) {
  pthread_t collector;
  tri_heap *heap = stepped_heap();
  tri_mutator *mutator = scenario_attach(heap, TRI_ATTACH_PRECISE);
  tri_layout *references = tri_layout_references(heap);
  void **object = tri_alloc(mutator, references, WEAK_BYTES), *value = tri_alloc(mutator, references, WEAK_BYTES);
  tri_ephemeron *ephemeron;
  tri_weak *weak = scenario_weak(mutator, object);
  scenario_expect(tri_ephemeron_make(mutator, object, value, &ephemeron) == TRI_OK, "no ephemeron");
  tri_handle *handle = tri_handle_make(mutator, NULL);
  atomic_store(&weak_stop_wanted, 0);
  tri_testing_set_step_hook(weak_stop_step);
  scenario_thread(&collector, weak_cycle_main, heap);
  while (atomic_load(&weak_stop_wanted) != 1) tri_safepoint(mutator);
  scenario_expect(!tri_testing_is_marked(heap, object), "the object is marked without a reference to it");
  void *loaded = tri_weak_get(mutator, weak);
  scenario_expect(loaded == object, "the object is not answered while marking");
  tri_handle_set(mutator, handle, loaded);
  atomic_store(&weak_stop_wanted, 2);
  while (atomic_load(&weak_stop_wanted) != 3) tri_safepoint(mutator);
  pthread_join(collector, NULL);
  tri_testing_set_step_hook(NULL);
  scenario_expect(scenario_is_alive(heap, object), "what was loaded just before the stop is lost");
  scenario_expect(tri_ephemeron_value(mutator, ephemeron) == value && scenario_is_alive(heap, value),
                  "the value of a key that the stop found is lost");
  scenario_detach(mutator);
  scenario_expect(tri_heap_close(heap) == TRI_OK, "the heap does not close");
  return true;
}

bool scenario_weak_load_before_the_barrier_survives(void) {
  gap gap = {.early_acts = gap_publish_a_fresh_object};
  gap_open(&gap);
  gap.holder = gap_root(&gap, 16);
  tri_weak *weak = scenario_weak(gap.late, tri_alloc(gap.late, tri_layout_references(gap.heap), 16));
  gap_enter(&gap);
  void **fresh = __atomic_load_n(gap.holder, __ATOMIC_ACQUIRE), *moved = tri_weak_get(gap.late, weak);
  scenario_expect(moved, "the object is not answered before the barrier");
  tri_store(gap.late, fresh, fresh, moved);
  gap_leave(&gap);
  scenario_expect(fresh[0] == moved && scenario_is_alive(gap.heap, moved), "what a weak load answered is lost");
  scenario_expect(tri_weak_get(gap.late, weak) == moved, "the weak reference to a live object is cleared");
  gap_close(&gap);
  return true;
}
