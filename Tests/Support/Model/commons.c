// Slots hold stamped leaves; rows are second-level arrays of such slots, replaced by fresh ones all the time. A slot
// takes objects of one colour only, and a stamp contains the colour: so memory that was reused for another stamped
// object shows as well, without slot and expectation having to change together.
//
// No reference is held over an allocation, the only call here that may let the collector in.
#include "commons.h"

#include <stdio.h>
#include <stdlib.h>

#include "random.h"

enum {
  COMMONS_COLOURS = 16,
  COMMONS_SLOTS = 4 * COMMONS_COLOURS,
  COMMONS_ROWS = 16, // of COMMONS_COLOURS slots each
  COMMONS_BURST = 64,
};
#define COMMONS_MAGIC UINT64_C(0x7472696c6f6e6721)

typedef struct commons_stamp {
  uint64_t id; // random; the colour is its remainder
  uint64_t complement;
} commons_stamp;

typedef struct commons_place {
  void **holder;
  uint32_t index;
} commons_place;

_Noreturn static void commons_fail(const commons *all, const char *what, const commons_stamp *object, uint32_t colour) {
  fprintf(stderr, "model: seed %llu: %s (object %p, words %llx and %llx, found where colour %u belongs)\n",
          (unsigned long long)all->seed, what, (const void *)object, (unsigned long long)object->id,
          (unsigned long long)object->complement, colour);
  abort();
}

static void *commons_load(void *const *slot) {
  return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static void **commons_table(const commons *all, int table) {
  return commons_load(&all->tables[table]);
}

static void commons_check_object(const commons *all, const commons_stamp *object, uint32_t colour) {
  if (!object) return;
  if (object->complement != (~object->id ^ COMMONS_MAGIC))
    commons_fail(all, "a shared object was lost: its stamp is gone", object, colour);
  if (object->id % COMMONS_COLOURS != colour)
    commons_fail(all, "a shared object was lost: another is in its place", object, colour);
}

static void commons_store(tri_mutator *mutator, commons_place place, void *value) {
  tri_store(mutator, place.holder, &place.holder[place.index], value);
}

// Mostly a slot of a row: that is where an object can hide in one that was born black.
static commons_place commons_pick(const commons *all, uint64_t *random, uint32_t colour) {
  void **row = commons_load(&commons_table(all, 1)[random_below(random, COMMONS_ROWS)]);
  if (row && random_below(random, 4)) return (commons_place){row, colour};
  uint32_t group = random_below(random, COMMONS_SLOTS / COMMONS_COLOURS);
  return (commons_place){commons_table(all, 0), group * COMMONS_COLOURS + colour};
}

static void *commons_take(const commons *all, commons_place place, uint32_t colour) {
  void *object = commons_load(&place.holder[place.index]);
  commons_check_object(all, object, colour);
  return object;
}

// Of the sizes that the model's other leaves have, which overwrite all of a slot they get.
static void commons_put_fresh(const commons *all, tri_mutator *mutator, uint64_t *random, uint32_t colour) {
  commons_stamp *object = tri_alloc_leaf_uninitialized(mutator, 16 + 16 * random_below(random, 3));
  if (!object) return;
  object->id = random_next(random) / COMMONS_COLOURS * COMMONS_COLOURS + colour;
  object->complement = ~object->id ^ COMMONS_MAGIC;
  commons_store(mutator, commons_pick(all, random, colour), object);
}

static void commons_renew_row(const commons *all, tri_mutator *mutator, uint64_t *random) {
  void **row = tri_alloc(mutator, tri_layout_references(all->heap), COMMONS_COLOURS * sizeof(void *));
  if (row) commons_store(mutator, (commons_place){commons_table(all, 1), random_below(random, COMMONS_ROWS)}, row);
}

static void commons_move(const commons *all, tri_mutator *mutator, uint64_t *random, uint32_t colour) {
  commons_place from = commons_pick(all, random, colour);
  void *object = commons_take(all, from, colour);
  if (object) commons_store(mutator, commons_pick(all, random, colour), object);
  // Once in two times the object has moved: whoever looks for it later finds it only in the new place.
  if (random_below(random, 2)) commons_store(mutator, from, NULL);
}

static void commons_step(const commons *all, tri_mutator *mutator, uint64_t *random) {
  uint32_t dice = random_below(random, 100), colour = random_below(random, COMMONS_COLOURS);
  if (dice < 20)
    commons_put_fresh(all, mutator, random, colour);
  else if (dice < 25)
    commons_renew_row(all, mutator, random);
  else if (dice < 80)
    commons_move(all, mutator, random, colour);
  else if (dice < 85)
    commons_store(mutator, commons_pick(all, random, colour), NULL);
  else
    commons_take(all, commons_pick(all, random, colour), colour);
}

void commons_play(commons *all, tri_mutator *mutator, uint64_t *random) {
  for (uint32_t left = random_below(random, COMMONS_BURST); left; left--) commons_step(all, mutator, random);
}

void commons_check(const commons *all) {
  void *const *slots = commons_table(all, 0), *const *rows = commons_table(all, 1);
  for (uint32_t slot = 0; slot < COMMONS_SLOTS; slot++)
    commons_check_object(all, commons_load(&slots[slot]), slot % COMMONS_COLOURS);
  for (uint32_t index = 0; index < COMMONS_ROWS; index++) {
    void *const *row = commons_load(&rows[index]);
    for (uint32_t colour = 0; row && colour < COMMONS_COLOURS; colour++)
      commons_check_object(all, commons_load(&row[colour]), colour);
  }
}

void commons_open(commons *all, tri_heap *heap, uint64_t seed) {
  const uint32_t words[2] = {COMMONS_SLOTS, COMMONS_ROWS};
  tri_mutator *mutator;
  *all = (commons){.seed = seed, .heap = heap};
  if (tri_attach(heap, TRI_ATTACH_PRECISE, &mutator) != TRI_OK) abort();
  if (tri_root_add_range(heap, all->tables, 2, 0) != TRI_OK) abort();
  for (int table = 0; table < 2; table++) {
    void *array = tri_alloc(mutator, tri_layout_references(heap), words[table] * sizeof(void *));
    if (!array) abort();
    tri_root_store(mutator, &all->tables[table], array);
  }
  if (tri_detach(mutator) != TRI_OK) abort();
}
