#include "collect/remember.h"

#include "base/step.h"
#include "collect/shade.h"

void tri_remember(tri_collect *collect, tri_grey_chunk **chunk, uint64_t offset) {
  tri_step(TRI_STEP_REMEMBER);
  if (*chunk && (*chunk)->count == TRI_GREY_CHUNK_ITEMS) tri_remember_share(collect, chunk);
  if (!*chunk) *chunk = tri_grey_chunk_take_empty(&collect->grey);
  // Refused: the object stays old, and the stop of the next cycle scans everything marked (tri_mark_recover).
  if (!*chunk) return;
  (*chunk)->items[(*chunk)->count++] = offset;
  tri_bit_clear(collect->spans.space.bits.marked, offset >> TRI_GRANULE_LOG2);
}

void tri_remember_share(tri_collect *collect, tri_grey_chunk **chunk) {
  if (!*chunk) return;
  tri_lock_acquire(&collect->grey.lock);
  (*chunk)->next = collect->remembered;
  tri_store_release(&collect->remembered, *chunk);
  tri_lock_release(&collect->grey.lock);
  *chunk = NULL;
}

static tri_grey_chunk *tri_remembered_take_all(tri_collect *collect) {
  if (!tri_load_acquire(&collect->remembered)) return NULL;
  tri_lock_acquire(&collect->grey.lock);
  tri_grey_chunk *chunks = collect->remembered;
  tri_store_relaxed(&collect->remembered, NULL);
  tri_lock_release(&collect->grey.lock);
  return chunks;
}

void tri_remembered_shade(tri_collect *collect) {
  tri_grey_chunk *grey = NULL;
  for (tri_grey_chunk *chunk = tri_remembered_take_all(collect), *next; chunk; chunk = next) {
    next = chunk->next;
    for (uint64_t index = 0; index < chunk->count; index++) {
      uintptr_t address = collect->spans.space.start + chunk->items[index];
      // Freed explicitly since it was written down, its slot may wait in a window, which is black by now and stays
      // unscanned; be another object; or be gone.
      if (tri_object_at(&collect->spans, address).start == address) tri_shade(collect, address, &grey);
    }
    tri_grey_chunk_recycle(&collect->grey, chunk);
  }
  if (grey) tri_grey_share(&collect->grey, grey);
}

// Beside mutators, which clear bits too and may free a large object: its entry of the span table is then another span's
// or nobody's, and clearing the first word of that does no harm.
static void tri_marks_clear(tri_collect *collect, const tri_span *span, tri_span_state state) {
  const tri_space *space = &collect->spans.space;
  uint64_t first = tri_space_granule(space, tri_load_relaxed(&span->start)) >> 6;
  uint64_t words = state == TRI_SPAN_LARGE ? 1 : tri_span_bitmap_words(span);
  for (uint64_t word = first; word < first + words; word++)
    if (tri_load_relaxed(&space->bits.marked[word])) tri_store_relaxed(&space->bits.marked[word], (uint64_t)0);
}

void tri_remembered_discard(tri_collect *collect) {
  for (tri_grey_chunk *chunk = tri_remembered_take_all(collect), *next; chunk; chunk = next) {
    next = chunk->next;
    tri_grey_chunk_recycle(&collect->grey, chunk);
  }
}

void tri_marks_forget(tri_collect *collect) {
  tri_assert_phase(collect, TRI_PHASE_OFF);
  TRI_CHECK(!tri_load_relaxed(&collect->sweep.running), "marks are forgotten before the sweep that needs them is over");
  const tri_spans *spans = &collect->spans;
  uint32_t end = tri_span_index_end(spans);
  for (uint32_t index = 0; index < end; index++) {
    const tri_span *span = tri_span_by_index(spans, index);
    tri_span_state state = tri_load_acquire(&span->state);
    if (state != TRI_SPAN_FREE) tri_marks_clear(collect, span, state);
  }
}
