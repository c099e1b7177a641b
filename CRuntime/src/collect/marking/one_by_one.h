// The loops that take object by object: where there is too little for a batch, and, for a lone marker, where the next
// objects are neighbours.
#ifndef TRI_COLLECT_MARKING_ONE_BY_ONE_H
#define TRI_COLLECT_MARKING_ONE_BY_ONE_H

#include "collect/marking/scan.h"

// One item as a batch would be: a long one, or any where references are doubted.
TRI_MARK_INLINE void tri_marker_run_one_as(tri_marker *marker, const tri_mark_view *shared_view, tri_mark_way way) {
  const tri_mark_view view = *shared_view; // in registers
  tri_edge_list list = tri_edges_begin(marker);
  tri_marker_scan(marker, &view, marker->stack[--marker->depth], &list, way);
  tri_edges_end(marker, &list);
  tri_marker_visit(marker, &view, way.alone);
}
static __attribute__((noinline)) void tri_marker_run_one(tri_marker *marker, const tri_mark_view *view) {
  tri_marker_run_one_as(marker, view, (tri_mark_way){.tagged = true});
}
static __attribute__((noinline)) void tri_marker_run_one_alone(tri_marker *marker, const tri_mark_view *view) {
  tri_marker_run_one_as(marker, view, (tri_mark_way){.tagged = true, .alone = true});
}

// The ends of an object's edges, one by one, with a branch on the mark: on lists the branch predictor runs ahead where
// a computed push could not.
TRI_MARK_INLINE tri_grey_item *tri_marker_visit_few(const tri_marker *marker, const tri_mark_view *view,
                                                    const uint64_t *edges, uint32_t count, tri_grey_item *top,
                                                    bool alone, uint64_t *marked) {
  while (count > 0) {
    uint64_t offset = edges[--count], *place = &view->marks[offset >> TRI_MARK_WORD_LOG2];
    uint64_t bit = UINT64_C(1) << (offset >> TRI_GRANULE_LOG2 & 63), seen = tri_load_relaxed(place);
    if (seen & bit) continue;
    if (alone)
      tri_store_relaxed(place, seen | bit);
    else if (tri_or_relaxed(place, bit) & bit) // of one bit: no loop around a compare-and-exchange
      continue;
    tri_check_references(marker, offset >> TRI_MARK_WORD_LOG2, bit);
    ++*marked;
    *top = offset;
    top += !tri_mark_is_leaf(view, offset);
  }
  return top;
}

// Fewer than four items: object by object. All that one leads to is fetched before the first mark word is touched, or
// the locked instruction serialises both misses.
TRI_MARK_INLINE uint64_t tri_marker_run_shallow(tri_marker *marker, const tri_mark_view *view, uint64_t budget_objects,
                                                tri_mark_way way) {
  uint64_t scanned = 0, marked = 0, edges[64];
  (void)budget_objects; // whose end 256 objects may miss
  tri_grey_item *bottom = marker->stack, *top = bottom + marker->depth;
  // So that budgets and hungry workers are looked at on long lists.
  for (; top > bottom && top < bottom + TRI_MARK_SHALLOW_ITEMS && scanned < 256; scanned++) {
    tri_grey_item item = top[-1];
    uint64_t mask = tri_mark_scan_mask(view, item);
    if (__builtin_expect(!mask || view->confirmed_by, 0)) {
      marker->depth = (uint32_t)(top - bottom);
      (way.alone ? tri_marker_run_one_alone : tri_marker_run_one)(marker, view);
      top = bottom + marker->depth;
      continue;
    }
    top--;
    const uintptr_t *slots = (const uintptr_t *)(view->start + item);
    uint32_t count = 0;
    do {
      uint64_t offset;
      if (!tri_edge_offset(view, tri_load_relaxed(&slots[tri_first_set(mask)]), way.tagged, &offset)) continue;
      tri_mark_prefetch(view, offset);
      edges[count++] = offset;
    } while (mask &= mask - 1);
    top = tri_marker_visit_few(marker, view, edges, count, top, way.alone, &marked);
  }
  marker->depth = (uint32_t)(top - bottom);
  marker->marked_objects += marked;
  return scanned;
}

// So many objects were scanned one by one. It is counted how many were neighbours of the one before, ever more rarely
// the longer they were: of a binary tree in breadth-first order a fifth are, of strangers none. Two votes in a row have
// to agree to go on in batches, as to come back takes some, which mix up what is near.
static inline void tri_marker_note_plain(tri_marker *marker, uint32_t objects, uint32_t neighbours, bool votes) {
  if (!votes) {
    marker->plain_until_vote -= objects < marker->plain_until_vote ? objects : marker->plain_until_vote;
    return;
  }
  marker->plain_objects += objects;
  marker->plain_neighbours += neighbours;
  if (marker->plain_objects < TRI_MARK_PLAIN_OBJECTS) return;
  bool other = marker->plain_neighbours < marker->plain_objects / 8;
  marker->plain_objects = marker->plain_neighbours = 0;
  marker->votes_to_change = other ? marker->votes_to_change + 1 : 0;
  marker->plain_streak = other ? 0 : 2 * marker->plain_streak + TRI_MARK_PLAIN_OBJECTS;
  if (marker->plain_streak > TRI_MARK_PLAIN_STREAK) marker->plain_streak = TRI_MARK_PLAIN_STREAK;
  marker->plain_until_vote = marker->plain_streak;
  if (marker->votes_to_change < 2) return;
  marker->near = false;
  marker->votes_to_change = 0;
}

// Where the next objects are neighbours, and nobody else marks: object by object. The next one's address comes from the
// stack, the stack's top from what was white and no leaf, and that from memory. What is the same most of the time (the
// layout, white, no leaf) is asked by branches, so that the processor runs ahead: on a tree 1.3 times a plain loop's
// time; computed, 1.9; in batches 2.6.
TRI_MARK_INLINE uint64_t tri_marker_run_plain(tri_marker *marker, const tri_mark_view *view, uint64_t budget_objects,
                                              tri_mark_way way) {
  enum { PUSHED_MAX = 64 }; // by an object: a mask's bits
  (void)budget_objects;     // whose end so many may miss
  tri_step(TRI_STEP_MARK_PLAIN);
  tri_marker_reserve(marker, PUSHED_MAX);
  uint32_t room = (TRI_MARK_STACK_ITEMS - marker->depth) / PUSHED_MAX;
  uint32_t objects = room < TRI_MARK_PLAIN_OBJECTS ? room : TRI_MARK_PLAIN_OBJECTS, left = objects;
  uint32_t neighbours = 0;
  uint64_t last_item = 0, leaves = 0;
  bool at_long = false;
  tri_grey_item *bottom = marker->stack, *top = bottom + marker->depth;
  // From `known` up all items have this entry in the layout map, and this mask: they are not looked up.
  const tri_grey_item *known = top;
  tri_layout_entry entry = tri_load_relaxed(&view->layout_map[top[-1] >> TRI_BLOCK_LOG2]);
  uint64_t mask = tri_mark_scan_mask(view, top[-1]);
  do {
    tri_grey_item item = *--top;
    if (way.votes) {
      neighbours += (item ^ last_item) >> TRI_MARK_WORD_LOG2 == 0;
      last_item = item;
    }
    if (top < known) {
      known = top;
      tri_layout_entry found = tri_load_relaxed(&view->layout_map[item >> TRI_BLOCK_LOG2]);
      if (found != entry) {
        entry = found;
        mask = tri_mark_scan_mask(view, item);
      }
      at_long = !mask;
      if (at_long) {
        top++;
        break;
      }
    }
    TRI_ASSERT(mask == tri_mark_scan_mask(view, item));
    const uintptr_t *slots = (const uintptr_t *)(view->start + item);
    uint64_t rest = mask;
    do {
      uint64_t offset;
      if (!tri_edge_offset(view, tri_load_relaxed(&slots[tri_first_set(rest)]), way.tagged, &offset)) continue;
      uint64_t *place = &view->marks[offset >> TRI_MARK_WORD_LOG2], seen = tri_load_relaxed(place);
      uint64_t after = seen | UINT64_C(1) << (offset >> TRI_GRANULE_LOG2 & 63);
      if (after == seen) continue;
      tri_store_relaxed(place, after);
      tri_check_references(marker, offset >> TRI_MARK_WORD_LOG2, after ^ seen);
      tri_layout_entry found = tri_load_relaxed(&view->layout_map[offset >> TRI_BLOCK_LOG2]);
      if (__builtin_expect(found == entry, 1)) {
        *top++ = offset;
      } else {
        if (found & TRI_ENTRY_LEAF) {
          leaves++;
          continue;
        }
        *top++ = offset;
        known = top;
      }
      tri_mark_prefetch(view, offset);
    } while (rest &= rest - 1);
  } while (--left && top > bottom);
  uint64_t scanned = objects - left, depth = (uint64_t)(top - bottom);
  marker->marked_objects += leaves + scanned + depth - marker->depth; // what was pushed is what left or stays
  marker->depth = (uint32_t)depth;
  tri_marker_note_plain(marker, (uint32_t)scanned, neighbours, way.votes);
  if (at_long) tri_marker_run_one_alone(marker, view);
  return scanned + at_long;
}

#endif
