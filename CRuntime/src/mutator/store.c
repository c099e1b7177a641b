#include "mutator/store.h"

#include "base/step.h"
#include "mutator/world.h"
#include "space/registry.h"

static void tri_store_record(tri_mutator_full *mutator, uintptr_t old, uintptr_t new) {
  tri_collect *collect = &mutator->world->collect;
  if (mutator->fast.barrier & TRI_SHADES_OLD) tri_barrier_record(&mutator->barrier, collect, old);
  if (mutator->fast.barrier & TRI_SHADES_NEW) tri_barrier_record(&mutator->barrier, collect, new);
}

static void tri_store_check(const tri_mutator_full *mutator, const void *value) {
  tri_step(TRI_STEP_STORE);
  if (!TRI_CHECKS) return;
  tri_assert_owner(mutator, "storing");
  bool foreign = value && !tri_is_mine(&mutator->fast, value) && tri_registry_find((uintptr_t)value);
  TRI_CHECK(!foreign, "storing a reference to %p, an object of another heap: it would not be traced", value);
}

// Between cycles: an old object that is not written down gets a reference, and is written down if that is young.
static void tri_store_log(tri_mutator_full *mutator, const void *object, const void *value) {
  tri_collect *collect = &mutator->world->collect;
  mutator->logged_stores++;
  if (tri_store_makes_news(collect, (uintptr_t)object, (uintptr_t)value))
    tri_remember(collect, &mutator->remembered, (uintptr_t)object - collect->spans.space.start);
}

void tri_store_slow(tri_mutator *mutator, void *object, void **slot, void *value) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_store_check(full, value);
  if (mutator->barrier == TRI_LOGS_OLD)
    tri_store_log(full, object, value);
  else
    tri_store_record(full, (uintptr_t)tri_load_relaxed(slot), (uintptr_t)value);
  tri_store_release(slot, value);
}

void tri_init_slow(tri_mutator *mutator, void **slot, void *value) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_store_check(full, value);
  tri_store_record(full, 0, (uintptr_t)value);
  tri_store_release(slot, value);
}

void *tri_swap_slow(tri_mutator *mutator, void *object, void **slot, void *value) {
  void *old = tri_load_relaxed(slot);
  tri_store_slow(mutator, object, slot, value);
  return old;
}

// Word by word, each an atomic store: a marker may be reading.
static void tri_move_words(void **destination, void *const *source, size_t words) {
  if (destination <= (void **)source)
    for (size_t word = 0; word < words; word++) tri_store_release(&destination[word], tri_load_relaxed(&source[word]));
  else
    for (size_t word = words; word-- > 0;) tri_store_release(&destination[word], tri_load_relaxed(&source[word]));
}

// What was copied is read again from where it is now: the source may have changed since it was read first, and a young
// object that nothing else refers to any more would be missed. No safepoint lies between.
static void tri_copy_note(tri_mutator_full *mutator, const void *object, void *const *stored, size_t words) {
  tri_collect *collect = &mutator->world->collect;
  bool shades = mutator->fast.barrier & TRI_SHADES_NEW;
  if (!shades && (mutator->fast.barrier != TRI_LOGS_OLD || !tri_store_is_watched(&mutator->fast, object))) return;
  for (size_t word = 0; word < words; word++)
    if (shades)
      tri_barrier_record(&mutator->barrier, collect, (uintptr_t)tri_load_relaxed(&stored[word]));
    else
      tri_store_log(mutator, object, tri_load_relaxed(&stored[word]));
}

void tri_copy(tri_mutator *mutator, void *object, void *destination, const void *source, size_t words) {
  void **to = destination;
  void *const *from = source;
  if (!mutator->barrier) {
    tri_move_words(to, from, words);
    return;
  }
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_store_check(full, NULL);
  for (size_t word = 0; mutator->barrier & TRI_SHADES_OLD && word < words; word++)
    tri_barrier_record(&full->barrier, &full->world->collect, (uintptr_t)tri_load_relaxed(&to[word]));
  tri_move_words(to, from, words);
  tri_copy_note(full, object, to, words);
}

void tri_clear(tri_mutator *mutator, void *object, void *slots, size_t words) {
  (void)object;
  void **slot = slots;
  tri_mutator_full *full = tri_mutator_of(mutator);
  for (size_t word = 0; word < words; word++) {
    if (mutator->barrier & TRI_SHADES_ANY) tri_store_record(full, (uintptr_t)tri_load_relaxed(&slot[word]), 0);
    tri_store_release(&slot[word], (void *)NULL);
  }
}
