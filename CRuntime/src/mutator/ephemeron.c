// Ephemerons: made, read, changed, freed. How they keep values alive is in collect/ephemerons.h.
#include "mutator/tied.h"

static void tri_ephemeron_check_value(const tri_mutator_full *mutator, const void *value) {
  const tri_spans *spans = &mutator->world->collect.spans;
  bool fine = !value || value == tri_empty_object() || tri_object_at(spans, (uintptr_t)value).start == (uintptr_t)value;
  TRI_CHECK(fine, "an ephemeron's value is %p, which is not the start of a live object of this heap", value);
}

tri_status tri_ephemeron_make(tri_mutator *mutator, void *key, void *value, tri_ephemeron **out_ephemeron) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_collect *collect = &full->world->collect;
  tri_object_place place = tri_tied_place(full, key, "an ephemeron");
  tri_ephemeron_check_value(full, value);
  tri_lock_acquire(&collect->ties.lock);
  struct tri_ephemeron *cell = tri_ephemeron_take_unused_locked(collect);
  if (cell && place.span && !tri_tie_add_locked(collect, &place, TRI_TIE_EPHEMERON, 0, (uint64_t)(uintptr_t)cell)) {
    tri_ephemeron_recycle_locked(&collect->ties, cell);
    cell = NULL;
  }
  if (cell) {
    cell->value = (uintptr_t)value;
    tri_store_release(&cell->key, place.start);
    tri_store_relaxed(&collect->ties.ephemerons, collect->ties.ephemerons + 1);
  }
  tri_lock_release(&collect->ties.lock);
  if (!cell) return TRI_OUT_OF_MEMORY;
  // The cycle may have looked at all of them for the last time.
  tri_tied_record(full, (uintptr_t)value);
  *out_ephemeron = cell;
  return TRI_OK;
}

void *tri_ephemeron_key(tri_mutator *mutator, const tri_ephemeron *ephemeron) {
  return tri_tied_load(tri_mutator_of(mutator), &ephemeron->key, "reading an ephemeron");
}

void *tri_ephemeron_value(tri_mutator *mutator, const tri_ephemeron *ephemeron) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_collect *collect = &full->world->collect;
  tri_assert_owner(full, "reading an ephemeron");
  TRI_CHECK(tri_load_relaxed(&collect->phase) != TRI_PHASE_MARK_TERMINATION,
            "reading an ephemeron in phase markTermination");
  // The value first: one that is read is the value of the key that is looked at, or of one that has ended since.
  uintptr_t value = tri_load_acquire(&ephemeron->value);
  if (!value || !tri_tie_target(collect, &ephemeron->key)) return NULL;
  tri_tied_record(full, value);
  return (void *)value;
}

void tri_ephemeron_set_value(tri_mutator *mutator, tri_ephemeron *ephemeron, void *value) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_collect *collect = &full->world->collect;
  tri_assert_owner(full, "setting an ephemeron's value");
  TRI_CHECK(tri_load_relaxed(&collect->phase) != TRI_PHASE_MARK_TERMINATION,
            "setting an ephemeron's value in phase markTermination");
  tri_ephemeron_check_value(full, value);
  // Under the lock, so that an ephemeron whose key ends at this moment does not keep the value.
  tri_lock_acquire(&collect->ties.lock);
  if (ephemeron->key) tri_store_release(&ephemeron->value, (uintptr_t)value);
  tri_lock_release(&collect->ties.lock);
  tri_tied_record(full, (uintptr_t)value);
}

void tri_ephemeron_free(tri_heap *heap, tri_ephemeron *ephemeron) {
  tri_collect *collect = &tri_world_of_heap(heap)->collect;
  tri_lock_acquire(&collect->ties.lock);
  uintptr_t key = ephemeron->key;
  TRI_CHECK(key != TRI_EPHEMERON_UNUSED, "freeing the ephemeron %p, which was freed already", (void *)ephemeron);
  if (key) tri_store_relaxed(&collect->ties.ephemerons, collect->ties.ephemerons - 1);
  if (key && tri_space_contains(&collect->spans.space, key))
    TRI_CHECK(tri_tie_remove_ephemeron_locked(collect, ephemeron), "the ephemeron %p is not where its key is",
              (void *)ephemeron);
  else
    tri_ephemeron_recycle_locked(&collect->ties, ephemeron);
  tri_lock_release(&collect->ties.lock);
}
