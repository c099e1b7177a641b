#include "ties.h"

// ---- Steps ----

void model_drop_ephemeron(model_thread *thread, model_ephemeron *ephemeron) {
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

void model_tie_step(model_thread *thread) {
  switch (model_below(thread, 4)) {
  case 0: model_ephemeron_step(thread); break;
  case 1: model_cleanup_step(thread); break;
  default: model_weak_step(thread); break;
  }
}

void model_drop_ties(model_thread *thread) {
  for (int index = 0; index < MODEL_TIES; index++) {
    if (thread->weak[index].weak) tri_weak_free(thread->shared->heap, thread->weak[index].weak);
    if (thread->ephemerons[index].ephemeron) model_drop_ephemeron(thread, &thread->ephemerons[index]);
  }
}

// ---- Comparison ----

model_shadow *model_next_value(model_thread *thread) {
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

void model_check_ties(model_thread *thread) {
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
