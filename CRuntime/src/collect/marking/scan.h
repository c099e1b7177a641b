// Scanning: from an object to its edges, by the one-word mask of its class or, where it has none, in slices.
#ifndef TRI_COLLECT_MARKING_SCAN_H
#define TRI_COLLECT_MARKING_SCAN_H

#include "base/callback.h"
#include "base/step.h"
#include "collect/marking/edges.h"

static void tri_marker_trace_custom(tri_marker *marker, const struct tri_layout *layout,
                                    const tri_object_place *place) {
  tri_grey_chunk *chunk = NULL;
  tri_visitor visitor = {.collect = marker->collect, .chunk = &chunk};
  tri_callback_begin();
  layout->description.trace((const void *)place->start, tri_span_object_bytes(place->span), &visitor,
                            layout->description.context);
  tri_callback_end();
  if (chunk) tri_grey_share(&marker->collect->grey, chunk);
}

TRI_MARK_INLINE void tri_scan_array(const tri_mark_view *view, const uintptr_t *slot, const uintptr_t *end,
                                    tri_edge_list *list, tri_mark_way way) {
  for (; slot < end; slot++) tri_edge_add(view, list, tri_load_relaxed(slot), way);
}

// What of a long object lies behind its part with word `first` becomes items of its own, for whoever is hungry.
static __attribute__((noinline, cold)) void tri_marker_share_parts(tri_marker *marker, uint64_t object_offset,
                                                                   uint64_t first, uint64_t words) {
  uint64_t part = first / TRI_MARK_PART_WORDS + 1, parts = (words - 1) / TRI_MARK_PART_WORDS + 1;
  uint64_t chunk_parts = (parts - part) / TRI_MARK_PART_CHUNKS + 1;
  tri_step(TRI_STEP_SHARE_PARTS);
  tri_grey_chunk *chunk = NULL;
  for (; part < parts; part++) {
    uint64_t offset = object_offset + part * TRI_MARK_PART_WORDS * 8;
    tri_grey_push(&marker->collect->grey, &chunk, offset | TRI_GREY_SLICE | TRI_GREY_PART);
    if (!chunk || chunk->count < chunk_parts) continue;
    tri_grey_share(&marker->collect->grey, chunk);
    chunk = NULL;
  }
  if (chunk) tri_grey_share(&marker->collect->grey, chunk);
}

// Objects without a one-word mask: long, conservative, custom or large. One slice of at most 64 words; the rest is an
// item of its own.
static __attribute__((noinline)) void tri_marker_scan_long(tri_marker *marker, const tri_mark_view *shared_view,
                                                           tri_grey_item item, tri_edge_list *shared_list) {
  // What arrays are filled with in a loop is often neighbours.
  const tri_mark_way any = {.tagged = true, .near = true};
  // Copies stay in registers.
  const tri_mark_view view = *shared_view;
  tri_edge_list list = *shared_list;
  uint64_t offset = item & ~(uint64_t)TRI_GREY_TAGS;
  tri_object_place place = tri_slot_at(&marker->collect->spans, view.start + offset);
  if (!place.start) return; // marked through a stale word after an explicit free: nothing to scan
  const struct tri_layout *layout = tri_span_layout(&marker->collect->spans, place.span);
  const tri_layout_description *description = &layout->description;
  if (tri_layout_is_leaf(layout)) return;
  if (description->form == TRI_LAYOUT_CUSTOM) {
    tri_marker_trace_custom(marker, layout, &place);
    return;
  }
  const uintptr_t *slots = (const uintptr_t *)place.start;
  uint64_t words = tri_span_object_bytes(place.span) / 8, scanned = tri_layout_scanned_words(description);
  if (words > scanned) words = scanned;
  uint64_t first = (view.start + offset - place.start) / 8, end = first + TRI_MARK_SLICE_WORDS;
  uint64_t part = item & TRI_GREY_PART;
  if (!part && words > first + 2 * TRI_MARK_PART_WORDS && tri_grey_wanted(&marker->collect->grey)) {
    tri_marker_share_parts(marker, place.start - view.start, first, words);
    part = TRI_GREY_PART;
  }
  uint64_t part_end = (first / TRI_MARK_PART_WORDS + 1) * TRI_MARK_PART_WORDS;
  if (part && words > part_end) words = part_end;
  if (end < words) {
    marker->slices[marker->slice_count++] = (offset + TRI_MARK_SLICE_WORDS * 8) | TRI_GREY_SLICE | part;
    // Its first line would be fetched with the other items of its batch, but not the rest.
    for (uint64_t line = end; line < end + TRI_MARK_SLICE_WORDS; line += TRI_CACHE_LINE_BYTES / 8)
      __builtin_prefetch(&slots[line]);
  } else {
    end = words;
  }
  uint64_t mask = tri_layout_mask_at(description, first) & tri_low_bits((uint32_t)(end - first));
  if (description->form == TRI_LAYOUT_CONSERVATIVE) {
    uint64_t found;
    for (uint64_t word = first; word < end; word++)
      if (tri_object_start_offset(marker->collect, tri_load_relaxed(&slots[word]), &found))
        tri_edge_add_near(&view, &list, found);
  } else if (mask != ~UINT64_C(0)) {
    for (; mask; mask &= mask - 1)
      tri_edge_add(&view, &list, tri_load_relaxed(&slots[first + tri_first_set(mask)]), any);
  } else if (view.mostly_marked) { // an array: no bit to look for
    for (uint64_t word = first; word < end; word++) tri_edge_add_young(&view, &list, tri_load_relaxed(&slots[word]));
  } else if (view.tag_mask) {
    tri_scan_array(&view, slots + first, slots + end, &list, any);
  } else {
    tri_scan_array(&view, slots + first, slots + end, &list, (tri_mark_way){.near = true});
  }
  *shared_list = list;
}

TRI_MARK_INLINE void tri_marker_scan(tri_marker *marker, const tri_mark_view *view, tri_grey_item item,
                                     tri_edge_list *list, tri_mark_way way) {
  uint64_t mask = tri_mark_scan_mask(view, item);
  if (__builtin_expect(!mask, 0)) {
    tri_edge_list copy = *list; // whose address is known elsewhere
    tri_marker_scan_long(marker, view, item, &copy);
    *list = copy;
    return;
  }
  const uintptr_t *slots = (const uintptr_t *)(view->start + item);
  do {
    tri_edge_add(view, list, tri_load_relaxed(&slots[tri_first_set(mask)]), way);
    mask &= mask - 1;
  } while (mask);
}

#endif
