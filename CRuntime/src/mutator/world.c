#include "mutator/world.h"

#include <string.h>

#include "os/vm.h"

tri_status tri_world_init(tri_world *world, const tri_options *options) {
  memset(world, 0, sizeof *world);
  tri_status status = tri_collect_init(&world->collect, options->reservation_bytes, options->huge_pages);
  if (status != TRI_OK) return status;
  world->numbered = tri_vm_map(TRI_MUTATOR_NUMBERS * sizeof(void *));
  if (!world->numbered) {
    tri_collect_destroy(&world->collect);
    return TRI_OUT_OF_MEMORY;
  }
  // Under stress every allocation that may begin a cycle counts: none is left to the short ways of a lone mutator.
  world->can_be_lone = options->stress_interval == 0 && tri_process_barrier();
  world->collect.shared = world->can_be_lone ? TRI_SHARED_NOT : TRI_SHARED_WHOLLY;
  tri_lock_init(&world->lock, TRI_RANK_WORLD);
  tri_lock_init(&world->fibers_lock, TRI_RANK_ROOTS);
  world->scan_epoch = 1;
  tri_condition_init(&world->arrived);
  tri_condition_init(&world->resumed);
  tri_condition_init(&world->cycle_over);
  tri_stops_init(&world->stops);
  tri_roots_init(&world->roots, &world->collect.spans.space.meta);
  world->policy = options->barrier;
  world->limit_bytes = options->limit_bytes;
  world->assist_ns_max = options->assist_ns_max;
  world->stress_interval = options->stress_interval;
  world->trigger_bytes = INT64_MAX;
  world->account_bytes = 32 << 10;
  if (options->tag_mask) {
    world->collect.spans.tag_mask = options->tag_mask;
    world->collect.spans.tag_value = options->tag_value;
  }
  return TRI_OK;
}

void tri_world_destroy(tri_world *world) {
  TRI_CHECK(world->mutator_count == 0, "a world ends with %u mutators attached", world->mutator_count);
  for (tri_mutator_full *mutator = world->retired, *next; mutator; mutator = next) {
    next = mutator->next;
    tri_mutator_unmap(mutator);
  }
  if (world->numbered) tri_vm_release(world->numbered, TRI_MUTATOR_NUMBERS * sizeof(void *));
  tri_roots_destroy(&world->roots);
  tri_stops_destroy(&world->stops, &world->collect.spans.space.meta);
  pthread_cond_destroy(&world->resumed);
  pthread_cond_destroy(&world->cycle_over);
  pthread_cond_destroy(&world->arrived);
  tri_lock_destroy(&world->fibers_lock);
  tri_lock_destroy(&world->lock);
  tri_collect_destroy(&world->collect);
}
