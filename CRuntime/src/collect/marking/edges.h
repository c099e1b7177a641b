// Edges: from references that were read to marks. References are collected, near or far (mark.h), while the mark words
// they lead to are fetched; then a visit marks what was white and pushes what has references.
//
// Invariants  an object is pushed by whoever set its bit, once.
#ifndef TRI_COLLECT_MARKING_EDGES_H
#define TRI_COLLECT_MARKING_EDGES_H

#include "collect/marking/stack.h"
#include "collect/marking/view.h"

// Where the next ones go, while a batch is scanned. The last run is still growing; runs[0] is what was before the
// first, and leads to nothing.
typedef struct tri_edge_list {
  uint64_t *edges;
  tri_mark_run *runs, last;
} tri_edge_list;

static inline tri_edge_list tri_edges_begin(const tri_marker *marker) {
  return (tri_edge_list){marker->edges, marker->runs, {UINT64_MAX, 0}};
}

static inline void tri_edges_end(tri_marker *marker, const tri_edge_list *list) {
  *list->runs = list->last;
  marker->run_count = (uint32_t)(list->runs - marker->runs);
  marker->edge_count = (uint32_t)(list->edges - marker->edges);
}

TRI_MARK_INLINE void tri_edge_add_far(const tri_mark_view *view, tri_edge_list *list, uint64_t offset) {
  tri_prefetch_to_write(&view->marks[offset >> TRI_MARK_WORD_LOG2]);
  *list->edges++ = offset;
}

TRI_MARK_INLINE void tri_edge_add_near(const tri_mark_view *view, tri_edge_list *list, uint64_t offset) {
  uint64_t word = offset >> TRI_MARK_WORD_LOG2, bit = UINT64_C(1) << (offset >> TRI_GRANULE_LOG2 & 63);
  if (__builtin_expect(word == list->last.word, 1)) { // or the loops over arrays have two jumps more
    list->last.bits |= bit;
    return;
  }
  tri_prefetch_to_write(&view->marks[word]);
  *list->runs++ = list->last;
  list->last = (tri_mark_run){word, bit};
}

TRI_MARK_INLINE void tri_edge_add(const tri_mark_view *view, tri_edge_list *list, uintptr_t reference,
                                  tri_mark_way way) {
  uint64_t offset;
  if (!tri_edge_offset(view, reference, way.tagged, &offset)) return;
  if (way.near)
    tri_edge_add_near(view, list, offset);
  else
    tri_edge_add_far(view, list, offset);
}

// Without a detour through edges for what is marked already. Its mark word is not prefetched: nothing waits for it, as
// the branch is nearly always guessed right.
TRI_MARK_INLINE void tri_edge_add_young(const tri_mark_view *view, tri_edge_list *list, uintptr_t reference) {
  uint64_t offset;
  if (!tri_edge_offset(view, reference, true, &offset)) return;
  uint64_t marks = tri_load_relaxed(&view->marks[offset >> TRI_MARK_WORD_LOG2]);
  if (!(marks >> (offset >> TRI_GRANULE_LOG2 & 63) & 1)) tri_edge_add_near(view, list, offset);
}

// Sets bits of M; which of them were clear. Nobody sets others meanwhile if the worker is alone.
TRI_MARK_INLINE uint64_t tri_mark_take(uint64_t *place, uint64_t bits, bool alone) {
  uint64_t seen = tri_load_relaxed(place);
  bits &= ~seen;
  if (!bits) return 0;
  if (!alone) return bits & ~tri_or_relaxed(place, bits);
  tri_store_relaxed(place, seen | bits);
  return bits;
}

// In both kinds of visit the last comes first, so that the first is taken from the stack next: objects are scanned in
// the order of the references to them, which is often that of their addresses.
TRI_MARK_INLINE tri_grey_item *tri_marker_visit_runs(tri_marker *marker, const tri_mark_view *view, tri_grey_item *top,
                                                     bool alone) {
  uint64_t marked = 0;
  for (const tri_mark_run *first = marker->runs, *run = first + marker->run_count; run > first; run--) {
    uint64_t word = run->word, white = tri_mark_take(&view->marks[word], run->bits, alone);
    if (!white) continue;
    tri_check_references(marker, word, white);
    if (tri_mark_is_leaf(view, word << TRI_MARK_WORD_LOG2)) {
      marked += white & (white - 1) ? tri_popcount(white) : 1;
      continue;
    }
    for (; white; marked++) {
      uint32_t bit = tri_last_set(white);
      white &= ~(UINT64_C(1) << bit);
      *top++ = tri_mark_offset(word, bit);
    }
  }
  marker->marked_objects += marked;
  return top;
}

// Without a branch: whether the end of a far edge is white can hardly be predicted.
// Nobody else sets marks meanwhile.
TRI_MARK_INLINE tri_grey_item *tri_marker_visit_edges_alone(tri_marker *marker, const tri_mark_view *view,
                                                            tri_grey_item *top) {
  uint64_t marked = 0;
  for (const uint64_t *first = marker->edges, *edge = first + marker->edge_count; edge > first;) {
    uint64_t offset = *--edge, *place = &view->marks[offset >> TRI_MARK_WORD_LOG2], seen = tri_load_relaxed(place);
    uint32_t bit = offset >> TRI_GRANULE_LOG2 & 63, white = ~(seen >> bit) & 1;
    tri_store_relaxed(place, seen | UINT64_C(1) << bit);
    tri_check_references(marker, offset >> TRI_MARK_WORD_LOG2, (uint64_t)white << bit);
    marked += white;
    *top = offset;
    top += white & !tri_mark_is_leaf(view, offset);
  }
  marker->marked_objects += marked;
  return top;
}

// Beside others in two passes, as a locked instruction costs more than a branch that was predicted wrong: the edges
// that seem to lead to white are kept, without a branch; then those marks are set.
static inline uint32_t tri_edges_keep_white(uint64_t *edges, uint32_t count, const uint64_t *marks) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint64_t offset = edges[i], seen = tri_load_relaxed(&marks[offset >> TRI_MARK_WORD_LOG2]);
    edges[kept] = offset;
    kept += (uint32_t) ~(seen >> (offset >> TRI_GRANULE_LOG2 & 63)) & 1;
  }
  return kept;
}

TRI_MARK_INLINE tri_grey_item *tri_marker_visit_edges_shared(tri_marker *marker, const tri_mark_view *view,
                                                             tri_grey_item *top) {
  uint64_t marked = 0, *first = marker->edges;
  uint32_t kept = tri_edges_keep_white(first, marker->edge_count, view->marks);
  for (const uint64_t *edge = first + kept; edge > first;) {
    uint64_t offset = *--edge, *place = &view->marks[offset >> TRI_MARK_WORD_LOG2];
    // Another may have been faster, or two edges of this batch lead here.
    uint64_t bit = UINT64_C(1) << (offset >> TRI_GRANULE_LOG2 & 63), white = !(tri_or_relaxed(place, bit) & bit);
    tri_check_references(marker, offset >> TRI_MARK_WORD_LOG2, white ? bit : 0);
    marked += white;
    *top = offset;
    top += white & !tri_mark_is_leaf(view, offset);
  }
  marker->marked_objects += marked;
  return top;
}

// Where references are doubted. A first: a slot that is not allocated may be handed out at this moment, black, and its
// mark is not to be touched. Then as tri_mark_uncertain() does.
static tri_grey_item *tri_marker_visit_doubted(tri_marker *marker, const tri_mark_view *view, tri_grey_item *top,
                                               tri_mark_run run) {
  uint64_t *place = &view->marks[run.word];
  const uint64_t *allocated = &view->confirmed_by[run.word];
  uint64_t white = tri_mark_take(place, run.bits & tri_load_ordered(allocated), false);
  if (!white) return top;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  uint64_t gone = white & ~tri_load_ordered(allocated);
  if (gone) tri_and_relaxed(place, ~gone);
  white &= ~gone;
  marker->marked_objects += tri_popcount(white);
  if (tri_mark_is_leaf(view, run.word << TRI_MARK_WORD_LOG2)) return top;
  for (; white; white &= white - 1) *top++ = tri_mark_offset(run.word, tri_first_set(white));
  return top;
}

static __attribute__((noinline)) tri_grey_item *
tri_marker_visit_with_doubts(tri_marker *marker, const tri_mark_view *view, tri_grey_item *top) {
  for (uint32_t edge = marker->edge_count; edge-- > 0;) {
    uint64_t offset = marker->edges[edge];
    tri_mark_run run = {offset >> TRI_MARK_WORD_LOG2, UINT64_C(1) << (offset >> TRI_GRANULE_LOG2 & 63)};
    top = tri_marker_visit_doubted(marker, view, top, run);
  }
  for (uint32_t run = marker->run_count; run > 0; run--)
    top = tri_marker_visit_doubted(marker, view, top, marker->runs[run]);
  return top;
}

// The ends of the edges: marks what they lead to, and pushes what was white and has references.
TRI_MARK_INLINE void tri_marker_visit(tri_marker *marker, const tri_mark_view *view, bool alone) {
  tri_marker_reserve(marker, TRI_MARK_EDGES + 2 * TRI_MARK_BATCH);
  tri_grey_item *top = marker->stack + marker->depth;
  // What is left of an array waits until what was read from it is scanned, else the stack would hold all of it; but not
  // until the stack runs dry, which would empty the pipeline. Where there are other workers a full stack is welcome.
  bool enough = alone && marker->depth >= TRI_MARK_ENOUGH_ITEMS;
  if (enough && marker->slice_count) top = tri_marker_push_slices(marker, top);
  if (__builtin_expect(view->confirmed_by != NULL, 0)) {
    top = tri_marker_visit_with_doubts(marker, view, top);
  } else {
    if (alone)
      top = tri_marker_visit_edges_alone(marker, view, top);
    else
      top = tri_marker_visit_edges_shared(marker, view, top);
    top = tri_marker_visit_runs(marker, view, top, alone);
  }
  if (marker->slice_count) top = tri_marker_push_slices(marker, top);
  marker->depth = (uint32_t)(top - marker->stack);
  marker->edge_count = marker->run_count = 0;
}

#endif
