#include "objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- Layouts ----

// A custom object: id, count, then count references.
static void model_trace(const void *object, size_t bytes, tri_visitor *visitor, void *context) {
  (void)context;
  void *const *words = object;
  uint64_t count = (uint64_t)(uintptr_t)words[1];
  for (uint64_t index = 0; index < count && 2 + index < bytes / 8; index++)
    tri_visit(visitor, __atomic_load_n(&words[2 + index], __ATOMIC_RELAXED));
}

// An owner: id, then its shadow, which outlives it.
static void model_destroy(void *object, size_t bytes, void *context) {
  (void)bytes;
  model_shared *shared = context;
  model_shadow *shadow = ((model_shadow **)object)[1];
  if (!shadow) return; // destroyed before it was filled in
  if (__atomic_fetch_add(&shadow->destroyed, 1, __ATOMIC_SEQ_CST) != 0) {
    fprintf(stderr, "model: seed %llu: object %p destroyed twice\n", (unsigned long long)shared->options.seed, object);
    abort();
  }
  __atomic_fetch_add(&shared->result.destroyed, 1, __ATOMIC_RELAXED);
}

void model_make_layouts(model_shared *shared) {
  tri_layout_description descriptions[MODEL_KINDS] = {
      [MODEL_PAIR] = {.form = TRI_LAYOUT_MASK, .prefix_words = 2, .prefix_mask = 2},
      [MODEL_NODE] = {.form = TRI_LAYOUT_MASK, .prefix_words = 6, .prefix_mask = 0x2a},
      [MODEL_WIDE] = {.form = TRI_LAYOUT_MASK, .prefix_words = 64, .prefix_mask = 2 | UINT64_C(1) << 63},
      [MODEL_ARRAY] = {.form = TRI_LAYOUT_REFERENCES},
      [MODEL_RECORDS] =
          {.form = TRI_LAYOUT_MASK, .prefix_words = 2, .prefix_mask = 2, .period_words = 3, .period_mask = 4},
      [MODEL_CUSTOM] = {.form = TRI_LAYOUT_CUSTOM, .trace = model_trace},
      [MODEL_WORDS] = {.form = TRI_LAYOUT_CONSERVATIVE},
      [MODEL_OWNER] = {.form = TRI_LAYOUT_LEAF, .destroy = model_destroy, .context = shared},
      [MODEL_OWNING_NODE] =
          {.form = TRI_LAYOUT_MASK, .prefix_words = 4, .prefix_mask = 0xc, .destroy = model_destroy, .context = shared},
      [MODEL_LEAF] = {.form = TRI_LAYOUT_LEAF},
  };
  // The same references, known to the collector.
  if (shared->options.no_custom_layouts)
    descriptions[MODEL_CUSTOM] =
        (tri_layout_description){.form = TRI_LAYOUT_MASK, .prefix_words = 2, .period_words = 1, .period_mask = 1};
  for (int kind = 0; kind < MODEL_KINDS; kind++)
    if (tri_layout_make(shared->heap, &descriptions[kind], &shared->layouts[kind]) != TRI_OK) abort();
  if (tri_type_make(shared->heap, shared->layouts[MODEL_PAIR], 16, &shared->pair) != TRI_OK) abort();
  if (tri_type_make(shared->heap, shared->layouts[MODEL_NODE], 48, &shared->node) != TRI_OK) abort();
  if (tri_type_make(shared->heap, shared->layouts[MODEL_WIDE], 512, &shared->wide) != TRI_OK) abort();
  if (tri_type_make(shared->heap, shared->layouts[MODEL_OWNING_NODE], 32, &shared->owning_node) != TRI_OK) abort();
}

// ---- Allocation ----

static void model_expect_zero(const model_thread *thread, const model_shadow *shadow) {
  const uint64_t *words = shadow->object;
  for (size_t word = 0; word < shadow->bytes / 8; word++)
    if (words[word]) model_fail(thread, "a new object is not zeroed", shadow);
}

static size_t model_run_time_bytes(model_thread *thread) {
  uint32_t dice = model_below(thread, 100);
  if (dice < 60) return 16 + model_below(thread, 240);
  if (dice < 90) return 16 + model_below(thread, 4000);
  if (dice < 98) return 16 + model_below(thread, 32768);
  return 32768 + model_below(thread, 200000);
}

static void *model_allocate_object(model_thread *thread, model_shadow *shadow) {
  model_shared *shared = thread->shared;
  tri_mutator *m = thread->mutator;
  tri_layout *layout = shared->layouts[shadow->kind];
  void *object = NULL;
  switch (shadow->kind) {
  case MODEL_PAIR:
    shadow->bytes = 16;
    shadow->edge_count = 1;
    return tri_new(m, shared->pair, 16);
  case MODEL_NODE:
    shadow->bytes = 48;
    shadow->edge_count = 3;
    return tri_new(m, shared->node, 48);
  case MODEL_WIDE:
    shadow->bytes = 512;
    shadow->edge_count = 2;
    return tri_new(m, shared->wide, 512);
  case MODEL_OWNING_NODE:
    shadow->bytes = 32;
    shadow->edge_count = 2;
    return tri_new(m, shared->owning_node, 32);
  case MODEL_OWNER: shadow->bytes = 16; return tri_alloc(m, layout, 16 + model_below(thread, 100));
  case MODEL_ARRAY:
    shadow->edge_count = model_below(thread, 200) == 0 ? 20000 : model_below(thread, 90);
    shadow->bytes = 8 * (1 + (size_t)shadow->edge_count);
    if (tri_allocate_array(m, layout, 1 + (size_t)shadow->edge_count, 8, &object) != TRI_OK) return NULL;
    return object;
  case MODEL_RECORDS:
    shadow->edge_count = 1 + model_below(thread, 60);
    shadow->bytes = 8 * (2 + 3 * ((size_t)shadow->edge_count - 1));
    return tri_alloc(m, layout, shadow->bytes);
  case MODEL_CUSTOM:
    shadow->edge_count = model_below(thread, 20);
    shadow->bytes = 8 * (2 + (size_t)shadow->edge_count);
    return tri_alloc(m, layout, shadow->bytes);
  case MODEL_WORDS:
    shadow->edge_count = 1 + model_below(thread, 8);
    shadow->bytes = 8 * (1 + (size_t)shadow->edge_count);
    return tri_alloc(m, layout, shadow->bytes);
  case MODEL_LEAF:
    shadow->bytes = model_run_time_bytes(thread);
    if (model_below(thread, 8) == 0) {
      size_t alignment = (size_t)16 << model_below(thread, 9);
      if (tri_allocate(m, layout, shadow->bytes, alignment, &object) != TRI_OK) return NULL;
      if ((uintptr_t)object % alignment) model_fail(thread, "an object is not aligned", shadow);
      return object;
    }
    return tri_alloc_leaf_uninitialized(m, shadow->bytes);
  case MODEL_KINDS: break;
  }
  abort();
}

// Between an allocation and its root slot another may collect: a handle scope holds the object in precise mode.
model_shadow *model_allocate(model_thread *thread, void **holder) {
  model_shadow *shadow = calloc(1, sizeof *shadow);
  if (!shadow) abort();
  shadow->kind = (model_kind)model_below(thread, MODEL_KINDS);
  shadow->id = thread->next_id++;
  shadow->object = model_allocate_object(thread, shadow);
  if (!shadow->object) {
    thread->result.refused++;
    free(shadow);
    return NULL;
  }
  *holder = shadow->object;
  if (shadow->kind != MODEL_LEAF) model_expect_zero(thread, shadow);
  if (shadow->kind == MODEL_LEAF) memset(shadow->object, 0xee, shadow->bytes);
  if (shadow->kind == MODEL_ARRAY) {
    void *id = tri_alloc_leaf_uninitialized(thread->mutator, 8);
    if (!id) {
      thread->result.refused++;
      *holder = NULL;
      free(shadow);
      return NULL;
    }
    *(uint64_t *)id = shadow->id;
    tri_store(thread->mutator, shadow->object, shadow->object, id);
  } else {
    *(uint64_t *)shadow->object = shadow->id;
  }
  if (shadow->kind == MODEL_CUSTOM) ((uint64_t *)shadow->object)[1] = shadow->edge_count;
  if (shadow->kind == MODEL_OWNER || shadow->kind == MODEL_OWNING_NODE) ((model_shadow **)shadow->object)[1] = shadow;
  shadow->edges = shadow->edge_count ? calloc(shadow->edge_count, sizeof *shadow->edges) : NULL;
  shadow->next = thread->all;
  thread->all = shadow;
  thread->result.allocated++;
  return shadow;
}
