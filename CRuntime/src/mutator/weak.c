// Weak references: made, read, freed. What the collector does with them is in collect/ties.h.
#include "mutator/tied.h"

tri_status tri_weak_make(tri_mutator *mutator, void *object, tri_weak **out_weak) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_collect *collect = &full->world->collect;
  tri_object_place place = tri_tied_place(full, object, "a weak reference");
  tri_lock_acquire(&collect->ties.lock);
  struct tri_weak *cell = place.span ? tri_tie_weak_of_locked(collect, &place) : NULL;
  if (!cell && (cell = tri_weak_take_unused_locked(collect))) {
    tri_store_relaxed(&cell->object, place.start);
    if (place.span && !tri_tie_add_locked(collect, &place, TRI_TIE_WEAK, 0, (uint64_t)(uintptr_t)cell)) {
      tri_weak_recycle_locked(&collect->ties, cell);
      cell = NULL;
    }
  }
  if (cell) cell->count++;
  tri_lock_release(&collect->ties.lock);
  if (!cell) return TRI_OUT_OF_MEMORY;
  *out_weak = cell;
  return TRI_OK;
}

void *tri_weak_get(tri_mutator *mutator, const tri_weak *weak) {
  return tri_tied_load(tri_mutator_of(mutator), &weak->object, "reading a weak reference");
}

void tri_weak_free(tri_heap *heap, tri_weak *weak) {
  tri_collect *collect = &tri_world_of_heap(heap)->collect;
  tri_lock_acquire(&collect->ties.lock);
  TRI_CHECK(weak->count, "freeing the weak reference %p, which was freed already", (void *)weak);
  if (--weak->count == 0) {
    bool tied = weak->object && tri_space_contains(&collect->spans.space, weak->object);
    TRI_CHECK(!tied || tri_tie_remove_weak_locked(collect, weak->object, weak),
              "the weak reference %p is not where its object is", (void *)weak);
    tri_weak_recycle_locked(&collect->ties, weak);
  }
  tri_lock_release(&collect->ties.lock);
}
