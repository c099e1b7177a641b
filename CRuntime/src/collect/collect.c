#include "collect/collect.h"

#include <string.h>

tri_status tri_collect_init(tri_collect *collect, uint64_t reservation_bytes, uint32_t huge_pages) {
  memset(collect, 0, sizeof *collect);
  tri_status status = tri_spans_init(&collect->spans, reservation_bytes, huge_pages);
  if (status != TRI_OK) return status;
  tri_grey_init(&collect->grey, &collect->spans.space.meta);
  tri_ties_init(&collect->ties);
  tri_lock_init(&collect->sweep_lock, TRI_RANK_SWEEP);
  tri_condition_init(&collect->sweep_done);
  collect->sweep.generation = collect->spans.sweep_generation;
  return TRI_OK;
}

void tri_collect_destroy(tri_collect *collect) {
  pthread_cond_destroy(&collect->sweep_done);
  tri_lock_destroy(&collect->sweep_lock);
  tri_ties_destroy(&collect->ties);
  tri_grey_destroy(&collect->grey);
  tri_spans_destroy(&collect->spans);
}
