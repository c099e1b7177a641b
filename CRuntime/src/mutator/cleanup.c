// Cleanups: added and cancelled. Who runs them is in heap/cleanups.c.
#include "mutator/tied.h"

static uint64_t tri_cleanup_name(const tri_ties *ties, uint32_t record) {
  return (uint64_t)tri_tie_at(ties, record)->serial << 32 | record;
}

tri_status tri_cleanup_add(tri_mutator *mutator, void *object, tri_cleanup_function *function, void *context,
                           tri_cleanup *out_cleanup) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_collect *collect = &full->world->collect;
  tri_ties *ties = &collect->ties;
  tri_object_place place = tri_tied_place(full, object, "a cleanup");
  const tri_tie_call call = {function, context};
  uint32_t number, record = 0;
  uint64_t payload;
  tri_lock_acquire(&ties->lock);
  if (tri_tie_pack_call_locked(collect, &call, &number, &payload)) {
    record = tri_tie_add_locked(collect, &place, TRI_TIE_CLEANUP, number, payload);
    if (!record) tri_tie_unpack_call_locked(collect, number, payload);
  }
  if (record && out_cleanup) *out_cleanup = (tri_cleanup){place.start, tri_cleanup_name(ties, record)};
  tri_lock_release(&ties->lock);
  return record ? TRI_OK : TRI_OUT_OF_MEMORY;
}

bool tri_cleanup_cancel(tri_heap *heap, tri_cleanup cleanup) {
  tri_collect *collect = &tri_world_of_heap(heap)->collect;
  tri_ties *ties = &collect->ties;
  uint32_t record = (uint32_t)cleanup.record;
  tri_lock_acquire(&ties->lock);
  // From the stop on an object without a mark has ended, swept or not.
  uintptr_t object = cleanup.object;
  const tri_tie *tie = tri_tie_cleanup_locked(collect, object, record, (uint32_t)(cleanup.record >> 32));
  bool found = tie && tri_tie_target_locked(collect, &object);
  if (found) {
    tri_tie_unpack_call_locked(collect, tie->function, tie->payload);
    tri_tie_remove_cleanup_locked(collect, object, record);
  }
  tri_lock_release(&ties->lock);
  return found;
}
