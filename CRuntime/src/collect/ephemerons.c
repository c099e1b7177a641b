#include "collect/ephemerons.h"

#include "base/step.h"
#include "collect/mark.h"

static void tri_ephemeron_block_each(tri_ephemeron_block *block,
                                     void (*each)(void *context, uintptr_t key, uintptr_t value), void *context) {
  for (int index = 0; index < TRI_EPHEMERON_BLOCK_CELLS; index++) {
    const struct tri_ephemeron *cell = &block->cells[index];
    if (cell->key && cell->key != TRI_EPHEMERON_UNUSED) each(context, cell->key, cell->value);
  }
}

// Blocks are only added, in front: those behind the first stay what they are.
void tri_ephemerons_each(tri_collect *collect, void (*each)(void *context, uintptr_t key, uintptr_t value),
                         void *context) {
  tri_lock *lock = &collect->ties.lock;
  tri_lock_acquire(lock);
  tri_ephemeron_block *block = collect->ties.ephemeron_blocks;
  while (block) {
    tri_ephemeron_block_each(block, each, context);
    block = block->next;
    // In between others get their turn.
    tri_lock_release(lock);
    tri_lock_acquire(lock);
  }
  tri_lock_release(lock);
}

// ---- Rounds ----

typedef struct tri_ephemeron_round {
  tri_collect *collect;
  tri_grey_chunk *chunk;
  bool any;
} tri_ephemeron_round;

static bool tri_key_is_marked(const tri_collect *collect, uintptr_t key) {
  const tri_space *space = &collect->spans.space;
  if (!tri_space_contains(space, key)) return true; // the empty object
  return tri_bit_test(space->bits.marked, tri_space_granule(space, key));
}

static void tri_ephemeron_shade_one(void *context, uintptr_t key, uintptr_t value) {
  tri_ephemeron_round *round = context;
  if (tri_key_is_marked(round->collect, key)) round->any |= tri_shade(round->collect, value, &round->chunk);
}

bool tri_ephemerons_shade(tri_collect *collect) {
  TRI_CHECK(tri_phase_barrier_is_on(tri_load_relaxed(&collect->phase)), "ephemerons are looked at in phase off");
  if (tri_load_relaxed(&collect->ties.ephemerons) == 0) return false;
  tri_step(TRI_STEP_EPHEMERONS);
  // Before the look: whoever marks beside it is counted afterwards, or is seen by it. Pairs with the release of those
  // who count.
  collect->ties.marks_looked_at = tri_load_acquire(&collect->marked_objects);
  tri_ephemeron_round round = {.collect = collect};
  tri_ephemerons_each(collect, tri_ephemeron_shade_one, &round);
  if (round.chunk) tri_grey_share(&collect->grey, round.chunk);
  return round.any;
}

bool tri_ephemerons_are_settled(const tri_collect *collect) {
  return tri_load_relaxed(&collect->ties.ephemerons) == 0 ||
         collect->ties.marks_looked_at == tri_load_acquire(&collect->marked_objects);
}

void tri_ephemerons_forget(tri_collect *collect) {
  collect->ties.marks_looked_at = UINT64_MAX;
}

// ---- The slow way ----

// Objects that were reached and not yet read, leaves too: any of them may be a key.
typedef struct tri_tracer {
  tri_collect *collect;
  tri_grey_chunk *stack;
  uintptr_t read_whole; // the long object of which the last item was a part
} tri_tracer;

static void tri_tracer_push(tri_tracer *tracer, uint64_t offset) {
  if (!tracer->stack || tracer->stack->count == TRI_GREY_CHUNK_ITEMS) {
    tri_grey_chunk *chunk = tri_grey_chunk_take_empty(&tracer->collect->grey);
    if (!chunk) return; // noted: the stop scans everything marked again
    chunk->next = tracer->stack;
    tracer->stack = chunk;
  }
  tracer->stack->items[tracer->stack->count++] = offset;
}

static bool tri_tracer_pop(tri_tracer *tracer, uint64_t *out_offset) {
  tri_grey_chunk *chunk = tracer->stack;
  if (!chunk) return false;
  *out_offset = chunk->items[--chunk->count];
  if (chunk->count == 0) {
    tracer->stack = chunk->next;
    tri_grey_chunk_recycle(&tracer->collect->grey, chunk);
  }
  return true;
}

static void tri_tracer_word(void *context, uintptr_t word, tri_word_kind kind) {
  tri_tracer *tracer = context;
  uint64_t offsets[2];
  uint32_t count = 0;
  if (kind == TRI_WORD_PRECISE)
    count = tri_mark_precise(tracer->collect, word, &offsets[0]);
  else
    count = tri_mark_targets(tracer->collect, word, kind, offsets);
  for (uint32_t index = 0; index < count; index++) tri_tracer_push(tracer, offsets[index]);
}

static void tri_tracer_value(void *context, uintptr_t value) {
  tri_tracer_word(context, value, TRI_WORD_PRECISE);
}

static void tri_tracer_read(tri_tracer *tracer, uint64_t offset) {
  const tri_spans *spans = &tracer->collect->spans;
  uintptr_t object = tri_slot_at(spans, spans->space.start + offset).start;
  const tri_span *span = tri_span_at(spans, object);
  tri_layout_each_reference(tri_span_layout(spans, span), (const void *)object, tri_span_object_bytes(span),
                            tri_tracer_word, tracer);
  if (tri_span_has_ties(span)) tri_ties_each_value(tracer->collect, object, tri_tracer_value, tracer);
}

static void tri_tracer_drain(tri_tracer *tracer) {
  uint64_t offset;
  while (tri_tracer_pop(tracer, &offset)) tri_tracer_read(tracer, offset);
}

static void tri_tracer_ephemeron(void *context, uintptr_t key, uintptr_t value) {
  tri_tracer *tracer = context;
  if (tri_key_is_marked(tracer->collect, key)) tri_tracer_value(tracer, value);
}

// What is left of a long object is read as the whole of it; of its parts, which follow each other, only the first is.
static void tri_tracer_item(tri_tracer *tracer, tri_grey_item item) {
  uint64_t offset = item & ~(uint64_t)TRI_GREY_TAGS;
  if (item & TRI_GREY_PART) {
    const tri_spans *spans = &tracer->collect->spans;
    uintptr_t object = tri_slot_at(spans, spans->space.start + offset).start;
    if (object == tracer->read_whole) return;
    tracer->read_whole = object;
  }
  tri_tracer_read(tracer, offset);
  tri_tracer_drain(tracer);
}

void tri_ephemerons_trace(tri_collect *collect) {
  tri_tracer tracer = {collect, NULL, 0};
  tri_grey_worker_begin(&collect->grey);
  for (tri_grey_chunk *chunk; (chunk = tri_grey_take(&collect->grey, false));) {
    for (uint64_t index = 0; index < chunk->count; index++) tri_tracer_item(&tracer, chunk->items[index]);
    tri_grey_chunk_recycle(&collect->grey, chunk);
  }
  // A value without references was marked and is in no chunk, and may be the key of the next: a chain of such is found
  // by its first white link.
  tri_ephemerons_each(collect, tri_tracer_ephemeron, &tracer);
  tri_tracer_drain(&tracer);
  tri_grey_worker_end(&collect->grey);
}
