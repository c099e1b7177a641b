// A marker's stack of grey objects: what is too much for it, or for one worker, goes to the shared queue
// (grey_queue.h).
#ifndef TRI_COLLECT_MARKING_STACK_H
#define TRI_COLLECT_MARKING_STACK_H

#include <string.h>

#include "collect/mark.h"

static void tri_marker_spill(tri_marker *marker) {
  // The oldest items leave: they are the ones whose cache lines are gone anyway.
  uint32_t moved = 0, wanted = marker->depth / 2;
  while (moved < wanted) {
    tri_grey_chunk *chunk = tri_grey_chunk_take_empty(&marker->collect->grey);
    if (!chunk) {
      moved = wanted;
      break;
    }
    uint32_t count = wanted - moved < TRI_GREY_CHUNK_ITEMS ? wanted - moved : TRI_GREY_CHUNK_ITEMS;
    memcpy(chunk->items, marker->stack + moved, count * sizeof *marker->stack);
    chunk->count = count;
    tri_grey_share(&marker->collect->grey, chunk);
    moved += count;
  }
  marker->depth -= moved;
  memmove(marker->stack, marker->stack + moved, marker->depth * sizeof *marker->stack);
}

static inline void tri_marker_reserve(tri_marker *marker, uint32_t items) {
  if (__builtin_expect(marker->depth + items > TRI_MARK_STACK_ITEMS, 0)) tri_marker_spill(marker);
}

static void tri_marker_take_chunk(tri_marker *marker, tri_grey_chunk *chunk) {
  tri_marker_reserve(marker, TRI_GREY_CHUNK_ITEMS);
  memcpy(marker->stack + marker->depth, chunk->items, chunk->count * sizeof *marker->stack);
  marker->depth += (uint32_t)chunk->count;
  tri_grey_chunk_recycle(&marker->collect->grey, chunk);
}

static void tri_marker_share_all(tri_marker *marker) {
  while (marker->depth) {
    tri_grey_chunk *chunk = tri_grey_chunk_take_empty(&marker->collect->grey);
    if (!chunk) {
      marker->depth = 0;
      break;
    }
    uint32_t count = marker->depth < TRI_GREY_CHUNK_ITEMS ? marker->depth : TRI_GREY_CHUNK_ITEMS;
    marker->depth -= count;
    memcpy(chunk->items, marker->stack + marker->depth, count * sizeof *marker->stack);
    chunk->count = count;
    tri_grey_share(&marker->collect->grey, chunk);
  }
}

static __attribute__((noinline)) tri_grey_item *tri_marker_push_slices(tri_marker *marker, tri_grey_item *top) {
  memcpy(top, marker->slices, marker->slice_count * sizeof *top);
  top += marker->slice_count;
  marker->slice_count = 0;
  return top;
}

#endif
