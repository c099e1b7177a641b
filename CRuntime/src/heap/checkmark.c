#include "heap/checkmark.h"

#include "collect/ephemerons.h"
#include "os/vm.h"

typedef struct tri_checker_list {
  uintptr_t *items;
  size_t count, capacity;
} tri_checker_list;

typedef struct tri_checker {
  tri_heap *heap;
  tri_checker_list stack;    // objects reached and not yet read
  tri_checker_list deferred; // what interior and ambiguous words refer to, for the second pass
  uintptr_t referrer;        // 0: a root
  bool conservative_pass;
  uint64_t conservative_misses;
  bool failed; // memory for the lists was refused
} tri_checker;

static void tri_checker_push(tri_checker *checker, tri_checker_list *list, uintptr_t item) {
  if (list->count == list->capacity) {
    size_t grown = list->capacity ? 2 * list->capacity : 4096;
    uintptr_t *items = tri_meta_grow(&checker->heap->world.collect.spans.space.meta, list->items,
                                     list->capacity * sizeof *items, grown * sizeof *items);
    if (!items) {
      checker->failed = true;
      return;
    }
    list->items = items;
    list->capacity = grown;
  }
  list->items[list->count++] = item;
}

// Which word of the referrer holds the object; -1 if a tracer found it elsewhere, or it is the key of an ephemeron.
static long long tri_checker_slot(const tri_checker *checker, uintptr_t object) {
  const uintptr_t *words = (const uintptr_t *)checker->referrer;
  size_t count = tri_object_bytes(checker->heap, words) / sizeof *words;
  for (size_t word = 0; word < count; word++)
    if (words[word] == object) return (long long)word;
  return -1;
}

static void tri_checker_miss(tri_checker *checker, uintptr_t object) {
  if (checker->conservative_pass) {
    checker->conservative_misses++;
    return;
  }
  if (!checker->referrer) tri_fatal("checkmark: object %p was missed; a root refers to it", (void *)object);
  tri_fatal("checkmark: object %p was missed; object %p (layout %u) refers to it in slot %lld", (void *)object,
            (void *)checker->referrer, tri_object_layout(checker->heap, (void *)checker->referrer)->id,
            tri_checker_slot(checker, object));
}

static void tri_checker_reach(tri_checker *checker, uintptr_t object) {
  tri_collect *collect = &checker->heap->world.collect;
  uint64_t granule = tri_space_granule(&collect->spans.space, object);
  if (!tri_bit_set(collect->spans.space.bits.checked, granule)) return;
  if (!tri_bit_test(collect->spans.space.bits.marked, granule)) tri_checker_miss(checker, object);
  tri_checker_push(checker, &checker->stack, object);
}

static void tri_checker_word(void *context, uintptr_t word, tri_word_kind kind) {
  tri_checker *checker = context;
  const tri_spans *spans = &checker->heap->world.collect.spans;
  if (kind != TRI_WORD_PRECISE) {
    uint64_t offsets[2];
    uint32_t count = tri_word_targets(&checker->heap->world.collect, word, kind, offsets);
    for (uint32_t index = 0; index < count; index++)
      tri_checker_push(checker, &checker->deferred, spans->space.start + offsets[index]);
    return;
  }
  if ((word & spans->tag_mask) == spans->tag_value || !tri_space_contains(&spans->space, word)) return;
  tri_object_place place = tri_object_at(spans, word);
  // Garbage that is kept may refer to what was freed.
  if (place.start != word && tri_collect_doubts(&checker->heap->world.collect)) return;
  if (place.start != word)
    tri_fatal("checkmark: object %p holds %p, which is not the start of a live object", (void *)checker->referrer,
              (void *)word);
  tri_checker_reach(checker, word);
}

static void tri_checker_value(void *context, uintptr_t value) {
  tri_checker_word(context, value, TRI_WORD_PRECISE);
}

// What the empty object, which nobody reaches, is the key of.
static void tri_checker_ephemeron(void *context, uintptr_t key, uintptr_t value) {
  if (key == (uintptr_t)tri_empty_object()) tri_checker_value(context, value);
}

static void tri_checker_drain(tri_checker *checker) {
  const tri_spans *spans = &checker->heap->world.collect.spans;
  while (checker->stack.count) {
    uintptr_t object = checker->stack.items[--checker->stack.count];
    const tri_span *span = tri_span_at(spans, object);
    checker->referrer = object;
    tri_layout_each_reference(tri_span_layout(spans, span), (const void *)object, tri_span_object_bytes(span),
                              tri_checker_word, checker);
    if (tri_span_has_ties(span)) tri_ties_each_value(&checker->heap->world.collect, object, tri_checker_value, checker);
  }
  checker->referrer = 0;
}

static void tri_checker_second_pass(tri_checker *checker) {
  checker->conservative_pass = true;
  while (checker->deferred.count) {
    tri_checker_reach(checker, checker->deferred.items[--checker->deferred.count]);
    tri_checker_drain(checker);
  }
}

static void tri_checker_clear_bits(tri_checker *checker) {
  const tri_space *space = &checker->heap->world.collect.spans.space;
  tri_vm_discard(space->bits.checked, space->committed_bytes / TRI_GRANULE_BYTES / 8);
}

void tri_checkmark(tri_heap *heap) {
  tri_checker checker = {.heap = heap};
  for (tri_mutator_full *mutator = heap->world.mutators; mutator; mutator = mutator->next)
    tri_mutator_each_root(mutator, tri_checker_word, &checker);
  tri_roots_each(&heap->world.roots, tri_checker_word, &checker);
  tri_fibers_each_root(&heap->world, tri_checker_word, &checker);
  tri_ephemerons_each(&heap->world.collect, tri_checker_ephemeron, &checker);
  tri_checker_drain(&checker);
  tri_checker_second_pass(&checker);
  tri_checker_clear_bits(&checker);
  tri_meta *meta = &heap->world.collect.spans.space.meta;
  tri_meta_free(meta, checker.stack.items, checker.stack.capacity * sizeof(uintptr_t));
  tri_meta_free(meta, checker.deferred.items, checker.deferred.capacity * sizeof(uintptr_t));
  if (checker.failed) {
    tri_report("checkmark: given up, the system refused memory for it");
    return;
  }
  if (checker.conservative_misses)
    tri_report("checkmark: %llu objects are reached only through stale conservative words",
               (unsigned long long)checker.conservative_misses);
  tri_store_relaxed(&heap->checkmarks, heap->checkmarks + 1);
  tri_store_relaxed(&heap->checkmark_conservative_misses,
                    heap->checkmark_conservative_misses + checker.conservative_misses);
}
