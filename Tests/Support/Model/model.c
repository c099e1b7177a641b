// The shadow graph holds, for every object, its id, its kind, its address (objects do not move) and its edges. After
// every few hundred operations the heap is walked from the roots beside the shadow: same ids, same edges, nothing
// destroyed that is reachable. Threads own disjoint graphs in one heap and hand whole graphs to each other; what they
// share without a lock is in the commons (commons.h).
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE // pthread_barrier_t
#endif
#include "model.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commons.h"
#include "random.h"
#include "tricolor.h"
#include "tricolor_testing.h"

typedef enum model_kind {
  MODEL_PAIR,        // 16 bytes: id, one reference
  MODEL_NODE,        // 48 bytes: id, three references at odd places
  MODEL_WIDE,        // 512 bytes, references in the first and the last word
  MODEL_ARRAY,       // references only; element 0 is a leaf that carries the id
  MODEL_RECORDS,     // prefix of two words, then records of three words with one reference each
  MODEL_CUSTOM,      // traced by a function
  MODEL_WORDS,       // conservative
  MODEL_OWNER,       // leaf with a destroy callback
  MODEL_OWNING_NODE, // references and a destroy callback
  MODEL_LEAF,        // any size, uninitialised
  MODEL_KINDS,
} model_kind;

typedef struct model_shadow {
  uint64_t id;
  model_kind kind;
  void *object;
  size_t bytes;
  uint32_t edge_count;
  struct model_shadow **edges;
  struct model_shadow *next; // all of this thread's
  uint32_t incoming;         // edges and root slots that lead here
  uint32_t seen;             // verification round
  uint32_t destroyed;
  bool freed;
  bool pruned;           // its edges are forgotten: nothing reaches it, or will
  bool tied;             // something hangs on it: it stays with its thread
  uint32_t cleanups;     // added and not cancelled
  uint32_t cleanups_run; // atomic
} model_shadow;

enum { MODEL_ROOTS = 128, MODEL_MAILBOXES = 8, MODEL_TIES = 48 };

// A weak reference; the shadow outlives the object.
typedef struct model_weak {
  tri_weak *weak; // NULL: none
  model_shadow *shadow;
} model_weak;

typedef struct model_ephemeron {
  tri_ephemeron *ephemeron; // NULL: none
  model_shadow *key, *value;
} model_ephemeron;

typedef struct model_cleanup {
  tri_cleanup cleanup;
  model_shadow *shadow; // NULL: none, or it is not remembered
} model_cleanup;

typedef struct model_shared {
  model_options options;
  tri_heap *heap;
  tri_layout *layouts[MODEL_KINDS];
  tri_type pair, node, wide, owning_node;
  pthread_barrier_t tables_made;
  pthread_mutex_t mail_lock;
  void *mail_words[MODEL_MAILBOXES]; // a barriered root range
  model_shadow *mail[MODEL_MAILBOXES];
  commons commons;
  pthread_mutex_t result_lock;
  model_result result;
} model_shared;

typedef struct model_thread {
  model_shared *shared;
  uint64_t random;
  tri_mutator *mutator;
  tri_handle *table_handle;
  void **table; // a reference array of the heap
  model_shadow *roots[MODEL_ROOTS];
  model_shadow *all;
  model_weak weak[MODEL_TIES];
  model_ephemeron ephemerons[MODEL_TIES];
  model_cleanup cleanups[MODEL_TIES];
  uint64_t next_id;
  uint32_t round;
  model_result result;
} model_thread;

static _Thread_local model_thread *model_current;

_Noreturn static void model_fail(const model_thread *thread, const char *what, const model_shadow *shadow) {
  fprintf(stderr, "model: seed %llu: %s (object %p, id %llu, kind %d, %u edges)\n",
          (unsigned long long)thread->shared->options.seed, what, shadow ? shadow->object : NULL,
          shadow ? (unsigned long long)shadow->id : 0, shadow ? (int)shadow->kind : -1,
          shadow ? shadow->edge_count : 0);
  abort();
}

static uint32_t model_below(model_thread *thread, uint32_t limit) {
  return random_below(&thread->random, limit);
}

// ---- Where ids and references are, by kind ----

static void **model_slot(const model_shadow *shadow, uint32_t edge) {
  void **words = shadow->object;
  switch (shadow->kind) {
  case MODEL_PAIR: return &words[1];
  case MODEL_NODE: return &words[1 + 2 * edge];
  case MODEL_WIDE: return edge ? &words[63] : &words[1];
  case MODEL_ARRAY: return &words[1 + edge];
  case MODEL_RECORDS: return edge == 0 ? &words[1] : &words[2 + 3 * (edge - 1) + 2];
  case MODEL_CUSTOM: return &words[2 + edge];
  case MODEL_WORDS: return &words[1 + edge];
  case MODEL_OWNING_NODE: return &words[2 + edge];
  case MODEL_OWNER:
  case MODEL_LEAF:
  case MODEL_KINDS: break;
  }
  abort();
}

static uint64_t *model_id_place(const model_shadow *shadow) {
  if (shadow->kind == MODEL_ARRAY) return *(uint64_t **)shadow->object;
  return shadow->object;
}

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

static void model_make_layouts(model_shared *shared) {
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
static model_shadow *model_allocate(model_thread *thread, void **holder) {
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

// ---- Edges ----

static void model_set_edge(model_shadow **place, model_shadow *value) {
  if (*place) (*place)->incoming--;
  *place = value;
  if (value) value->incoming++;
}

static void model_set_root(model_thread *thread, uint32_t slot, model_shadow *value) {
  tri_store(thread->mutator, thread->table, &thread->table[slot], value ? value->object : NULL);
  model_set_edge(&thread->roots[slot], value);
}

// A reachable object: a walk of a few random steps from a random root.
static model_shadow *model_pick(model_thread *thread) {
  model_shadow *shadow = thread->roots[model_below(thread, MODEL_ROOTS)];
  for (uint32_t steps = model_below(thread, 6); shadow && steps && shadow->edge_count; steps--) {
    model_shadow *next = shadow->edges[model_below(thread, shadow->edge_count)];
    if (!next) break;
    shadow = next;
  }
  return shadow;
}

static void model_store(model_thread *thread) {
  model_shadow *from = model_pick(thread), *to = model_below(thread, 4) ? model_pick(thread) : NULL;
  if (!from || from->edge_count == 0) return;
  uint32_t edge = model_below(thread, from->edge_count);
  void **slot = model_slot(from, edge), *value = to ? to->object : NULL;
  if (model_below(thread, 3) == 0) {
    void *old = tri_swap(thread->mutator, from->object, slot, value);
    if (old != (from->edges[edge] ? from->edges[edge]->object : NULL))
      model_fail(thread, "a swap answers another value", from);
  } else {
    tri_store(thread->mutator, from->object, slot, value);
  }
  model_set_edge(&from->edges[edge], to);
  thread->result.stores++;
}

static void model_bulk(model_thread *thread) {
  model_shadow *to = model_pick(thread);
  if (!to || to->kind != MODEL_ARRAY || to->edge_count < 4) return;
  uint32_t count = 1 + model_below(thread, to->edge_count < 100 ? to->edge_count : 100);
  uint32_t at = model_below(thread, to->edge_count - count + 1), from = model_below(thread, to->edge_count - count + 1);
  if (model_below(thread, 2)) {
    tri_clear(thread->mutator, to->object, model_slot(to, at), count);
    for (uint32_t index = 0; index < count; index++) model_set_edge(&to->edges[at + index], NULL);
    return;
  }
  tri_copy(thread->mutator, to->object, model_slot(to, at), model_slot(to, from), count);
  model_shadow **moved = malloc(count * sizeof *moved);
  if (!moved) abort();
  memcpy(moved, &to->edges[from], count * sizeof *moved);
  for (uint32_t index = 0; index < count; index++) model_set_edge(&to->edges[at + index], moved[index]);
  free(moved);
}

// ---- Explicit free: an object that only one root slot holds ----

static void model_free(model_thread *thread) {
  uint32_t slot = model_below(thread, MODEL_ROOTS);
  model_shadow *shadow = thread->roots[slot];
  if (!shadow || shadow->incoming != 1) return;
  void *id = shadow->kind == MODEL_ARRAY ? *(void **)shadow->object : NULL;
  model_set_root(thread, slot, NULL);
  for (uint32_t edge = 0; edge < shadow->edge_count; edge++) model_set_edge(&shadow->edges[edge], NULL);
  tri_free(thread->mutator, shadow->object);
  tri_free(thread->mutator, id);
  shadow->freed = true;
  shadow->edge_count = 0;
  if ((shadow->kind == MODEL_OWNER || shadow->kind == MODEL_OWNING_NODE) && shadow->destroyed != 1)
    model_fail(thread, "free did not destroy", shadow);
  thread->result.freed++;
}

// ---- Weak references, ephemerons, cleanups ----

static void model_drop_ephemeron(model_thread *thread, model_ephemeron *ephemeron) {
  tri_ephemeron_free(thread->shared->heap, ephemeron->ephemeron);
  model_set_edge(&ephemeron->value, NULL);
  ephemeron->ephemeron = NULL;
}

static void model_ephemeron_step(model_thread *thread) {
  model_ephemeron *ephemeron = &thread->ephemerons[model_below(thread, MODEL_TIES)];
  model_shadow *value = model_below(thread, 4) ? model_pick(thread) : NULL;
  void *object = value ? value->object : NULL;
  if (!ephemeron->ephemeron) {
    model_shadow *key = model_pick(thread);
    if (!key) return;
    if (tri_ephemeron_make(thread->mutator, key->object, object, &ephemeron->ephemeron) != TRI_OK) return;
    ephemeron->key = key;
    key->tied = true;
  } else if (model_below(thread, 3) == 0) {
    model_drop_ephemeron(thread, ephemeron);
    return;
  } else if (!tri_ephemeron_key(thread->mutator, ephemeron->ephemeron)) {
    return; // what is set now is not kept
  } else {
    tri_ephemeron_set_value(thread->mutator, ephemeron->ephemeron, object);
  }
  model_set_edge(&ephemeron->value, value);
  if (value) value->tied = true;
}

// The only way to an object may be the weak reference: what it reads is made a root.
static void model_weak_step(model_thread *thread) {
  model_weak *weak = &thread->weak[model_below(thread, MODEL_TIES)];
  if (!weak->weak) {
    model_shadow *shadow = model_pick(thread);
    if (!shadow || tri_weak_make(thread->mutator, shadow->object, &weak->weak) != TRI_OK) return;
    weak->shadow = shadow;
    shadow->tied = true;
    return;
  }
  void *object = tri_weak_get(thread->mutator, weak->weak);
  if (object && object != weak->shadow->object) model_fail(thread, "a weak load answers another object", weak->shadow);
  if (object && !weak->shadow->pruned && model_below(thread, 2)) {
    model_set_root(thread, model_below(thread, MODEL_ROOTS), weak->shadow);
    thread->result.rescued++;
  } else if (model_below(thread, 3) == 0) {
    tri_weak_free(thread->shared->heap, weak->weak);
    weak->weak = NULL;
  }
}

static void model_cleanup_run(void *context) {
  model_shadow *shadow = context;
  __atomic_fetch_add(&shadow->cleanups_run, 1, __ATOMIC_SEQ_CST);
}

static void model_cleanup_step(model_thread *thread) {
  model_cleanup *cleanup = &thread->cleanups[model_below(thread, MODEL_TIES)];
  if (cleanup->shadow && model_below(thread, 2)) {
    if (tri_cleanup_cancel(thread->shared->heap, cleanup->cleanup)) cleanup->shadow->cleanups--;
    if (tri_cleanup_cancel(thread->shared->heap, cleanup->cleanup))
      model_fail(thread, "a cleanup is cancelled twice", cleanup->shadow);
    cleanup->shadow = NULL;
    return;
  }
  model_shadow *shadow = model_pick(thread);
  if (!shadow) return;
  if (tri_cleanup_add(thread->mutator, shadow->object, model_cleanup_run, shadow, &cleanup->cleanup) != TRI_OK) return;
  cleanup->shadow = shadow;
  shadow->tied = true;
  shadow->cleanups++;
}

static void model_tie_step(model_thread *thread) {
  switch (model_below(thread, 4)) {
  case 0: model_ephemeron_step(thread); break;
  case 1: model_cleanup_step(thread); break;
  default: model_weak_step(thread); break;
  }
}

// The cells go; what hangs on objects as cleanups stays.
static void model_drop_ties(model_thread *thread) {
  for (int index = 0; index < MODEL_TIES; index++) {
    if (thread->weak[index].weak) tri_weak_free(thread->shared->heap, thread->weak[index].weak);
    if (thread->ephemerons[index].ephemeron) model_drop_ephemeron(thread, &thread->ephemerons[index]);
  }
}

// ---- Comparison ----

static void model_check(model_thread *thread, model_shadow *shadow) {
  if (shadow->freed) model_fail(thread, "a reachable object was freed (a bug of the model)", shadow);
  if (shadow->destroyed) model_fail(thread, "a reachable object was destroyed", shadow);
  if (__atomic_load_n(&shadow->cleanups_run, __ATOMIC_SEQ_CST))
    model_fail(thread, "the cleanup of a reachable object has run", shadow);
  if (*model_id_place(shadow) != shadow->id) model_fail(thread, "an object was lost: its id changed", shadow);
  if (tri_object_start(thread->shared->heap, shadow->object) != shadow->object)
    model_fail(thread, "a reachable object is not allocated", shadow);
  for (uint32_t edge = 0; edge < shadow->edge_count; edge++) {
    void *expected = shadow->edges[edge] ? shadow->edges[edge]->object : NULL;
    if (*model_slot(shadow, edge) != expected) model_fail(thread, "a reference changed", shadow);
  }
  if (shadow->kind == MODEL_LEAF && shadow->bytes > 16 && ((unsigned char *)shadow->object)[shadow->bytes - 1] != 0xee)
    model_fail(thread, "a leaf was overwritten", shadow);
  thread->result.verified_objects++;
}

// The value of an ephemeron whose key was seen and which was not seen itself.
static model_shadow *model_next_value(model_thread *thread) {
  for (int index = 0; index < MODEL_TIES; index++) {
    const model_ephemeron *ephemeron = &thread->ephemerons[index];
    if (!ephemeron->ephemeron || !ephemeron->value || ephemeron->value->seen == thread->round) continue;
    if (ephemeron->key->seen == thread->round) return ephemeron->value;
  }
  return NULL;
}

// What is dead, and what is not yet known to be, may be read or not; what is reachable must be.
static void model_check_answer(model_thread *thread, const void *answer, model_shadow *shadow, bool must) {
  if (must && answer != shadow->object) model_fail(thread, "a weak load misses a reachable object", shadow);
  if (!answer) return;
  if (answer != shadow->object) model_fail(thread, "a weak load answers another object", shadow);
  if (shadow->freed) model_fail(thread, "a weak load answers a freed object", shadow);
  if (__atomic_load_n(&shadow->cleanups_run, __ATOMIC_SEQ_CST))
    model_fail(thread, "a weak load answers an object whose cleanup has run", shadow);
  if (__atomic_load_n(&shadow->destroyed, __ATOMIC_SEQ_CST))
    model_fail(thread, "a weak load answers an object that was destroyed", shadow);
  if (tri_object_start(thread->shared->heap, answer) != answer || *model_id_place(shadow) != shadow->id)
    model_fail(thread, "a weak load answers what is no object any more", shadow);
}

// After a walk.
static void model_check_ties(model_thread *thread) {
  for (int index = 0; index < MODEL_TIES; index++) {
    const model_weak *weak = &thread->weak[index];
    if (weak->weak)
      model_check_answer(thread, tri_weak_get(thread->mutator, weak->weak), weak->shadow,
                         weak->shadow->seen == thread->round);
    const model_ephemeron *ephemeron = &thread->ephemerons[index];
    if (!ephemeron->ephemeron) continue;
    bool must = ephemeron->key->seen == thread->round;
    const void *value = tri_ephemeron_value(thread->mutator, ephemeron->ephemeron);
    if (ephemeron->value)
      model_check_answer(thread, value, ephemeron->value, must);
    else if (value)
      model_fail(thread, "an ephemeron without a value has one", ephemeron->key);
    model_check_answer(thread, tri_ephemeron_key(thread->mutator, ephemeron->ephemeron), ephemeron->key, must);
  }
}

// Marks the shadow graph from the roots; the count includes the leaf that carries an array's id.
static uint64_t model_walk(model_thread *thread) {
  uint64_t reachable = 0;
  thread->round++;
  size_t count = 0, capacity = 1024;
  model_shadow **stack = malloc(capacity * sizeof *stack);
  if (!stack) abort();
  for (uint32_t slot = 0; slot < MODEL_ROOTS; slot++) {
    model_shadow *shadow = thread->roots[slot];
    if (thread->table[slot] != (shadow ? shadow->object : NULL)) model_fail(thread, "a root slot changed", shadow);
    if (shadow && shadow->seen != thread->round) {
      shadow->seen = thread->round;
      stack[count++] = shadow;
    }
  }
  for (model_shadow *value; count || (value = model_next_value(thread));) {
    model_shadow *shadow = count ? stack[--count] : value;
    shadow->seen = thread->round;
    model_check(thread, shadow);
    reachable += shadow->kind == MODEL_ARRAY ? 2 : 1;
    for (uint32_t edge = 0; edge < shadow->edge_count; edge++) {
      model_shadow *next = shadow->edges[edge];
      if (!next || next->seen == thread->round) continue;
      next->seen = thread->round;
      if (count == capacity) {
        capacity *= 2;
        stack = realloc(stack, capacity * sizeof *stack);
        if (!stack) abort();
      }
      stack[count++] = next;
    }
  }
  free(stack);
  model_check_ties(thread);
  return reachable;
}

// Shadows that nothing reaches lose their edges; they are freed at the very end, since destroy callbacks of their
// objects may still come.
static void model_prune(model_thread *thread) {
  for (int index = 0; index < MODEL_TIES; index++) {
    model_ephemeron *ephemeron = &thread->ephemerons[index];
    if (ephemeron->ephemeron && ephemeron->key->seen != thread->round) model_drop_ephemeron(thread, ephemeron);
  }
  for (model_shadow *shadow = thread->all; shadow; shadow = shadow->next) {
    if (shadow->seen == thread->round) continue;
    shadow->pruned = true;
    if (!shadow->edges) continue;
    for (uint32_t edge = 0; edge < shadow->edge_count; edge++) model_set_edge(&shadow->edges[edge], NULL);
    free(shadow->edges);
    shadow->edges = NULL;
    shadow->edge_count = 0;
  }
}

static void model_collect(model_thread *thread) {
  model_shared *shared = thread->shared;
  tri_collect(shared->heap, (tri_mode)model_below(thread, 3));
  uint64_t reachable = model_walk(thread);
  model_prune(thread);
  if (shared->options.shared) commons_check(&shared->commons);
  bool exact = shared->options.precise && shared->options.threads == 1 && !shared->options.shared;
  if (!exact || model_below(thread, 2)) return;
  tri_collect(shared->heap, TRI_MODE_FORCE_BLOCK);
  tri_statistics statistics;
  tri_heap_statistics(shared->heap, &statistics);
  uint64_t held = reachable + 1; // the table
  for (int box = 0; box < MODEL_MAILBOXES; box++)
    if (shared->mail[box]) return;
  // Two full cycles ago nothing reached it: the weak references to it are empty.
  for (int index = 0; index < MODEL_TIES; index++)
    if (thread->weak[index].weak && thread->weak[index].shadow->seen != thread->round &&
        tri_weak_get(thread->mutator, thread->weak[index].weak))
      model_fail(thread, "a weak reference to garbage is not cleared", thread->weak[index].shadow);
  if (statistics.live_objects < held) model_fail(thread, "fewer objects are alive than are reachable", NULL);
  if (statistics.live_objects > held) {
    fprintf(stderr, "model: %llu objects are alive (%llu marked), %llu reachable\n",
            (unsigned long long)statistics.live_objects, (unsigned long long)statistics.marked_objects_at_last_cycle,
            (unsigned long long)held);
    model_fail(thread, "garbage was not reclaimed", NULL);
  }
}

// ---- Handing a graph to another thread: a leaf or pair without edges, so that shadows stay with one thread ----

static void model_mail(model_thread *thread) {
  model_shared *shared = thread->shared;
  int box = (int)model_below(thread, MODEL_MAILBOXES);
  uint32_t slot = model_below(thread, MODEL_ROOTS);
  pthread_mutex_lock(&shared->mail_lock);
  model_shadow *waiting = shared->mail[box];
  if (waiting) {
    shared->mail[box] = NULL;
    waiting->next = thread->all;
    thread->all = waiting;
    waiting->incoming = 0;
    tri_store(thread->mutator, thread->table, &thread->table[slot], waiting->object);
    model_set_edge(&thread->roots[slot], waiting);
    tri_root_store(thread->mutator, &shared->mail_words[box], NULL);
  } else {
    model_shadow *shadow = thread->roots[slot];
    bool own_only = shadow && shadow->incoming == 1 && shadow == thread->all && !shadow->tied;
    for (uint32_t edge = 0; own_only && edge < shadow->edge_count; edge++) own_only = !shadow->edges[edge];
    if (own_only) {
      tri_root_store(thread->mutator, &shared->mail_words[box], shadow->object);
      model_set_root(thread, slot, NULL);
      thread->all = shadow->next;
      shared->mail[box] = shadow;
    }
  }
  pthread_mutex_unlock(&shared->mail_lock);
}

// ---- A thread's program ----

static void model_step(model_thread *thread) {
  const model_options *options = &thread->shared->options;
  if (options->shared && model_below(thread, 4) == 0)
    commons_play(&thread->shared->commons, thread->mutator, &thread->random);
  uint32_t dice = model_below(thread, 1000);
  if (dice < 380) {
    tri_scope scope = tri_scope_begin(thread->mutator);
    void **holder = tri_scope_slot(thread->mutator, NULL);
    model_shadow *shadow = model_allocate(thread, holder);
    if (shadow) model_set_root(thread, model_below(thread, MODEL_ROOTS), shadow);
    tri_scope_end(thread->mutator, scope);
  } else if (dice < 780) {
    model_store(thread);
  } else if (dice < 850) {
    model_set_root(thread, model_below(thread, MODEL_ROOTS), model_below(thread, 2) ? model_pick(thread) : NULL);
  } else if (dice < 880) {
    model_bulk(thread);
  } else if (dice < 920) {
    if (options->explicit_free) model_free(thread);
  } else if (dice < 940) {
    model_mail(thread);
  } else if (dice < 980) {
    tri_safepoint(thread->mutator);
  } else if (dice < 990) {
    tri_blocking_begin(thread->mutator);
    tri_blocking_end(thread->mutator);
  } else if (dice < 993) {
    model_walk(thread);
  } else if (dice < 996) {
    model_collect(thread);
  } else if (dice < 998) {
    if (options->returns_memory) tri_trim(thread->shared->heap);
  }
  if (model_below(thread, 8) == 0) model_tie_step(thread);
}

static void model_table_make(model_thread *thread) {
  model_shared *shared = thread->shared;
  void *table = tri_alloc(thread->mutator, tri_layout_references(shared->heap), MODEL_ROOTS * sizeof(void *));
  if (!table) model_fail(thread, "no table", NULL);
  if (shared->options.plain_roots) {
    thread->table = table;
    if (tri_root_add_range(shared->heap, &thread->table, 1, TRI_ROOT_PLAIN) != TRI_OK) abort();
  } else {
    thread->table_handle = tri_handle_make(thread->mutator, table);
    thread->table = table;
  }
}

static void model_table_drop(model_thread *thread) {
  if (thread->table_handle)
    tri_handle_free(thread->mutator, thread->table_handle);
  else
    tri_root_remove_range(thread->shared->heap, &thread->table);
}

static void model_add_result(model_shared *shared, const model_result *result) {
  pthread_mutex_lock(&shared->result_lock);
  shared->result.allocated += result->allocated;
  shared->result.stores += result->stores;
  shared->result.freed += result->freed;
  shared->result.verified_objects += result->verified_objects;
  shared->result.refused += result->refused;
  shared->result.rescued += result->rescued;
  pthread_mutex_unlock(&shared->result_lock);
}

// A heap with a limit may be full, to the last span, once others play: nobody does before all have their tables.
static void model_await_tables(model_thread *thread) {
  tri_blocking_begin(thread->mutator);
  pthread_barrier_wait(&thread->shared->tables_made);
  tri_blocking_end(thread->mutator);
}

// Attaches twice: halfway the thread leaves the heap and comes back, its table held by a handle or a range.
static void *model_thread_main(void *context) {
  model_thread *thread = context;
  model_shared *shared = thread->shared;
  uint32_t flags = shared->options.precise ? TRI_ATTACH_PRECISE : 0;
  model_current = thread;
  if (tri_attach(shared->heap, flags, &thread->mutator) != TRI_OK) abort();
  model_table_make(thread);
  model_await_tables(thread);
  for (uint32_t operation = 0; operation < shared->options.operations; operation++) {
    if (operation == shared->options.operations / 2) {
      if (tri_detach(thread->mutator) != TRI_OK) abort();
      if (tri_attach(shared->heap, flags, &thread->mutator) != TRI_OK) abort();
    }
    model_step(thread);
  }
  model_walk(thread);
  if (shared->options.shared) commons_check(&shared->commons);
  model_drop_ties(thread);
  model_table_drop(thread);
  if (tri_detach(thread->mutator) != TRI_OK) abort();
  model_add_result(shared, &thread->result);
  return NULL;
}

static void model_free_shadows(model_shadow *shadow) {
  for (model_shadow *next; shadow; shadow = next) {
    next = shadow->next;
    free(shadow->edges);
    free(shadow);
  }
}

model_result model_run(model_options options) {
  model_shared shared = {.options = options};
  tri_options heap_options;
  tri_options_init(&heap_options);
  heap_options.minimum_heap_bytes = 256 << 10;
  heap_options.growth_percent = options.automatic ? 50 : TRI_GROWTH_OFF;
  heap_options.reservation_bytes = UINT64_C(1) << 30;
  heap_options.barrier = options.barrier;
  heap_options.checkmark = 1;
  heap_options.verify = 1;
  heap_options.trace = options.trace;
  heap_options.generations = options.generations;
  heap_options.stress_interval = options.stress_interval;
  heap_options.limit_bytes = options.limit_bytes;
  heap_options.read_environment = 0;
  if (options.returns_memory) heap_options.scavenge_after_ms = 1;
  heap_options.mark_workers = heap_options.background_workers = options.workers;
  if (tri_heap_create(&heap_options, &shared.heap) != TRI_OK) abort();
  if (options.workers > 1) tri_testing_set_helpers_worth(shared.heap, 10);
  pthread_barrier_init(&shared.tables_made, NULL, options.threads);
  pthread_mutex_init(&shared.mail_lock, NULL);
  pthread_mutex_init(&shared.result_lock, NULL);
  model_make_layouts(&shared);
  if (tri_root_add_range(shared.heap, shared.mail_words, MODEL_MAILBOXES, 0) != TRI_OK) abort();
  if (options.shared) commons_open(&shared.commons, shared.heap, options.seed);
  model_thread *threads = calloc(options.threads, sizeof *threads);
  pthread_t *handles = calloc(options.threads, sizeof *handles);
  if (!threads || !handles) abort();
  for (uint32_t index = 0; index < options.threads; index++) {
    threads[index].shared = &shared;
    threads[index].random = (options.seed * 2 + 1) * UINT64_C(0x9e3779b97f4a7c15) + index;
    threads[index].next_id = 1 + ((uint64_t)index << 40);
    if (pthread_create(&handles[index], NULL, model_thread_main, &threads[index]) != 0) abort();
  }
  for (uint32_t index = 0; index < options.threads; index++) pthread_join(handles[index], NULL);
  pthread_barrier_destroy(&shared.tables_made);
  tri_statistics statistics;
  tri_heap_statistics(shared.heap, &statistics);
  shared.result.cycles = statistics.cycles;
  shared.result.cycles_minor = statistics.cycles_minor;
  shared.result.checkmarks = statistics.checkmarks;
  if (tri_heap_destroy(shared.heap) != TRI_OK) abort();
  for (uint32_t index = 0; index < options.threads; index++) {
    for (model_shadow *shadow = threads[index].all; shadow; shadow = shadow->next)
      if ((shadow->kind == MODEL_OWNER || shadow->kind == MODEL_OWNING_NODE) && shadow->destroyed != 1)
        model_fail(&threads[index], "an object was not destroyed with its heap", shadow);
    for (model_shadow *shadow = threads[index].all; shadow; shadow = shadow->next) {
      if (shadow->cleanups_run != shadow->cleanups)
        model_fail(&threads[index], "cleanups did not run once each", shadow);
      shared.result.cleanups += shadow->cleanups_run;
    }
    model_free_shadows(threads[index].all);
  }
  for (int box = 0; box < MODEL_MAILBOXES; box++)
    model_free_shadows(shared.mail[box] ? shared.mail[box]->next = NULL, shared.mail[box] : NULL);
  free(threads);
  free(handles);
  return shared.result;
}
