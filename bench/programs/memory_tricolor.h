// The memory interface over Tricolor: collected with default options, or (MEMORY_TRICOLOR_FREE) explicit free
// with automatic cycles off.
#ifndef BENCH_MEMORY_TRICOLOR_H
#define BENCH_MEMORY_TRICOLOR_H

#include "tricolor.h"

#if MEMORY_TRICOLOR_FREE
#define MEM_COLLECTED 0
#define MEM_EXPLICIT_FREE 1
#else
#define MEM_COLLECTED 1
#define MEM_EXPLICIT_FREE 0
#endif

typedef tri_type mem_type;

static tri_heap *mem_heap;
static tri_layout *mem_layout_leaf, *mem_layout_mixed, *mem_layout_array;
static uint32_t mem_growth_percent;
/// This thread's attachment.
static __thread tri_mutator *mem_mutator;

static inline const char *mem_name(void) {
  return MEM_COLLECTED ? "tricolor" : "tricolor-free";
}

static inline void mem_check(tri_status status) {
  if (status != TRI_OK) mem_fail(tri_status_text(status));
}

static inline void mem_thread_start(void) {
  mem_check(tri_attach(mem_heap, 0, &mem_mutator));
}
static inline void mem_thread_finish(void) {
  mem_check(tri_detach(mem_mutator));
}

static inline void mem_blocking_begin(void) {
  tri_blocking_begin(mem_mutator);
}
static inline void mem_blocking_end(void) {
  tri_blocking_end(mem_mutator);
}
static inline void mem_safepoint(void) {
  tri_safepoint(mem_mutator);
}

static inline tri_layout *mem_layout_with_mask(uint32_t words, uint64_t mask) {
  tri_layout_description description = {.form = TRI_LAYOUT_MASK, .prefix_words = words, .prefix_mask = mask};
  tri_layout *layout = NULL;
  mem_check(tri_layout_make(mem_heap, &description, &layout));
  return layout;
}

static inline void mem_start_marking(unsigned markers) {
  tri_options options;
  tri_options_init(&options);
  options.mark_workers = markers;
  if (MEM_EXPLICIT_FREE) options.growth_percent = TRI_GROWTH_OFF;
  mem_growth_percent = options.growth_percent;
  mem_check(tri_heap_create(&options, &mem_heap));
  mem_thread_start();
  mem_layout_leaf = tri_layout_leaf(mem_heap);
  mem_layout_array = tri_layout_references(mem_heap);
  mem_layout_mixed = mem_layout_with_mask(1, 1);
}
static inline void mem_start(void) {
  mem_start_marking(0);
}
static inline void mem_start_exact(void) {
  mem_start();
}
static inline void mem_finish(void) {
  mem_thread_finish();
  mem_check(tri_heap_destroy(mem_heap));
}

/// What a hot loop keeps in registers, as an interpreter would: the API takes the mutator as an argument.
typedef struct mem_self {
  tri_mutator *mutator;
} mem_self;
static inline mem_self mem_self_get(void) {
  return (mem_self){mem_mutator};
}
static inline void *mem_self_leaf(mem_self self, size_t n) {
  return tri_alloc_leaf_uninitialized(self.mutator, n);
}
static inline void *mem_self_leaf_zeroed(mem_self self, size_t n) {
  return tri_alloc_leaf(self.mutator, n);
}
static inline void mem_self_free(mem_self self, void *pointer) {
  if (MEM_EXPLICIT_FREE) tri_free(self.mutator, pointer);
}

static inline void *mem_leaf(size_t n) {
  return tri_alloc_leaf_uninitialized(mem_mutator, n);
}
static inline void *mem_leaf_zeroed(size_t n) {
  return tri_alloc_leaf(mem_mutator, n);
}
static inline void *mem_mixed(size_t n) {
  return tri_alloc(mem_mutator, mem_layout_mixed, n);
}
static inline void *mem_mixed_raw(size_t n) {
  return tri_alloc_uninitialized(mem_mutator, mem_layout_mixed, n);
}
/// Whether the block holds n bytes where it is, now or already.
static inline int mem_resize(void *pointer, size_t n) {
  return tri_resize(mem_mutator, pointer, n);
}
static inline void *mem_array(size_t count) {
  return tri_alloc(mem_mutator, mem_layout_array, count * sizeof(void *));
}

static inline mem_type mem_type_make(size_t n, uint64_t mask) {
  tri_layout *layout = mask ? mem_layout_with_mask((uint32_t)(n / sizeof(void *)), mask) : mem_layout_leaf;
  mem_type type;
  mem_check(tri_type_make(mem_heap, layout, n, &type));
  return type;
}
static inline __attribute__((always_inline)) void *mem_new(mem_type type, size_t n) {
  return tri_new(mem_mutator, type, n);
}
static inline __attribute__((always_inline)) void *mem_new_raw(mem_type type, size_t n) {
  return tri_new(mem_mutator, type, n);
}
static inline void mem_free(void *pointer) {
  if (MEM_EXPLICIT_FREE) tri_free(mem_mutator, pointer);
}

static inline void mem_store(void *object, void *slot, void *value) {
  tri_store(mem_mutator, object, slot, value);
}
static inline void mem_init(void *object, void *slot, void *value) {
  tri_init(mem_mutator, object, slot, value);
}
static inline void mem_clear(void *object, void *slots, size_t count) {
  tri_clear(mem_mutator, object, slots, count);
}
static inline void mem_root(void **slot) {
  mem_check(tri_root_add_range(mem_heap, slot, 1, 0));
}
static inline void mem_root_store(void **slot, void *value) {
  tri_root_store(mem_mutator, slot, value);
}

static inline void mem_grow_only(size_t bytes) {
  (void)bytes;
  mem_check(tri_heap_set_growth_percent(mem_heap, TRI_GROWTH_OFF));
}
static inline void mem_grow_end(void) {
  mem_check(tri_heap_set_growth_percent(mem_heap, mem_growth_percent));
}
static inline void mem_collect(void) {
  tri_collect(mem_heap, TRI_MODE_FORCE_BLOCK);
}
static inline void mem_cycle(void) {
  tri_collect(mem_heap, TRI_MODE_BACKGROUND);
}

static inline tri_statistics mem_statistics(void) {
  tri_statistics statistics;
  tri_heap_statistics(mem_heap, &statistics);
  return statistics;
}
static inline uint64_t mem_cycles(void) {
  return mem_statistics().cycles;
}
static inline uint64_t mem_mark_cpu_ns(void) {
  return mem_statistics().mark_ns_total;
}
static inline uint64_t mem_mark_wall_ns(void) {
  return mem_statistics().mark_ns_at_last_cycle;
}
static inline uint64_t mem_marked_objects(void) {
  return mem_statistics().marked_objects_at_last_cycle;
}

static inline void mem_write_statistics(FILE *out) {
  tri_statistics s = mem_statistics();
  fprintf(out, ",\"pause_ns_max\":%llu,\"pause_ns_total\":%llu,\"mark_ns_total\":%llu",
          (unsigned long long)s.pause_ns_max, (unsigned long long)s.pause_ns_total,
          (unsigned long long)s.mark_ns_total);
  fprintf(out, ",\"sweep_ns_total\":%llu,\"assist_ns_total\":%llu,\"mapped_bytes\":%llu,\"metadata_bytes\":%llu",
          (unsigned long long)s.sweep_ns_total, (unsigned long long)s.assist_ns_total,
          (unsigned long long)s.mapped_bytes, (unsigned long long)s.metadata_bytes);
}

#endif
