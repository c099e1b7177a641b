// What do many objects cost that die together: 4 MiB worth are allocated, held in a table, then dropped?
//
//   batches BYTES leaf|zeroed ROUNDS
//
// Every object's first word is written at allocation and checked before it is dropped. Malloc contenders
// free each object; collected ones clear the table.
#include "measure.h"

enum { BATCH_BYTES = 4 * 1024 * 1024 };

static void *root;

static void fill(uint64_t **table, size_t count, size_t bytes, bool zeroed, uint64_t round) {
  for (size_t i = 0; i < count; i++) {
    uint64_t *object = mem_opaque(zeroed ? mem_leaf_zeroed(bytes) : mem_leaf(bytes));
    *object = round + i;
    mem_store(table, &table[i], object);
  }
}

static uint64_t drop(uint64_t **table, size_t count, uint64_t round) {
  uint64_t wrong = 0;
  for (size_t i = 0; i < count; i++) {
    wrong += *table[i] != round + i;
    mem_free(table[i]);
  }
  if (MEM_COLLECTED) mem_clear(table, table, count);
  return wrong;
}

int main(int argc, char **argv) {
  if (argc != 4) mem_fail("usage: batches BYTES leaf|zeroed ROUNDS");
  size_t bytes = strtoul(argv[1], NULL, 10);
  bool zeroed = strcmp(argv[2], "zeroed") == 0;
  uint64_t rounds = strtoull(argv[3], NULL, 10);
  if (bytes < 8) mem_fail("batches: at least 8 bytes");
  size_t count = BATCH_BYTES / bytes;

  mem_start();
  mem_root(&root);
  mem_root_store(&root, mem_array(count));
  uint64_t **table = root, wrong = 0;

  struct measure m = measure_begin();
  for (uint64_t round = 0; round < rounds; round++) {
    fill(table, count, bytes, zeroed, round);
    wrong += drop(table, count, round);
  }
  measure_end(&m);

  if (wrong) mem_fail("batches: an object did not hold what was written");
  report_open("batches", argv[2]);
  report_u64("bytes", bytes);
  report_close(&m, rounds * count, rounds);
  mem_finish();
  return 0;
}
