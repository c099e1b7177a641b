// Large objects: whole pages of their own.
#include <string.h>

#include "base/step.h"
#include "collect/sweep.h"
#include "mutator/alloc.h"
#include "mutator/gate.h"
#include "mutator/refill.h"
#include "mutator/safepoint.h"

static tri_status tri_large_take_pages(tri_mutator_full *mutator, uint64_t pages, uint64_t alignment_pages,
                                       tri_page_run *run) {
  tri_world *world = mutator->world;
  tri_space *space = &world->collect.spans.space;
  // What the sweep would free has priority over growth, but no more is swept than it takes: first what another large
  // object may have left, a bit each, and only then spans of small ones.
  do {
    if (tri_pages_reuse(space, pages, alignment_pages, tri_load_relaxed(&world->limit_bytes), run)) return TRI_OK;
  } while (tri_sweep_large(&world->collect, pages) || tri_sweep_unit(&world->collect));
  tri_mutator_set_busy(mutator, "an allocation");
  tri_status status = tri_pages_allocate(space, pages, alignment_pages, tri_load_relaxed(&world->limit_bytes), run);
  tri_mutator_set_busy(mutator, NULL);
  if (status == TRI_OK) return status;
  world->collect_for_memory(world, mutator);
  status = tri_pages_allocate(space, pages, alignment_pages, tri_load_relaxed(&world->limit_bytes), run);
  if (status != TRI_OK) tri_allocation_failed(mutator, status);
  return status;
}

void *tri_allocate_large(tri_mutator_full *mutator, struct tri_layout *layout, uint64_t bytes, uint64_t alignment,
                         bool uninitialized, tri_status *out_status) {
  tri_collect *collect = &mutator->world->collect;
  uint64_t object_bytes = tri_align_up(bytes, TRI_GRANULE_BYTES);
  uint64_t pages = tri_align_up(object_bytes, TRI_PAGE_BYTES) >> TRI_PAGE_LOG2;
  // A small object comes here for its alignment. Shorter runs could share an entry of the span table.
  if (pages < TRI_LARGE_PAGES_MIN) pages = TRI_LARGE_PAGES_MIN;
  uint64_t alignment_pages = alignment <= TRI_PAGE_BYTES ? 1 : alignment >> TRI_PAGE_LOG2;
  tri_allocation_gate(mutator);
  tri_page_run run;
  *out_status = tri_large_take_pages(mutator, pages, alignment_pages, &run);
  if (*out_status != TRI_OK) return NULL;
  bool partly = uninitialized && !tri_layout_has_references_beyond(layout, object_bytes);
  uint64_t zeroed_bytes = partly ? layout->reference_bytes : object_bytes;
  if (!run.fresh && zeroed_bytes) {
    // Zeroed before anyone can find it, and without keeping the collector waiting.
    mutator->pages_in_hand_first = run.page;
    mutator->pages_in_hand = pages;
    tri_blocking_begin(&mutator->fast);
    memset((void *)tri_space_page_address(&collect->spans.space, run.page), 0, zeroed_bytes);
    tri_blocking_end(&mutator->fast);
    mutator->pages_in_hand = 0;
  }
  tri_step(TRI_STEP_ALLOCATE_LARGE);
  // From here to the return there is no safepoint; the account comes first, as it may assist.
  tri_allocation_account(mutator, pages << TRI_PAGE_LOG2);
  tri_span *span = tri_span_make_large(&collect->spans, layout, object_bytes, pages, run);
  uint64_t granule = tri_space_granule(&collect->spans.space, span->start);
  if (mutator->allocates_black) tri_bit_set(collect->spans.space.bits.marked, granule);
  TRI_ASSERT(!tri_phase_is_off(collect) || !tri_is_old(collect, granule << TRI_GRANULE_LOG2));
  tri_bit_set(collect->spans.space.bits.allocated, granule);
  return (void *)span->start;
}
