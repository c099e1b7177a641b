#include "collect/mark.h"

#include <string.h>

#include "base/callback.h"
#include "base/step.h"
#include "os/vm.h"

#define TRI_MARK_INLINE static inline __attribute__((always_inline))

bool tri_marker_init(tri_marker *marker, tri_collect *collect) {
  memset(marker, 0, sizeof *marker);
  marker->collect = collect;
  marker->stack = tri_meta_allocate(&collect->spans.space.meta, TRI_MARK_STACK_ITEMS * sizeof *marker->stack);
  marker->edges = tri_meta_allocate(&collect->spans.space.meta, TRI_MARK_EDGES * sizeof *marker->edges);
  marker->runs = tri_meta_allocate(&collect->spans.space.meta, (TRI_MARK_EDGES + 1) * sizeof *marker->runs);
  if (marker->stack && marker->edges && marker->runs) return true;
  tri_marker_destroy(marker);
  return false;
}

void tri_marker_destroy(tri_marker *marker) {
  tri_meta *meta = &marker->collect->spans.space.meta;
  tri_meta_free(meta, marker->stack, TRI_MARK_STACK_ITEMS * sizeof *marker->stack);
  tri_meta_free(meta, marker->edges, TRI_MARK_EDGES * sizeof *marker->edges);
  tri_meta_free(meta, marker->runs, (TRI_MARK_EDGES + 1) * sizeof *marker->runs);
  marker->stack = NULL;
  marker->edges = NULL;
  marker->runs = NULL;
}

// ---- The marker ----

// Everything the inner loops read, in registers.
typedef struct tri_mark_view {
  uintptr_t start;
  uint64_t limit;
  uint64_t *marks;
  const uint64_t *confirmed_by; // A, where references are doubted; else NULL
  const tri_layout_entry *layout_map;
  const uint64_t *scan_masks;
  uint64_t tag_mask, tag_value;
  bool mostly_marked; // a minor cycle: what arrays lead to is old, nearly all of it
} tri_mark_view;

static inline tri_mark_view tri_mark_view_of(const tri_collect *collect) {
  const tri_spans *spans = &collect->spans;
  return (tri_mark_view){
      .start = spans->space.start,
      .limit = tri_load_acquire(&collect->mark_limit_bytes),
      .marks = spans->space.bits.marked,
      .confirmed_by = tri_collect_doubts(collect) ? spans->space.bits.allocated : NULL,
      .layout_map = spans->space.layout_map,
      .scan_masks = spans->scan_masks,
      .tag_mask = spans->tag_mask,
      .tag_value = spans->tag_value,
      .mostly_marked = tri_load_relaxed(&collect->minor) != 0,
  };
}

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

// ---- Edges: from a reference read to its mark ----

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

// How a piece of the graph is read: constants where they are used, for each combination is a loop of its own.
typedef struct tri_mark_way {
  bool alone;  // no other worker: marks are set without locked instructions
  bool tagged; // the heap has immediates
  bool near;   // references that follow each other lead to neighbours
  bool votes;  // of objects that are scanned one by one it is counted how many are neighbours
} tri_mark_way;

// Whether a reference leads to what this cycle may have to mark, and where.
TRI_MARK_INLINE bool tri_edge_offset(const tri_mark_view *view, uintptr_t reference, bool tagged,
                                     uint64_t *out_offset) {
  *out_offset = reference - view->start;
  return *out_offset < view->limit && !(tagged && (reference & view->tag_mask) == view->tag_value);
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

static inline uint64_t tri_mark_offset(uint64_t word, uint32_t bit) {
  return word << TRI_MARK_WORD_LOG2 | (uint64_t)bit << TRI_GRANULE_LOG2;
}

static void tri_check_references(const tri_marker *marker, uint64_t word, uint64_t bits) {
  if (!TRI_CHECKS) return;
  for (; bits; bits &= bits - 1) tri_check_reference(marker->collect, tri_mark_offset(word, tri_first_set(bits)));
}

// True of everything that a word of M covers, too: that is 1 KiB, which lies in one block.
static inline bool tri_mark_is_leaf(const tri_mark_view *view, uint64_t offset) {
  return tri_load_relaxed(&view->layout_map[offset >> TRI_BLOCK_LOG2]) & TRI_ENTRY_LEAF;
}

static __attribute__((noinline)) tri_grey_item *tri_marker_push_slices(tri_marker *marker, tri_grey_item *top) {
  memcpy(top, marker->slices, marker->slice_count * sizeof *top);
  top += marker->slice_count;
  marker->slice_count = 0;
  return top;
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

// ---- Scanning: from an object to its edges ----

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

// All references of an object; 0 where it takes the long way. Of what is scanned in slices, too, so that tags need no
// test of their own.
TRI_MARK_INLINE uint64_t tri_mark_scan_mask(const tri_mark_view *view, tri_grey_item item) {
  uint64_t mask = view->scan_masks[tri_load_relaxed(&view->layout_map[item >> TRI_BLOCK_LOG2]) & TRI_ENTRY_CLASS];
  TRI_ASSERT(!(item & TRI_GREY_TAGS) || !mask);
  return mask;
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

// ---- Running ----

static inline void tri_mark_prefetch(const tri_mark_view *view, uint64_t offset) {
  __builtin_prefetch((const void *)(view->start + offset));
}

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

// In a branch that the compiler is not to turn into a computation.
static inline void tri_keep_branch(void) {
  __asm__ volatile("");
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
// layout, white, no leaf) is asked by branches, so that the processor runs ahead: on a tree 1.4 times a plain loop's
// time; computed, 1.9; in batches 2.6.
TRI_MARK_INLINE uint64_t tri_marker_run_plain(tri_marker *marker, const tri_mark_view *view, uint64_t budget_objects,
                                              tri_mark_way way) {
  enum { PUSHED_MAX = 64 }; // by an object: a mask's bits
  (void)budget_objects;     // whose end so many may miss
  tri_step(TRI_STEP_MARK_PLAIN);
  tri_marker_reserve(marker, PUSHED_MAX);
  uint32_t room = (TRI_MARK_STACK_ITEMS - marker->depth) / PUSHED_MAX;
  uint32_t objects = room < TRI_MARK_PLAIN_OBJECTS ? room : TRI_MARK_PLAIN_OBJECTS, left = objects;
  uint32_t last_entry = UINT32_MAX, neighbours = 0;
  uint64_t last_item = 0, mask = 0, marked = 0;
  tri_grey_item *bottom = marker->stack, *top = bottom + marker->depth;
  for (; top > bottom && left; left--) {
    tri_grey_item item = *--top;
    if (way.votes) {
      neighbours += (item ^ last_item) >> TRI_MARK_WORD_LOG2 == 0;
      last_item = item;
    }
    uint32_t entry = tri_load_relaxed(&view->layout_map[item >> TRI_BLOCK_LOG2]);
    if (entry != last_entry) {
      mask = tri_mark_scan_mask(view, item);
      if (!mask) {
        top++;
        break;
      }
      tri_keep_branch();
      last_entry = entry;
    }
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
      marked++;
      if (tri_mark_is_leaf(view, offset)) continue;
      tri_keep_branch();
      *top++ = offset;
      tri_mark_prefetch(view, offset);
    } while (rest &= rest - 1);
  }
  marker->depth = (uint32_t)(top - bottom);
  marker->marked_objects += marked;
  tri_marker_note_plain(marker, objects - left, neighbours, way.votes);
  bool at_long = left && top > bottom;
  if (at_long) tri_marker_run_one_alone(marker, view);
  return objects - left + at_long;
}

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

typedef uint64_t tri_marker_loop(tri_marker *marker, const tri_mark_view *view, uint64_t budget_objects);

// Each with a copy of the view, whose address nobody else knows: it stays in registers.
#define TRI_MARKER_LOOP(name, function, ...)                                                                           \
  static uint64_t name(tri_marker *marker, const tri_mark_view *shared_view, uint64_t budget_objects) {                \
    const tri_mark_view view = *shared_view;                                                                           \
    return function(marker, &view, budget_objects, (tri_mark_way){__VA_ARGS__});                                       \
  }
TRI_MARKER_LOOP(tri_marker_far, tri_marker_run_batches, .alone = false)
TRI_MARKER_LOOP(tri_marker_far_tagged, tri_marker_run_batches, .tagged = true)
TRI_MARKER_LOOP(tri_marker_far_alone, tri_marker_run_batches, .alone = true)
TRI_MARKER_LOOP(tri_marker_far_alone_tagged, tri_marker_run_batches, .alone = true, .tagged = true)
TRI_MARKER_LOOP(tri_marker_near, tri_marker_run_batches, .near = true)
TRI_MARKER_LOOP(tri_marker_near_tagged, tri_marker_run_batches, .near = true, .tagged = true)
TRI_MARKER_LOOP(tri_marker_near_alone, tri_marker_run_batches, .near = true, .alone = true)
TRI_MARKER_LOOP(tri_marker_near_alone_tagged, tri_marker_run_batches, .near = true, .alone = true, .tagged = true)
TRI_MARKER_LOOP(tri_marker_plain, tri_marker_run_plain, .alone = true)
TRI_MARKER_LOOP(tri_marker_plain_tagged, tri_marker_run_plain, .alone = true, .tagged = true)
TRI_MARKER_LOOP(tri_marker_plain_votes, tri_marker_run_plain, .alone = true, .votes = true)
TRI_MARKER_LOOP(tri_marker_plain_votes_tagged, tri_marker_run_plain, .alone = true, .votes = true, .tagged = true)
TRI_MARKER_LOOP(tri_marker_shallow, tri_marker_run_shallow, .tagged = true)
TRI_MARKER_LOOP(tri_marker_shallow_alone, tri_marker_run_shallow, .alone = true, .tagged = true)

// Long objects, of which each one is much work, are better off in batches.
static bool tri_marker_is_among_long(const tri_marker *marker, const tri_mark_view *view) {
  const tri_grey_item *top = marker->stack + marker->depth;
  return !tri_mark_scan_mask(view, top[-1]) && !tri_mark_scan_mask(view, top[-2]);
}

// Scans some, in the way that fits what is there.
static uint64_t tri_marker_run_some(tri_marker *marker, const tri_mark_view *view, uint64_t budget_objects,
                                    bool alone) {
  // By: near, votes; alone; tagged.
  static tri_marker_loop *const batches[2][2][2] = {
      {{tri_marker_far, tri_marker_far_tagged}, {tri_marker_far_alone, tri_marker_far_alone_tagged}},
      {{tri_marker_near, tri_marker_near_tagged}, {tri_marker_near_alone, tri_marker_near_alone_tagged}},
  };
  static tri_marker_loop *const shallow[2] = {tri_marker_shallow, tri_marker_shallow_alone};
  static tri_marker_loop *const plain[2][2] = {
      {tri_marker_plain, tri_marker_plain_tagged},
      {tri_marker_plain_votes, tri_marker_plain_votes_tagged},
  };
  bool tagged = view->tag_mask != 0;
  if (marker->depth < TRI_MARK_SHALLOW_ITEMS) return shallow[alone](marker, view, budget_objects);
  if (marker->near && alone && !view->confirmed_by && !tri_marker_is_among_long(marker, view))
    return plain[marker->plain_until_vote == 0][tagged](marker, view, budget_objects);
  return batches[marker->near][alone][tagged](marker, view, budget_objects);
}

static uint64_t tri_marker_run_as(tri_marker *marker, uint64_t budget_objects, bool wait, bool alone,
                                  tri_mark_pace *pace) {
  const tri_mark_view view = tri_mark_view_of(marker->collect);
  uint64_t scanned = 0;
  while (scanned < budget_objects) {
    if (marker->depth == 0) {
      tri_grey_chunk *chunk = tri_grey_take(&marker->collect->grey, wait);
      if (!chunk) break;
      tri_marker_take_chunk(marker, chunk);
    }
    tri_step(TRI_STEP_MARK_BATCH);
    uint64_t portion = budget_objects - scanned;
    if (pace && portion > pace->portion_objects) portion = pace->portion_objects;
    uint64_t done = tri_marker_run_some(marker, &view, portion, alone);
    scanned += done;
    if (pace && !pace->goes_on(pace, done)) break;
  }
  tri_marker_share_all(marker);
  tri_add_release(&marker->collect->marked_objects, marker->marked_objects);
  marker->marked_objects = 0;
  return scanned;
}

uint64_t tri_marker_run(tri_marker *marker, uint64_t budget_objects, bool wait) {
  return tri_marker_run_as(marker, budget_objects, wait, false, NULL);
}

uint64_t tri_marker_run_paced(tri_marker *marker, uint64_t budget_objects, bool wait, tri_mark_pace *pace) {
  return tri_marker_run_as(marker, budget_objects, wait, false, pace);
}

static void tri_marker_check_alone(const tri_marker *marker) {
  uint32_t workers = tri_load_relaxed(&marker->collect->grey.workers);
  tri_assert_phase(marker->collect, TRI_PHASE_MARK_TERMINATION);
  TRI_CHECK(workers == 1, "phase markTermination: a worker that marks alone is one of %u", workers);
}

uint64_t tri_marker_run_alone(tri_marker *marker, uint64_t budget_objects) {
  tri_marker_check_alone(marker);
  uint64_t scanned = tri_marker_run_as(marker, budget_objects, false, true, NULL);
  tri_marker_check_alone(marker);
  return scanned;
}

// ---- Out of memory for grey objects ----

static void tri_recover_span(tri_marker *marker, const tri_span *span) {
  const tri_space *space = &marker->collect->spans.space;
  uint64_t bytes = tri_span_object_bytes(span);
  for (uint32_t slot = 0; slot < span->slots; slot++) {
    uintptr_t object = span->start + slot * bytes;
    uint64_t granule = tri_space_granule(space, object);
    if (!tri_bit_test(space->bits.marked, granule)) continue;
    marker->stack[marker->depth++] = object - space->start;
    // In small portions: a full stack would have to spill, which is what failed.
    if (marker->depth >= TRI_MARK_BATCH) tri_marker_run(marker, UINT64_MAX, false);
  }
}

void tri_mark_recover(tri_marker *marker) {
  tri_collect *collect = marker->collect;
  const tri_spans *spans = &collect->spans;
  uint64_t indices = collect->mark_limit_bytes >> (TRI_PAGE_LOG2 + TRI_SPAN_INDEX_PAGES_LOG2);
  while (tri_grey_has_overflowed(&collect->grey)) {
    tri_store_relaxed(&collect->grey.overflowed, 0u);
    for (uint64_t index = 0; index < indices; index++) {
      const tri_span *span = tri_span_by_index(spans, (uint32_t)index);
      if (tri_load_acquire(&span->state) == TRI_SPAN_FREE) continue;
      if (!tri_layout_is_leaf(tri_span_layout(spans, span))) tri_recover_span(marker, span);
    }
    tri_marker_run(marker, UINT64_MAX, false);
  }
}

// ---- The simple way ----

void tri_layout_each_reference(const struct tri_layout *layout, const void *object, uint64_t bytes, tri_each_word *each,
                               void *context) {
  const tri_layout_description *description = &layout->description;
  const uintptr_t *slots = object;
  if (tri_layout_is_leaf(layout)) return;
  if (description->form == TRI_LAYOUT_CUSTOM) {
    tri_visitor visitor = {.each = each, .context = context};
    description->trace(object, bytes, &visitor, description->context);
    return;
  }
  bool conservative = description->form == TRI_LAYOUT_CONSERVATIVE;
  for (uint64_t word = 0; word < bytes / 8; word++)
    if (conservative || (tri_layout_mask_at(description, word) & 1))
      each(context, tri_load_relaxed(&slots[word]), conservative ? TRI_WORD_INTERIOR : TRI_WORD_PRECISE);
}
