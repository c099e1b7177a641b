// What does it cost to have something done after each of many objects is dead?
//
//   cleanups WAY BYTES OBJECTS          WAY: none, destroy, cleanup, weak
//
// OBJECTS objects are made and kept in tables; each gets a destroy callback (by its layout), a cleanup, or a weak
// reference. All are dropped, a forceBlock collection sweeps them before it returns, and the cleanups are run. add_ns
// is the CPU time of tying one to each object, sweep_ns that of the sweep, run_ns that of running the cleanups, all of
// them on this thread; tie_bytes is by how much the collector's own memory grew. cpu_ns is all together.
#include "measure.h"

#if !MEMORY_TRICOLOR
#error "cleanups uses our own API"
#endif

enum { ENTRIES = 1 << 14 };

struct table {
  void *entry[ENTRIES];
};
struct index {
  struct table *table[1]; ///< as many as are needed
};
static void *root;
static uint64_t ended;

static void count_cleanup(void *context) {
  ended += context == &ended;
}
static void count_destroyed(void *object, size_t bytes, void *context) {
  (void)object;
  (void)bytes;
  (void)context;
  ended++;
}

static tri_layout *layout_of(const char *way) {
  tri_layout_description description = {.form = TRI_LAYOUT_LEAF};
  if (strcmp(way, "destroy") == 0) description.destroy = count_destroyed;
  tri_layout *layout = NULL;
  mem_check(tri_layout_make(mem_heap, &description, &layout));
  return layout;
}

static void fill(struct index *index, tri_layout *layout, size_t bytes, uint64_t count) {
  struct table *table = NULL;
  for (uint64_t i = 0; i < count; i++) {
    if (i % ENTRIES == 0) {
      table = mem_array(ENTRIES);
      if (!table) mem_fail("cleanups: the heap refused a table");
      mem_store(index, &index->table[i / ENTRIES], table);
    }
    void *object = tri_alloc(mem_mutator, layout, bytes);
    if (!object) mem_fail("cleanups: the heap refused an object");
    mem_store(table, &table->entry[i % ENTRIES], object);
  }
}

static void tie(struct index *index, const char *way, uint64_t count, tri_weak **weak) {
  bool cleanup = strcmp(way, "cleanup") == 0;
  for (uint64_t i = 0; i < count; i++) {
    void *object = index->table[i / ENTRIES]->entry[i % ENTRIES];
    if (cleanup)
      mem_check(tri_cleanup_add(mem_mutator, object, count_cleanup, &ended, NULL));
    else
      mem_check(tri_weak_make(mem_mutator, object, &weak[i]));
  }
}

int main(int argc, char **argv) {
  if (argc != 4) mem_fail("usage: cleanups none|destroy|cleanup|weak BYTES OBJECTS");
  const char *way = argv[1];
  size_t bytes = strtoul(argv[2], NULL, 10);
  uint64_t count = strtoull(argv[3], NULL, 10), dead = 0;
  bool destroy = strcmp(way, "destroy") == 0, cleanup = strcmp(way, "cleanup") == 0, weak = strcmp(way, "weak") == 0;
  if (!destroy && !cleanup && !weak && strcmp(way, "none") != 0) mem_fail("cleanups: no such way");
  if (bytes < 16 || bytes > TRI_SMALL_BYTES_MAX || count == 0) mem_fail("cleanups: arguments out of range");
  tri_weak **references = weak ? calloc(count, sizeof *references) : NULL;
  if (weak && !references) mem_fail("cleanups: no memory for the weak references");

  tri_options options;
  tri_options_init(&options);
  options.growth_percent = TRI_GROWTH_OFF;
  options.manual_cleanups = 1;
  mem_check(tri_heap_create(&options, &mem_heap));
  mem_thread_start();
  mem_layout_array = tri_layout_references(mem_heap);
  mem_root(&root);
  tri_layout *layout = layout_of(way);

  struct measure all = measure_begin();
  mem_root_store(&root, mem_array(count / ENTRIES + 1));
  fill(root, layout, bytes, count);
  uint64_t metadata = mem_statistics().metadata_bytes;
  struct measure adding = measure_begin();
  if (cleanup || weak) tie(root, way, count, references);
  measure_end(&adding);
  uint64_t tie_bytes = mem_statistics().metadata_bytes - metadata;

  // A stale word on the stack may still lead to the index, or to one table.
  mem_clear(root, root, count / ENTRIES + 1);
  mem_root_store(&root, NULL);
  uint64_t swept_before = mem_statistics().sweep_ns_total;
  mem_collect();
  uint64_t sweep_ns = mem_statistics().sweep_ns_total - swept_before;
  struct measure running = measure_begin();
  tri_cleanups_run(mem_heap, SIZE_MAX);
  measure_end(&running);
  measure_end(&all);
  for (uint64_t i = 0; weak && i < count; i++) dead += tri_weak_get(mem_mutator, references[i]) == NULL;
  if ((cleanup || destroy) && ended + 2 * ENTRIES < count) mem_fail("cleanups: too few objects have ended");
  if (weak && dead + 2 * ENTRIES < count) mem_fail("cleanups: too few weak references were cleared");

  report_open("cleanups", way);
  report_u64("bytes", bytes);
  report_u64("objects", count);
  report_u64("add_ns", adding.cpu_ns);
  report_u64("sweep_ns", sweep_ns);
  report_u64("run_ns", running.cpu_ns);
  report_u64("tie_bytes", tie_bytes);
  report_close(&all, count, count);
  mem_finish();
  return 0;
}
