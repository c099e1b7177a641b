// What does sweeping cost per GiB of heap that is full of small objects, half of them dead?
//
//   sweep BYTES MIB ROUNDS
//
// Objects of one size fill MIB MiB. Then, ROUNDS times: a random half of them is dropped, a forceBlock collection
// sweeps everything before it returns, and new objects fill the heap again. cpu_ns is the fastest sweep, wall_ns the
// shortest time from the stop to its end, as the heap's statistics say; heap_bytes is what was swept. fill_ns is
// the CPU time of filling the heap for the first time, when every page is new.
#include "measure.h"

#if !MEMORY_TRICOLOR
#error "sweep reads our statistics"
#endif

enum { ENTRIES = 1 << 14, ROUNDS_MAX = 64 };

/// An index of tables of references to all objects.
struct table {
  uint64_t *entry[ENTRIES];
};
struct index {
  struct table *table[1]; ///< as many as are needed
};
static void *root;

static uint64_t fill(struct index *index, size_t bytes, uint64_t count) {
  uint64_t made = 0;
  for (uint64_t i = 0; i < count; i++) {
    struct table *table = index->table[i / ENTRIES];
    if (!table) {
      table = mem_array(ENTRIES);
      mem_store(index, &index->table[i / ENTRIES], table);
    }
    uint64_t **entry = &table->entry[i % ENTRIES];
    if (*entry) continue;
    uint64_t *object = mem_leaf(bytes);
    if (!object) mem_fail("sweep: the heap refused an object");
    *object = i;
    mem_store(table, entry, object);
    made++;
  }
  return made;
}

static uint64_t drop_half(struct index *index, uint64_t count, struct random *random) {
  uint64_t dropped = 0, bits = 0;
  for (uint64_t i = 0; i < count; i++) {
    if (i % 64 == 0) bits = random_next(random);
    struct table *table = index->table[i / ENTRIES];
    if (table->entry[i % ENTRIES] == NULL || *table->entry[i % ENTRIES] != i) mem_fail("sweep: an object is damaged");
    if (bits >> (i % 64) & 1) continue;
    mem_store(table, &table->entry[i % ENTRIES], NULL);
    dropped++;
  }
  return dropped;
}

int main(int argc, char **argv) {
  if (argc != 4) mem_fail("usage: sweep BYTES MIB ROUNDS");
  size_t bytes = strtoul(argv[1], NULL, 10);
  uint64_t heap_bytes = strtoull(argv[2], NULL, 10) << 20;
  unsigned rounds = (unsigned)strtoul(argv[3], NULL, 10);
  if (bytes < 16 || bytes % 16 || heap_bytes == 0 || rounds == 0 || rounds > ROUNDS_MAX)
    mem_fail("sweep: arguments out of range");
  uint64_t count = heap_bytes / bytes, made, dropped = 0;
  struct random random = {29};

  mem_start();
  mem_root(&root);
  mem_grow_only(heap_bytes);
  mem_root_store(&root, mem_array(count / ENTRIES + 1));
  struct measure filling = measure_begin();
  made = fill(root, bytes, count);
  measure_end(&filling);

  struct measure fastest = {UINT64_MAX, UINT64_MAX, 0};
  uint64_t check = made;
  for (unsigned round = 0; round < rounds; round++) {
    dropped = drop_half(root, count, &random);
    uint64_t swept_before = mem_statistics().sweep_ns_total;
    mem_collect();
    tri_statistics s = mem_statistics();
    uint64_t cpu = s.sweep_ns_total - swept_before, tables = count / ENTRIES + 2;
    if (s.live_objects < count - dropped || s.live_objects > count - dropped + tables + 64)
      mem_fail("sweep: the sweep found another number of live objects");
    if (cpu < fastest.cpu_ns) fastest.cpu_ns = cpu;
    if (s.sweep_ns_at_last_cycle < fastest.wall_ns) fastest.wall_ns = s.sweep_ns_at_last_cycle;
    fastest.cycles++;
    if (fill(root, bytes, count) != dropped) mem_fail("sweep: an object that was kept is gone");
    check = check * 31 + dropped;
  }

  report_open("sweep", "half dead");
  report_u64("bytes", bytes);
  report_u64("heap_bytes", heap_bytes);
  report_u64("fill_ns", filling.cpu_ns);
  report_u64("sweep_ns", fastest.cpu_ns);
  report_close(&fastest, count, check);
  mem_finish();
  return 0;
}
