#include "compare.h"

#include <stdio.h>
#include <stdlib.h>

#include "ties.h"

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

uint64_t model_walk(model_thread *thread) {
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

void model_collect(model_thread *thread) {
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
