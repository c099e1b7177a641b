// What does a small heap cost when a process has many: make it, attach, allocate a little, collect, destroy it?
//
//   heaps COUNT OBJECTS
//
// All heaps exist at once before the first is destroyed. Each gets OBJECTS objects of 64 bytes, every second of
// which stays alive in a list. cpu_ns is for all heaps. Memory is what the process grew by while all of them existed.
// Each reserves 1 GiB of addresses: a thousand of the default would be more than there are.
#include "measure.h"

#include "resident.h"

struct node {
  struct node *next;
  uint64_t value[7];
};

struct small_heap {
  tri_heap *heap;
  tri_mutator *mutator;
  void *list; // a root
};

static void fill(struct small_heap *small, uint32_t objects) {
  tri_layout_description description = {.form = TRI_LAYOUT_MASK, .prefix_words = 1, .prefix_mask = 1};
  tri_layout *layout = NULL;
  tri_type type;
  mem_check(tri_layout_make(small->heap, &description, &layout));
  mem_check(tri_type_make(small->heap, layout, sizeof(struct node), &type));
  for (uint32_t i = 0; i < objects; i++) {
    struct node *node = tri_new(small->mutator, type, sizeof *node);
    if (!node) mem_fail("heaps: a heap is full");
    node->value[0] = i;
    if (i % 2) continue;
    tri_init(small->mutator, node, &node->next, small->list);
    tri_root_store(small->mutator, &small->list, node);
  }
}

static void begin(struct small_heap *small, uint32_t objects) {
  tri_options options;
  tri_options_init(&options);
  options.reservation_bytes = UINT64_C(1) << 30;
  mem_check(tri_heap_create(&options, &small->heap));
  mem_check(tri_attach(small->heap, 0, &small->mutator));
  mem_check(tri_root_add_range(small->heap, &small->list, 1, 0));
  fill(small, objects);
  tri_collect(small->heap, TRI_MODE_FORCE_BLOCK);
}

/// Answers how many objects survived, by its list.
static uint64_t end(struct small_heap *small) {
  uint64_t alive = 0;
  for (const struct node *node = small->list; node; node = node->next) alive++;
  mem_check(tri_detach(small->mutator));
  mem_check(tri_heap_destroy(small->heap));
  return alive;
}

static uint64_t metadata_of_all(const struct small_heap *heaps, uint32_t count) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; i++) {
    tri_statistics statistics;
    tri_heap_statistics(heaps[i].heap, &statistics);
    bytes += statistics.metadata_bytes;
  }
  return bytes;
}

int main(int argc, char **argv) {
  if (argc != 3) mem_fail("usage: heaps COUNT OBJECTS");
  uint32_t count = (uint32_t)strtoul(argv[1], NULL, 10), objects = (uint32_t)strtoul(argv[2], NULL, 10);
  if (count == 0 || objects == 0) mem_fail("heaps: at least one heap and one object");
  struct small_heap *heaps = calloc(count, sizeof *heaps);
  if (!heaps) mem_fail("heaps: no memory");
  uint64_t alive = 0;

  mem_start(); // one heap more, for the report
  uint64_t resident = resident_bytes();
  struct measure m = measure_begin();
  for (uint32_t i = 0; i < count; i++) begin(&heaps[i], objects);
  uint64_t resident_with = resident_bytes(), metadata = metadata_of_all(heaps, count);
  for (uint32_t i = count; i-- > 0;) alive += end(&heaps[i]);
  measure_end(&m);

  if (alive != (uint64_t)count * ((objects + 1) / 2)) mem_fail("heaps: objects were lost or kept");
  report_open("heaps", "small heaps");
  report_u64("heaps", count);
  report_u64("heap_resident_bytes", (resident_with - resident) / count);
  report_u64("heap_metadata_bytes", metadata / count);
  report_close(&m, count, alive);
  free(heaps);
  mem_finish();
  return 0;
}
