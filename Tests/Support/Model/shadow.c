#include "shadow.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void model_fail(const model_thread *thread, const char *what, const model_shadow *shadow) {
  fprintf(stderr, "model: seed %llu: %s (object %p, id %llu, kind %d, %u edges)\n",
          (unsigned long long)thread->shared->options.seed, what, shadow ? shadow->object : NULL,
          shadow ? (unsigned long long)shadow->id : 0, shadow ? (int)shadow->kind : -1,
          shadow ? shadow->edge_count : 0);
  abort();
}

void **model_slot(const model_shadow *shadow, uint32_t edge) {
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

uint64_t *model_id_place(const model_shadow *shadow) {
  if (shadow->kind == MODEL_ARRAY) return *(uint64_t **)shadow->object;
  return shadow->object;
}

void model_set_edge(model_shadow **place, model_shadow *value) {
  if (*place) (*place)->incoming--;
  *place = value;
  if (value) value->incoming++;
}

void model_set_root(model_thread *thread, uint32_t slot, model_shadow *value) {
  tri_store(thread->mutator, thread->table, &thread->table[slot], value ? value->object : NULL);
  model_set_edge(&thread->roots[slot], value);
}

model_shadow *model_pick(model_thread *thread) {
  model_shadow *shadow = thread->roots[model_below(thread, MODEL_ROOTS)];
  for (uint32_t steps = model_below(thread, 6); shadow && steps && shadow->edge_count; steps--) {
    model_shadow *next = shadow->edges[model_below(thread, shadow->edge_count)];
    if (!next) break;
    shadow = next;
  }
  return shadow;
}
