// Scenarios in the gap between two acknowledgements of the barrier.
#include "gap.h"
#include "scenario.h"
#include "scenarios.h"
#include "stepped.h"
#include "tricolor_testing.h"

// ---- A full cycle ----

bool scenario_object_moved_before_the_barrier_survives(void) {
  gap gap = {.early_acts = gap_publish_a_fresh_object};
  gap_open(&gap);
  gap.holder = gap_root(&gap, 16);
  void **origin = gap_root(&gap, 16), *moved = tri_alloc(gap.late, tri_layout_references(gap.heap), 16);
  tri_store(gap.late, origin, origin, moved);
  gap_enter(&gap);
  void **fresh = __atomic_load_n(gap.holder, __ATOMIC_ACQUIRE);
  tri_store(gap.late, fresh, fresh, moved);
  tri_store(gap.late, origin, origin, NULL);
  gap_leave(&gap);
  scenario_expect(gap.holder[0] == fresh && scenario_is_alive(gap.heap, fresh), "the fresh object is lost");
  scenario_expect(fresh[0] == moved && scenario_is_alive(gap.heap, moved), "the object it refers to is lost");
  gap_close(&gap);
  return true;
}

// ---- The same in a minor cycle ----

enum { GAP_MANY_STORES = 2000, GAP_OLD_WORDS = 8 };

// The young object that the holder holds is marked here, as the buffer overflows.
static void gap_store_often(gap *gap, tri_mutator *early) {
  void *young = gap->holder[1];
  for (int store = 0; store < GAP_MANY_STORES; store++) tri_store(early, gap->holder, &gap->holder[2], young);
  tri_store(early, gap->holder, &gap->holder[2], NULL);
  scenario_expect(tri_testing_is_marked(gap->heap, young), "the buffer is not flushed");
  tri_store(early, gap->holder, &gap->holder[3], tri_alloc(early, tri_layout_references(gap->heap), 16));
}

// While its barrier still logs, the late thread hides young objects in old ones: in a few ways.
static void gap_hide_in_old_objects(gap *gap, void **old, void **young) {
  tri_mutator *late = gap->late;
  tri_layout *references = tri_layout_references(gap->heap);
  // One that is marked already, in an object that is written down only by the next store.
  tri_store(late, old, &old[0], gap->holder[1]);
  tri_store(late, gap->holder, &gap->holder[1], NULL);
  // One that only the marked one refers to.
  tri_store(late, old[0], old[0], tri_alloc(late, references, 32));
  tri_copy(late, old, &old[1], young, 3);
  tri_clear(late, young, young, 3);
  tri_store(late, old, &old[4], tri_alloc(late, references, 100000));
}

static void gap_expect_old_object_kept(gap *gap, void **old) {
  for (int word = 0; word < 5; word++) {
    scenario_expect(old[word] && scenario_is_alive(gap->heap, old[word]), "what an old object refers to is lost");
    scenario_expect(tri_testing_is_marked(gap->heap, old[word]), "what survives is not old");
  }
  scenario_expect(scenario_is_alive(gap->heap, *(void **)old[0]), "what hangs off a marked object is lost");
  scenario_expect(scenario_is_alive(gap->heap, gap->holder[3]), "what the early thread stored is lost");
  scenario_expect(tri_testing_is_marked(gap->heap, old), "an object that was written down is not old again");
}

static bool gap_play_minor(bool detaches) {
  gap gap = {.early_acts = gap_store_often, .minor = true};
  gap_open(&gap);
  gap.holder = gap_root(&gap, 8 * GAP_OLD_WORDS);
  void **old = gap_root(&gap, 8 * GAP_OLD_WORDS);
  stepped_keep_marks(gap.heap);
  void **young = gap_root(&gap, 8 * GAP_OLD_WORDS);
  for (int word = 0; word < 3; word++)
    tri_store(gap.late, young, &young[word], tri_alloc(gap.late, tri_layout_references(gap.heap), 48));
  tri_store(gap.late, gap.holder, &gap.holder[1], tri_alloc(gap.late, tri_layout_references(gap.heap), 16));
  gap_enter(&gap);
  gap_hide_in_old_objects(&gap, old, young);
  if (detaches) {
    scenario_detach(gap.late);
    gap.late = scenario_attach(gap.heap, TRI_ATTACH_PRECISE);
  }
  gap_leave(&gap);
  gap_expect_old_object_kept(&gap, old);
  gap_close(&gap);
  return true;
}

bool scenario_old_object_stored_into_before_the_barrier_remembers(void) {
  return gap_play_minor(false) && gap_play_minor(true);
}

// ---- A stale word and a slot that waits ----

enum { GAP_STALE_BYTES = 256, GAP_LARGE = 4, GAP_LARGE_BYTES = 40000, GAP_FILLER_BYTES = 48 };

static void *gap_stale_word;

static void gap_add_a_stale_word(gap *gap, tri_mutator *early) {
  (void)early;
  scenario_expect(tri_root_add_range(gap->heap, &gap_stale_word, 1, TRI_ROOT_CONSERVATIVE) == TRI_OK, "no root");
}

// A slot that waits in the late thread's window and still refers to where large objects were, which may be the middle
// of something else.
static void *gap_stale_slot(gap *gap) {
  tri_layout *references = tri_layout_references(gap->heap);
  void *large[GAP_LARGE], **stale = tri_alloc(gap->late, references, GAP_STALE_BYTES);
  for (int index = 0; index < GAP_LARGE; index++) {
    large[index] = tri_alloc(gap->late, references, GAP_LARGE_BYTES);
    tri_store(gap->late, stale, &stale[index], large[index]);
  }
  tri_free(gap->late, stale);
  for (int index = 0; index < GAP_LARGE; index++) tri_free(gap->late, large[index]);
  for (int count = 0; count < GAP_LARGE * GAP_LARGE_BYTES / GAP_FILLER_BYTES; count++) gap_root(gap, GAP_FILLER_BYTES);
  return stale;
}

bool scenario_waiting_slot_is_not_scanned(void) {
  gap gap = {.early_acts = gap_add_a_stale_word};
  gap_open(&gap);
  gap_stale_word = gap_stale_slot(&gap);
  gap_enter(&gap);
  gap_leave(&gap);
  scenario_expect(tri_root_remove_range(gap.heap, &gap_stale_word) == TRI_OK, "no root");
  gap_close(&gap);
  return true;
}

// ---- An explicit free ----

static void gap_drop_the_large_object(gap *gap, tri_mutator *early) {
  tri_store(early, gap->holder, gap->holder, NULL);
  scenario_expect(tri_testing_barrier_words(early) != 0, "the overwritten reference is not recorded");
}

// An object that is born with a mark is not scanned, and its child is lost.
static void gap_expect_large_objects_are_scanned(gap *gap) {
  enum { COUNT = 4, BYTES = 100000 };
  void **large[COUNT];
  for (int index = 0; index < COUNT; index++) {
    large[index] = gap_root(gap, BYTES);
    tri_store(gap->late, large[index], large[index], tri_alloc(gap->late, tri_layout_references(gap->heap), 64));
  }
  stepped_forced_cycle(gap->heap);
  for (int index = 0; index < COUNT; index++)
    scenario_expect(scenario_is_alive(gap->heap, large[index][0]), "what a new large object refers to is lost");
}

bool scenario_free_before_the_barrier_leaves_no_mark(void) {
  gap gap = {.early_acts = gap_drop_the_large_object};
  gap_open(&gap);
  gap.holder = gap_root(&gap, 16);
  void *large = tri_alloc(gap.late, tri_layout_references(gap.heap), 100000);
  tri_store(gap.late, gap.holder, gap.holder, large);
  gap_enter(&gap);
  tri_free(gap.late, large);
  gap_leave(&gap);
  scenario_expect(!scenario_is_alive(gap.heap, large), "the freed object is still there");
  stepped_forced_cycle(gap.heap); // while its pages are free: the two bitmaps change places
  gap_expect_large_objects_are_scanned(&gap);
  gap_close(&gap);
  return true;
}
