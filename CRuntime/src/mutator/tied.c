#include "mutator/tied.h"

tri_object_place tri_tied_place(tri_mutator_full *mutator, const void *object, const char *what) {
  tri_world *world = mutator->world;
  tri_assert_owner(mutator, what);
  TRI_CHECK(tri_load_relaxed(&world->collect.phase) != TRI_PHASE_MARK_TERMINATION,
            "%s is made for %p in phase markTermination", what, object);
  if (object == tri_empty_object()) return (tri_object_place){NULL, (uintptr_t)object, 0};
  tri_object_place place = tri_object_at(&world->collect.spans, (uintptr_t)object);
  bool live = object && place.start == (uintptr_t)object &&
              (place.span->state == TRI_SPAN_LARGE || !tri_slot_waits(world, &place));
  TRI_CHECK(live, "%s is made for %p, which is not the start of a live object of this heap", what, object);
  return place;
}

void tri_tied_record(tri_mutator_full *mutator, uintptr_t value) {
  if (mutator->fast.barrier & TRI_SHADES_ANY) tri_barrier_record(&mutator->barrier, &mutator->world->collect, value);
}

void *tri_tied_load(tri_mutator_full *mutator, const uintptr_t *place, const char *what) {
  tri_collect *collect = &mutator->world->collect;
  tri_assert_owner(mutator, what);
  // Only the thread that stopped the world could, and what it got would be marked by nobody.
  TRI_CHECK(tri_load_relaxed(&collect->phase) != TRI_PHASE_MARK_TERMINATION, "%s in phase markTermination", what);
  uintptr_t object = tri_tie_target(collect, place);
  tri_tied_record(mutator, object);
  return (void *)object;
}
