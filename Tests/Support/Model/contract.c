// The contract about resident memory at full size: 1 GiB of objects, nine tenths dropped in the order they were made.
#define _DEFAULT_SOURCE // usleep
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model.h"
#include "tricolor.h"

enum {
  CONTRACT_AFTER_MS = 500,
  // Three times that, and 1 GiB at 1 % of a CPU; a busy machine gets ten times as long.
  CONTRACT_WAIT_S = 60,
};
#define CONTRACT_BYTES (UINT64_C(1) << 30)

static uint64_t contract_resident_bytes(void) {
  unsigned long long total = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%llu %llu", &total, &resident) != 2) abort();
  fclose(file);
  return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t contract_allowed_bytes(tri_heap *heap) {
  tri_statistics statistics;
  tri_heap_statistics(heap, &statistics);
  return statistics.live_bytes + statistics.live_bytes / 4 + (16 << 20);
}

static void contract_fill_and_drop(tri_heap *heap, tri_mutator *mutator, size_t object_bytes) {
  size_t count = CONTRACT_BYTES / object_bytes;
  void **table = tri_alloc(mutator, tri_layout_references(heap), count * sizeof *table);
  if (!table || !tri_scope_slot(mutator, table)) abort();
  for (size_t index = 0; index < count; index++) {
    void *object = tri_alloc(mutator, tri_layout_leaf(heap), object_bytes);
    if (!object) abort();
    memset(object, 1, object_bytes);
    tri_store(mutator, table, &table[index], object);
  }
  for (size_t index = 0; index < count - count / 10; index++) tri_store(mutator, table, &table[index], NULL);
  tri_collect(heap, TRI_MODE_FORCE_BLOCK);
}

// The bytes resident in the end; *out_allowed is what the contract allows.
static uint64_t contract_give_back(tri_heap *heap, tri_mutator *mutator, bool trim, uint64_t before,
                                   uint64_t *out_allowed) {
  *out_allowed = contract_allowed_bytes(heap);
  if (trim) tri_trim(heap);
  uint64_t resident = contract_resident_bytes() - before;
  time_t end = time(NULL) + CONTRACT_WAIT_S;
  tri_blocking_begin(mutator);
  while (!trim && resident > *out_allowed && time(NULL) < end) {
    usleep(100000);
    resident = contract_resident_bytes() - before;
  }
  tri_blocking_end(mutator);
  return resident;
}

void model_check_resident_memory(size_t object_bytes, bool trim) {
  uint64_t before = contract_resident_bytes(), allowed;
  tri_options options;
  tri_options_init(&options);
  options.read_environment = 0;
  options.scavenge_after_ms = trim ? 0 : CONTRACT_AFTER_MS;
  tri_heap *heap;
  tri_mutator *mutator;
  if (tri_heap_create(&options, &heap) != TRI_OK) abort();
  if (tri_attach(heap, TRI_ATTACH_PRECISE, &mutator) != TRI_OK) abort();
  tri_scope scope = tri_scope_begin(mutator);
  contract_fill_and_drop(heap, mutator, object_bytes);
  uint64_t resident = contract_give_back(heap, mutator, trim, before, &allowed);
  printf("objects of %zu bytes, %s: %llu MiB resident, %llu allowed\n", object_bytes, trim ? "trimmed" : "by the clock",
         (unsigned long long)resident >> 20, (unsigned long long)allowed >> 20);
  if (resident > allowed) abort();
  tri_scope_end(mutator, scope);
  if (tri_detach(mutator) != TRI_OK || tri_heap_destroy(heap) != TRI_OK) abort();
}
