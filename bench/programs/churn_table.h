// A table whose random entries are replaced, with sizes mixed as programs mix them: what churn.c and threads.c run.
//
// leaf: undefined contents, no references. references: zeroed (malloc contenders: calloc); slots come in pairs whose
// objects refer to each other, so every replacement also stores into one older object.
#ifndef BENCH_CHURN_TABLE_H
#define BENCH_CHURN_TABLE_H

#include "measure.h"

/// Sizes in bytes and how many of 256 objects have them: many small ones, a thin tail.
static const struct {
  uint32_t bytes, share;
} sizes[] = {
    {16, 52}, {24, 28}, {32, 48}, {40, 20}, {48, 28},  {64, 30},  {96, 16},  {128, 12},
    {192, 8}, {256, 6}, {384, 3}, {512, 2}, {1024, 1}, {2048, 1}, {4096, 1},
};
enum { SHARES = 256 };

static uint32_t bytes_of_share[SHARES];

static void spread_shares(void) {
  uint32_t next = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (uint32_t k = 0; k < sizes[i].share; k++) bytes_of_share[next++] = sizes[i].bytes;
  if (next != SHARES) mem_fail("churn: the shares do not add up");
}

static uint32_t random_bytes(struct random *random) {
  return bytes_of_share[random_next(random) % SHARES];
}

/// Word 0 is the stamp.
static uint64_t replace_leaf(uint64_t **table, uint32_t slot, uint32_t bytes, uint64_t stamp) {
  uint64_t *old = table[slot], seen = 0;
  if (old) {
    seen = *old;
    mem_free(old);
  }
  uint64_t *object = mem_opaque(mem_leaf(bytes));
  *object = stamp;
  mem_store(table, &table[slot], object);
  return seen;
}

struct linked {
  struct linked *partner;
  uint64_t stamp;
};

static uint64_t replace_linked(struct linked **table, uint32_t slot, uint32_t bytes, uint64_t stamp) {
  struct linked *old = table[slot], *partner = table[slot ^ 1];
  uint64_t seen = 0;
  if (old) {
    seen = old->stamp;
    mem_free(old);
  }
  struct linked *object = mem_opaque(mem_mixed(bytes));
  mem_init(object, &object->partner, partner);
  object->stamp = stamp;
  mem_store(table, &table[slot], object);
  if (partner) mem_store(partner, &partner->partner, object);
  return seen;
}

static uint64_t replace(void *table, bool references, uint32_t slot, uint32_t bytes, uint64_t stamp) {
  return references ? replace_linked(table, slot, bytes, stamp) : replace_leaf(table, slot, bytes, stamp);
}

/// Fills the table `root` leads to, from the slots' numbers.
static void churn_fill(void *table, bool references, uint32_t slots, struct random *random) {
  for (uint32_t slot = 0; slot < slots; slot++) replace(table, references, slot, random_bytes(random), slot);
}

/// Replaces random entries; a value that depends on all that was found.
static uint64_t churn_run(void *table, bool references, uint32_t slots, uint64_t operations, struct random *random) {
  uint64_t seen = 0;
  for (uint64_t i = 0; i < operations; i++) {
    uint32_t slot = random_below(random, slots);
    seen = seen * 31 + replace(table, references, slot, random_bytes(random), i);
  }
  return seen;
}

#endif
