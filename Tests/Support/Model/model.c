// The program that a thread of a model plays. After every few hundred operations the heap is walked from the roots
// beside the shadow.
#include "shadow.h"

#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "objects.h"
#include "ties.h"
#include "tricolor_testing.h"

static _Thread_local model_thread *model_current;

// ---- Stores ----

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

// ---- Garbage ----

// As much as begins a cycle, which is the only kind that may be a minor one: what a program of this size allocates by
// itself does so a few times in 20,000 operations, and in some programs never. Under stress every allocation does.
static void model_litter(model_thread *thread) {
  const model_shared *shared = thread->shared;
  if (!shared->options.automatic || shared->options.stress_interval) return;
  tri_statistics before, now;
  tri_heap_statistics(shared->heap, &before);
  for (uint64_t bytes = 0; bytes < 2 * before.trigger_bytes; bytes += 1024) {
    if (!tri_alloc_leaf_uninitialized(thread->mutator, 16 + model_below(thread, 2032))) return;
    tri_heap_statistics(shared->heap, &now);
    if (now.cycles != before.cycles) return;
  }
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
  } else {
    model_litter(thread);
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
