#include "heap/verify.h"

#include "collect/ephemerons.h"
#include "os/vm.h"

// ---- Windows: every waiting slot once. Uses the checked map, which is clear outside of checkmark. ----

static void tri_verify_window(void *context, const struct tri_window *window) {
  const tri_collect *collect = context;
  const tri_space *space = &collect->spans.space;
  for (uint64_t left = tri_window_waiting(window); left; left &= left - 1) {
    uintptr_t slot = window->base + (uint64_t)tri_first_set(left) * window->slot_bytes;
    uint64_t granule = tri_space_granule(space, slot);
    TRI_CHECK(tri_bit_test(space->bits.allocated, granule), "slot %p waits in a window and is not allocated",
              (void *)slot);
    TRI_CHECK(!tri_bit_test(space->bits.freed, granule), "slot %p waits in a window and is freed as well",
              (void *)slot);
    TRI_CHECK(tri_bit_set(space->bits.checked, granule), "slot %p waits in two windows", (void *)slot);
    bool marking = tri_phase_barrier_is_on(tri_load_relaxed(&collect->phase));
    TRI_CHECK(!marking || tri_bit_test(space->bits.marked, granule), "slot %p waits in a window and is white",
              (void *)slot);
  }
}

static void tri_verify_windows(tri_heap *heap) {
  for (const tri_mutator_full *mutator = heap->world.mutators; mutator; mutator = mutator->next)
    tri_mutator_each_window(mutator, tri_verify_window, &heap->world.collect);
  tri_spans_each_orphan(&heap->world.collect.spans, tri_verify_window, &heap->world.collect);
}

// ---- Spans ----

static void tri_verify_bits_clear(const tri_collect *collect, uint64_t page) {
  const tri_bitmaps *bits = &collect->spans.space.bits;
  const uint64_t words = TRI_PAGE_BYTES / TRI_GRANULE_BYTES / 64;
  bool sweeping = tri_sweep_is_running(collect);
  for (uint64_t word = page * words; word < (page + 1) * words; word++)
    TRI_CHECK(bits->allocated[word] == 0 && bits->freed[word] == 0 && (sweeping || bits->marked[word] == 0),
              "free page %llu has bits set", (unsigned long long)page);
}

typedef struct tri_verify_edge {
  const tri_collect *collect;
  uintptr_t object;
} tri_verify_edge;

static void tri_verify_reference(void *context, uintptr_t word, tri_word_kind kind) {
  const tri_verify_edge *edge = context;
  const tri_spans *spans = &edge->collect->spans;
  if (kind != TRI_WORD_PRECISE || (word & spans->tag_mask) == spans->tag_value ||
      !tri_space_contains(&spans->space, word))
    return;
  uint64_t granule = tri_space_granule(&spans->space, word);
  // Garbage that is kept may refer to what was freed.
  if (tri_collect_doubts(edge->collect) && !tri_bit_test(spans->space.bits.allocated, granule)) return;
  TRI_CHECK(tri_slot_at(spans, word).start == word && tri_bit_test(spans->space.bits.allocated, granule),
            "object %p refers to %p, which is not the start of a live object", (void *)edge->object, (void *)word);
  // A minor cycle scans no old object: garbage among them may refer to what was freed and is another object by now.
  if (tri_collect_doubts(edge->collect) && tri_load_relaxed(&edge->collect->minor)) return;
  // What was freed explicitly while marking may still be referred to by garbage that floats through this cycle.
  TRI_CHECK(tri_bit_test(spans->space.bits.marked, granule) || tri_bit_test(spans->space.bits.freed, granule),
            "black object %p refers to white object %p", (void *)edge->object, (void *)word);
}

static void tri_verify_objects(const tri_collect *collect, const tri_span *span, bool marked) {
  const tri_space *space = &collect->spans.space;
  const struct tri_layout *layout = tri_span_layout(&collect->spans, span);
  uint64_t bytes = tri_span_object_bytes(span);
  uint32_t starts = 0;
  for (uint32_t slot = 0; slot < span->slots; slot++) {
    uintptr_t object = span->start + slot * bytes;
    uint64_t granule = tri_space_granule(space, object);
    bool allocated = tri_bit_test(space->bits.allocated, granule);
    starts += allocated;
    TRI_CHECK(allocated || !marked || !tri_bit_test(space->bits.marked, granule),
              "object %p is marked and not allocated", (void *)object);
    // Slots in windows hold old contents. Only after a mark are the others known to be reachable.
    if (!allocated || !marked || tri_bit_test(space->bits.checked, granule)) continue;
    if (!tri_bit_test(space->bits.marked, granule) || tri_bit_test(space->bits.freed, granule)) continue;
    tri_verify_edge edge = {collect, object};
    tri_layout_each_reference(layout, (const void *)object, bytes, tri_verify_reference, &edge);
  }
  if (span->state == TRI_SPAN_LARGE) return;
  uint64_t first = tri_space_granule(space, span->start) >> 6;
  uint64_t words = (uint64_t)span->page_count << (TRI_PAGE_LOG2 - TRI_GRANULE_LOG2 - 6);
  uint32_t bits = 0;
  for (uint64_t word = first; word < first + words; word++) bits += tri_popcount(space->bits.allocated[word]);
  TRI_CHECK(bits == starts, "span %u has %u allocation bits, %u of them at slot starts",
            tri_span_index(&collect->spans, span), bits, starts);
}

// Every span once, and each knows that it is there: one that was put on a list again would make a circle of it.
static void tri_verify_list(tri_spans *spans, const tri_span_class *class, uint32_t first) {
  uint64_t left = tri_load_relaxed(&spans->span_count);
  for (uint32_t at = first; at; left--) {
    const tri_span *span = tri_span_by_index(spans, at - 1);
    TRI_CHECK(left, "class %u: a list of spans with free slots leads around in a circle", class->id);
    TRI_CHECK(span->listed && span->state == TRI_SPAN_SMALL && span->class_id == class->id,
              "class %u: span %u is on a list of its spans with free slots, and says otherwise", class->id, at - 1);
    TRI_CHECK(tri_span_is_swept(spans, span), "class %u: span %u is on a list and not swept", class->id, at - 1);
    at = span->next;
  }
}

// Those of an earlier generation are void.
static void tri_verify_lists(tri_spans *spans) {
  uint32_t count = tri_load_acquire(&spans->class_count);
  for (uint32_t id = 1; id < count; id++) {
    tri_span_class *class = tri_spans_class_by_id(spans, id);
    tri_lock_acquire(&class->lock);
    bool current = class->list_generation == tri_load_relaxed(&spans->sweep_generation);
    for (int list = 0; list < TRI_FULLNESS_LISTS && current; list++)
      tri_verify_list(spans, class, class->partial[list]);
    tri_lock_release(&class->lock);
  }
}

// Ephemerons run to a fixpoint before marking ends.
static void tri_verify_ephemeron(void *context, uintptr_t key, uintptr_t value) {
  const tri_space *space = &((const tri_collect *)context)->spans.space;
  if (!tri_space_contains(space, value)) return;
  if (tri_space_contains(space, key) && !tri_bit_test(space->bits.marked, tri_space_granule(space, key))) return;
  TRI_CHECK(tri_bit_test(space->bits.marked, tri_space_granule(space, value)),
            "the key %p of an ephemeron is marked, its value %p is not", (void *)key, (void *)value);
}

// Outside of marking nothing is grey.
static void tri_verify_nothing_grey(tri_heap *heap) {
  TRI_CHECK(tri_grey_is_empty(&heap->world.collect.grey), "phase off: a chunk of grey objects is left");
  for (const tri_mutator_full *mutator = heap->world.mutators; mutator; mutator = mutator->next)
    TRI_CHECK(mutator->barrier.count == 0, "phase off: the barrier buffer of thread %llu holds %u words",
              (unsigned long long)mutator->thread_id, mutator->barrier.count);
}

void tri_verify(tri_heap *heap) {
  tri_collect *collect = &heap->world.collect;
  tri_spans *spans = &collect->spans;
  if (!tri_phase_barrier_is_on(tri_load_relaxed(&collect->phase))) tri_verify_nothing_grey(heap);
  tri_pages_check(&spans->space);
  tri_verify_windows(heap);
  tri_verify_lists(spans);
  if (!tri_sweep_is_running(collect)) tri_ties_check(collect);
  bool marked = tri_load_relaxed(&collect->phase) == TRI_PHASE_MARK_TERMINATION;
  uint64_t pages = spans->space.committed_bytes >> TRI_PAGE_LOG2, span_count = 0;
  for (uint64_t page = 0; page < pages;) {
    uint32_t entry = tri_load_relaxed(&spans->space.page_map[page]);
    if (entry == 0) {
      tri_verify_bits_clear(collect, page++);
      continue;
    }
    const tri_span *span = tri_span_by_index(spans, entry - 1);
    TRI_CHECK(tri_span_first_page(spans, span) == page, "page %llu leads to span %u, which starts elsewhere",
              (unsigned long long)page, entry - 1);
    tri_span_check(spans, span);
    tri_verify_objects(collect, span, marked);
    page += span->page_count;
    span_count++;
  }
  TRI_CHECK(span_count == tri_load_relaxed(&spans->span_count), "%llu spans found, %llu counted",
            (unsigned long long)span_count, (unsigned long long)spans->span_count);
  if (marked) tri_ephemerons_each(collect, tri_verify_ephemeron, collect);
  tri_vm_discard(spans->space.bits.checked, spans->space.committed_bytes / TRI_GRANULE_BYTES / 8);
}
