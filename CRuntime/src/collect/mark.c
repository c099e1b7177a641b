#include "collect/mark.h"

#include <string.h>

#include "base/step.h"
#include "os/vm.h"

bool tri_marker_init(tri_marker *marker, tri_collect *collect) {
  memset(marker, 0, sizeof *marker);
  marker->collect = collect;
  marker->stack = tri_meta_allocate(&collect->spans.space.meta, TRI_MARK_STACK_ITEMS * sizeof *marker->stack);
  marker->edges = tri_meta_allocate(&collect->spans.space.meta, TRI_MARK_EDGES * sizeof *marker->edges);
  if (marker->stack && marker->edges) return true;
  tri_marker_destroy(marker);
  return false;
}

void tri_marker_destroy(tri_marker *marker) {
  tri_meta *meta = &marker->collect->spans.space.meta;
  tri_meta_free(meta, marker->stack, TRI_MARK_STACK_ITEMS * sizeof *marker->stack);
  tri_meta_free(meta, marker->edges, TRI_MARK_EDGES * sizeof *marker->edges);
  marker->stack = NULL;
  marker->edges = NULL;
}

// ---- Shading from outside a marker: roots, barriers, tracers ----

static void tri_chunk_push(tri_collect *collect, tri_grey_chunk **chunk, tri_grey_item item) {
  if (*chunk && (*chunk)->count == TRI_GREY_CHUNK_ITEMS) {
    tri_grey_share(&collect->grey, *chunk);
    *chunk = NULL;
  }
  if (!*chunk) *chunk = tri_grey_chunk_take_empty(&collect->grey);
  if (!*chunk) return;
  (*chunk)->items[(*chunk)->count++] = item;
}

static bool tri_shade_offset(tri_collect *collect, uint64_t offset, tri_grey_chunk **chunk) {
  const tri_space *space = &collect->spans.space;
  if (!tri_bit_set(space->bits.marked, offset >> TRI_GRANULE_LOG2)) return false;
  if (!(tri_load_relaxed(&space->layout_map[offset >> TRI_BLOCK_LOG2]) & TRI_ENTRY_LEAF))
    tri_chunk_push(collect, chunk, offset);
  tri_add_relaxed(&collect->marked_objects, 1u);
  return true;
}

static void tri_check_reference(const tri_collect *collect, uint64_t offset) {
  if (!TRI_CHECKS) return;
  const tri_space *space = &collect->spans.space;
  tri_object_place place = tri_slot_at(&collect->spans, space->start + offset);
  // An object freed explicitly while marking may still be in a barrier buffer; it stays allocated until the swap.
  TRI_CHECK(place.start == space->start + offset && tri_bit_test(space->bits.allocated, offset >> TRI_GRANULE_LOG2),
            "a reference slot holds %p, which is not the start of a live object of this heap",
            (void *)(collect->spans.space.start + offset));
}

bool tri_shade(tri_collect *collect, uintptr_t word, tri_grey_chunk **chunk) {
  if ((word & collect->spans.tag_mask) == collect->spans.tag_value) return false;
  uint64_t offset = word - collect->spans.space.start;
  if (offset >= tri_load_acquire(&collect->spans.space.committed_bytes)) return false;
  tri_check_reference(collect, offset);
  return tri_shade_offset(collect, offset, chunk);
}

static bool tri_object_start_offset(const tri_collect *collect, uintptr_t word, uint64_t *out_offset) {
  tri_object_place place = tri_object_at(&collect->spans, word);
  if (!place.start) return false;
  *out_offset = place.start - collect->spans.space.start;
  return true;
}

uint32_t tri_word_targets(const tri_collect *collect, uintptr_t word, tri_word_kind kind, uint64_t out_offsets[2]) {
  uint32_t count = 0;
  if (tri_object_start_offset(collect, word, &out_offsets[count])) count++;
  bool boundary = count == 0 || collect->spans.space.start + out_offsets[0] == word;
  if (kind == TRI_WORD_AMBIGUOUS && boundary && tri_object_start_offset(collect, word - 1, &out_offsets[count]))
    count++;
  return count;
}

void tri_shade_word(tri_collect *collect, uintptr_t word, tri_word_kind kind, tri_grey_chunk **chunk) {
  if (kind == TRI_WORD_PRECISE) {
    tri_shade(collect, word, chunk);
    return;
  }
  uint64_t offsets[2];
  uint32_t count = tri_word_targets(collect, word, kind, offsets);
  for (uint32_t index = 0; index < count; index++) tri_shade_offset(collect, offsets[index], chunk);
}

void tri_visit(tri_visitor *visitor, const void *reference) {
  if (visitor->each)
    visitor->each(visitor->context, (uintptr_t)reference, TRI_WORD_PRECISE);
  else
    tri_shade(visitor->collect, (uintptr_t)reference, visitor->chunk);
}

void tri_visit_conservative(tri_visitor *visitor, const void *word) {
  if (visitor->each)
    visitor->each(visitor->context, (uintptr_t)word, TRI_WORD_INTERIOR);
  else
    tri_shade_word(visitor->collect, (uintptr_t)word, TRI_WORD_INTERIOR, visitor->chunk);
}

// ---- The marker ----

// Everything the inner loops read, in registers.
typedef struct tri_mark_view {
  uintptr_t start;
  uint64_t limit;
  uint64_t *marks;
  const tri_layout_entry *layout_map;
  const uint64_t *scan_masks;
  uint64_t tag_mask, tag_value;
} tri_mark_view;

static inline tri_mark_view tri_mark_view_of(const tri_collect *collect) {
  const tri_spans *spans = &collect->spans;
  tri_mark_view view = {spans->space.start,       tri_load_acquire(&collect->mark_limit_bytes),
                        spans->space.bits.marked, spans->space.layout_map,
                        spans->scan_masks,        spans->tag_mask,
                        spans->tag_value};
  return view;
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

// An edge read from an object: remember it and fetch its mark word.
static inline void tri_marker_edge(const tri_mark_view *view, uint64_t *edges, uint32_t *count, uintptr_t word) {
  uint64_t offset = word - view->start;
  if (offset >= view->limit || (word & view->tag_mask) == view->tag_value) return;
  __builtin_prefetch(&view->marks[offset >> (TRI_GRANULE_LOG2 + 6)], 1);
  edges[(*count)++] = offset;
}

static inline void tri_marker_push(const tri_mark_view *view, tri_marker *marker, uint64_t offset) {
  if (TRI_CHECKS) tri_check_reference(marker->collect, offset);
  if (tri_load_relaxed(&view->layout_map[offset >> TRI_BLOCK_LOG2]) & TRI_ENTRY_LEAF) return;
  marker->stack[marker->depth++] = offset;
}

// The end of an edge: mark what it leads to, and push that if it was white and has references. A branch on the
// mark, not arithmetic: on lists the branch predictor runs ahead where a computed push could not.
static inline void tri_marker_visit(const tri_mark_view *view, tri_marker *marker, uint64_t offset) {
  if (!tri_bit_set(view->marks, offset >> TRI_GRANULE_LOG2)) return;
  marker->marked_objects++;
  tri_marker_push(view, marker, offset);
}

// The ends of a batch's edges. Neighbouring edges often lead into one mark word (a tree in allocation order, an
// array filled in a loop): they share one locked instruction, which is 40 % of marking a tree without this.
static inline void tri_marker_visit_batch(const tri_mark_view *view, tri_marker *marker) {
  const uint64_t *edges = marker->edges;
  uint32_t count = marker->edge_count;
  for (uint32_t edge = 0; edge < count;) {
    uint64_t word = edges[edge] >> (TRI_GRANULE_LOG2 + 6);
    if (edge + 1 == count || edges[edge + 1] >> (TRI_GRANULE_LOG2 + 6) != word) {
      tri_marker_visit(view, marker, edges[edge++]);
      continue;
    }
    uint64_t seen = tri_load_relaxed(&view->marks[word]), white = 0;
    uint32_t first = edge;
    do {
      white |= (UINT64_C(1) << (edges[edge] >> TRI_GRANULE_LOG2 & 63)) & ~seen;
      edge++;
    } while (edge < count && edges[edge] >> (TRI_GRANULE_LOG2 + 6) == word);
    if (!white) continue;
    white &= ~tri_or_relaxed(&view->marks[word], white);
    for (; white; first++) {
      uint64_t bit = UINT64_C(1) << (edges[first] >> TRI_GRANULE_LOG2 & 63);
      if (!(white & bit)) continue;
      white &= ~bit;
      marker->marked_objects++;
      tri_marker_push(view, marker, edges[first]);
    }
  }
}

static void tri_marker_trace_custom(tri_marker *marker, const struct tri_layout *layout,
                                    const tri_object_place *place) {
  tri_grey_chunk *chunk = NULL;
  tri_visitor visitor = {.collect = marker->collect, .chunk = &chunk};
  layout->description.trace((const void *)place->start, tri_span_object_bytes(place->span), &visitor,
                            layout->description.context);
  if (chunk) tri_grey_share(&marker->collect->grey, chunk);
}

// Objects without a one-word mask: long, conservative, custom or large. One slice of at most 64 words; the rest is
// pushed as an item of its own.
static __attribute__((noinline)) uint32_t tri_marker_scan_long(tri_marker *marker, const tri_mark_view *view,
                                                               tri_grey_item item, uint32_t count) {
  uint64_t offset = item & ~(uint64_t)TRI_GREY_TAGS;
  tri_object_place place = tri_slot_at(&marker->collect->spans, view->start + offset);
  if (!place.start) return count; // marked through a stale word after an explicit free: nothing to scan
  const struct tri_layout *layout = tri_span_layout(&marker->collect->spans, place.span);
  const tri_layout_description *description = &layout->description;
  if (tri_layout_is_leaf(layout)) return count;
  if (description->form == TRI_LAYOUT_CUSTOM) {
    tri_marker_trace_custom(marker, layout, &place);
    return count;
  }
  uint64_t words = tri_span_object_bytes(place.span) / 8;
  uint64_t first = (view->start + offset - place.start) / 8, end = first + TRI_MARK_SLICE_WORDS;
  if (end < words)
    marker->stack[marker->depth++] = (offset + TRI_MARK_SLICE_WORDS * 8) | TRI_GREY_SLICE;
  else
    end = words;
  const uintptr_t *slots = (const uintptr_t *)place.start;
  if (description->form == TRI_LAYOUT_CONSERVATIVE) {
    for (uint64_t word = first; word < end; word++)
      if (tri_object_start_offset(marker->collect, tri_load_relaxed(&slots[word]), &marker->edges[count])) count++;
    return count;
  }
  uint64_t mask = tri_layout_mask_at(description, first) & tri_low_bits((uint32_t)(end - first));
  if (mask == ~UINT64_C(0)) { // an array: no bit to look for, and nothing to push where it is empty
    for (uint64_t word = first; word < end; word++) {
      uintptr_t reference = tri_load_relaxed(&slots[word]);
      if (reference) tri_marker_edge(view, marker->edges, &count, reference);
    }
    return count;
  }
  for (; mask; mask &= mask - 1)
    tri_marker_edge(view, marker->edges, &count, tri_load_relaxed(&slots[first + tri_first_set(mask)]));
  return count;
}

static inline uint32_t tri_marker_scan(tri_marker *marker, const tri_mark_view *view, tri_grey_item item,
                                       uint32_t count) {
  uint64_t mask = 0;
  if (__builtin_expect(!(item & TRI_GREY_TAGS), 1))
    mask = view->scan_masks[tri_load_relaxed(&view->layout_map[item >> TRI_BLOCK_LOG2]) & TRI_ENTRY_CLASS];
  if (__builtin_expect(!mask, 0)) return tri_marker_scan_long(marker, view, item, count);
  const uintptr_t *slots = (const uintptr_t *)(view->start + item);
  do {
    tri_marker_edge(view, marker->edges, &count, tri_load_relaxed(&slots[tri_first_set(mask)]));
    mask &= mask - 1;
  } while (mask);
  return count;
}

// Fewer than four items: scan directly, but fetch the object before its mark word is touched, or the locked
// instruction serialises both misses.
static uint64_t tri_marker_run_shallow(tri_marker *marker, const tri_mark_view *view) {
  uint64_t scanned = 0;
  uint32_t count = marker->edge_count;
  marker->edge_count = 0;
  while (count) {
    uint64_t offset = marker->edges[--count];
    __builtin_prefetch((const void *)(view->start + offset));
    tri_marker_visit(view, marker, offset);
  }
  while (marker->depth && marker->depth < 4) {
    tri_grey_item item = marker->stack[--marker->depth];
    count = tri_marker_scan(marker, view, item, 0);
    for (uint32_t edge = 0; edge < count; edge++) __builtin_prefetch((const void *)(view->start + marker->edges[edge]));
    for (uint32_t edge = 0; edge < count; edge++) tri_marker_visit(view, marker, marker->edges[edge]);
    if (++scanned >= 256) break; // so that budgets and hungry workers are looked at on long lists
  }
  return scanned;
}

static uint64_t tri_marker_run_batch(tri_marker *marker, const tri_mark_view *view) {
  tri_grey_item batch[TRI_MARK_BATCH];
  uint32_t size = marker->depth < TRI_MARK_BATCH ? marker->depth : TRI_MARK_BATCH;
  marker->depth -= size;
  for (uint32_t i = 0; i < size; i++) {
    batch[i] = marker->stack[marker->depth + i];
    __builtin_prefetch((const void *)(view->start + batch[i]));
  }
  tri_marker_visit_batch(view, marker);
  uint32_t count = 0;
  for (uint32_t i = 0; i < size; i++) count = tri_marker_scan(marker, view, batch[i], count);
  marker->edge_count = count;
  return size;
}

uint64_t tri_marker_run(tri_marker *marker, uint64_t budget_objects, bool wait) {
  const tri_mark_view view = tri_mark_view_of(marker->collect);
  uint64_t scanned = 0;
  for (;;) {
    if (marker->depth + marker->edge_count == 0) {
      tri_grey_chunk *chunk = tri_grey_take(&marker->collect->grey, wait);
      if (!chunk) break;
      tri_marker_take_chunk(marker, chunk);
    }
    tri_step(TRI_STEP_MARK_BATCH);
    tri_marker_reserve(marker, TRI_MARK_EDGES + TRI_MARK_BATCH);
    if (marker->depth + marker->edge_count < 4)
      scanned += tri_marker_run_shallow(marker, &view);
    else
      scanned += tri_marker_run_batch(marker, &view);
    if (scanned >= budget_objects) break;
    if (marker->depth >= TRI_MARK_DONATE_ITEMS && tri_grey_wanted(&marker->collect->grey)) tri_marker_spill(marker);
  }
  for (uint32_t edge = 0; edge < marker->edge_count; edge++) tri_marker_visit(&view, marker, marker->edges[edge]);
  marker->edge_count = 0;
  tri_marker_share_all(marker);
  tri_add_relaxed(&marker->collect->marked_objects, marker->marked_objects);
  marker->marked_objects = 0;
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
      each(context, slots[word], conservative ? TRI_WORD_INTERIOR : TRI_WORD_PRECISE);
}
