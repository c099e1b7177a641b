// The pipeline of batches, and the votes on how the next one is read.
#ifndef TRI_COLLECT_MARKING_BATCHES_H
#define TRI_COLLECT_MARKING_BATCHES_H

#include "collect/marking/scan.h"

// The first is the top of the stack.
static inline uint32_t tri_marker_take_batch(tri_marker *marker, tri_grey_item *batch) {
  uint32_t size = marker->depth < TRI_MARK_BATCH ? marker->depth : TRI_MARK_BATCH;
  const tri_grey_item *top = marker->stack + marker->depth;
  for (uint32_t i = 0; i < size; i++) batch[i] = *--top;
  marker->depth -= size;
  return size;
}

static inline void tri_marker_return_batch(tri_marker *marker, const tri_grey_item *batch, uint32_t size) {
  while (size) marker->stack[marker->depth++] = batch[--size];
}

typedef struct tri_mark_batch {
  tri_grey_item items[TRI_MARK_BATCH];
  uint32_t size;
} tri_mark_batch;

TRI_MARK_INLINE void tri_mark_prefetch_batch(const tri_mark_view *view, const tri_mark_batch *batch, uint32_t from) {
  for (uint32_t i = from; i < batch->size; i++) tri_mark_prefetch(view, batch->items[i]);
}

// Scans a batch. The objects of the next one are asked for in between: all at once they would wait for each other, and
// everything for them.
TRI_MARK_INLINE void tri_marker_scan_batch(tri_marker *marker, const tri_mark_view *view, const tri_mark_batch *batch,
                                           tri_mark_batch *next, tri_mark_way way) {
  tri_edge_list list = tri_edges_begin(marker);
  uint32_t size = batch->size;
  // So that the loop need not ask how many there are.
  for (uint32_t i = next->size; !way.near && i < size; i++) next->items[i] = batch->items[i];
  for (uint32_t i = 0; i < size; i++) {
    if (!way.near) tri_mark_prefetch(view, next->items[i]);
    tri_marker_scan(marker, view, batch->items[i], &list, way);
  }
  if (!way.near) tri_mark_prefetch_batch(view, next, size);
  tri_edges_end(marker, &list);
}

// How many of the first four pairs lie in one mark word each.
static inline uint32_t tri_mark_neighbours(const uint64_t *offsets) {
  uint32_t neighbours = 0;
  for (uint32_t i = 0; i < 8; i += 2) neighbours += (offsets[i] ^ offsets[i + 1]) >> TRI_MARK_WORD_LOG2 == 0;
  return neighbours;
}

// A look at a few of the edges just read, or at objects that have none: whether most are like those of a tree in
// allocation order. Several batches have to agree, for the pipeline runs dry when the loop is changed.
TRI_MARK_INLINE void tri_marker_vote(tri_marker *marker, const tri_mark_batch *batch, bool near) {
  bool other;
  if (near) {
    if (marker->run_count < 4) return;
    uint32_t neighbours = 0;
    for (uint32_t i = 1; i <= 4; i++) neighbours += (marker->runs[i].bits & (marker->runs[i].bits - 1)) != 0;
    other = neighbours < 2;
  } else {
    bool leads_nowhere = marker->edge_count == 0;
    if ((leads_nowhere ? batch->size : marker->edge_count) < 8) return;
    other = tri_mark_neighbours(leads_nowhere ? batch->items : marker->edges) >= 3;
  }
  marker->votes_to_change = other ? marker->votes_to_change + 1 : 0;
}

// The pipeline. Between two rounds one batch is on its way, and the edges of the one before it.
TRI_MARK_INLINE uint64_t tri_marker_run_batches(tri_marker *marker, const tri_mark_view *view, uint64_t budget_objects,
                                                tri_mark_way way) {
  tri_mark_batch batches[2];
  tri_mark_batch *batch = &batches[0], *next = &batches[1];
  batch->size = tri_marker_take_batch(marker, batch->items);
  tri_mark_prefetch_batch(view, batch, 0);
  uint64_t scanned = 0;
  do {
    tri_step(TRI_STEP_MARK_BATCH);
    next->size = tri_marker_take_batch(marker, next->items);
    if (way.near) tri_mark_prefetch_batch(view, next, 0);
    tri_marker_visit(marker, view, way.alone);
    tri_marker_scan_batch(marker, view, batch, next, way);
    tri_marker_vote(marker, batch, way.near);
    scanned += batch->size;
    tri_mark_batch *done = batch;
    batch = next;
    next = done;
    if (!way.alone && marker->depth >= TRI_MARK_DONATE_ITEMS && tri_grey_wanted(&marker->collect->grey))
      tri_marker_spill(marker);
  } while (scanned < budget_objects && batch->size + marker->depth >= TRI_MARK_SHALLOW_ITEMS &&
           marker->votes_to_change < TRI_MARK_VOTES);
  tri_marker_visit(marker, view, way.alone);
  tri_marker_return_batch(marker, batch->items, batch->size);
  if (marker->votes_to_change >= TRI_MARK_VOTES) {
    marker->near = !way.near;
    marker->votes_to_change = 0;
  }
  return scanned;
}

#endif
