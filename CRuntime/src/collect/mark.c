#include "collect/mark.h"

#include <string.h>

#include "collect/marking/batches.h"
#include "collect/marking/one_by_one.h"
#include "os/vm.h"

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

// ---- Which loop ----

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

// ---- Running ----

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
