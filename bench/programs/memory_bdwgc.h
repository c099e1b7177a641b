// The memory interface over the Boehm-Demers-Weiser collector, default options.
#ifndef BENCH_MEMORY_BDWGC_H
#define BENCH_MEMORY_BDWGC_H

#define GC_THREADS
#include <gc/gc.h>
#include <gc/gc_mark.h>

#define MEM_COLLECTED 1
#define MEM_EXPLICIT_FREE 0

typedef struct mem_type {
  bool leaf;
} mem_type;

static inline const char *mem_name(void) {
  return "bdwgc";
}
static inline void mem_start(void) {
  GC_INIT();
  GC_allow_register_threads();
}
static inline void mem_start_exact(void) {
  GC_set_all_interior_pointers(0);
  mem_start();
}
static inline void mem_start_marking(unsigned markers) {
  if (markers) GC_set_markers_count(markers);
  mem_start_exact();
}
static inline void mem_finish(void) {}
/// Threads made by pthread_create() in a file that includes this are registered already, and leave by themselves.
static __thread bool mem_thread_registered;
static inline void mem_thread_start(void) {
  struct GC_stack_base base;
  if (GC_get_stack_base(&base) != GC_SUCCESS) mem_fail("bdwgc cannot find the stack of a thread");
  mem_thread_registered = GC_register_my_thread(&base) == GC_SUCCESS;
}
static inline void mem_thread_finish(void) {
  if (mem_thread_registered) GC_unregister_my_thread();
}
/// It stops threads by signals, wherever they are.
static inline void mem_blocking_begin(void) {}
static inline void mem_blocking_end(void) {}
static inline void mem_safepoint(void) {}

static inline void *mem_leaf(size_t n) {
  return GC_malloc_atomic(n);
}
static inline void *mem_leaf_zeroed(size_t n) {
  return __builtin_memset(GC_malloc_atomic(n), 0, n);
}
static inline void *mem_mixed(size_t n) {
  return GC_malloc(n);
}
static inline void *mem_mixed_raw(size_t n) {
  return GC_malloc(n);
}
static inline int mem_resize(void *pointer, size_t n) {
  return pointer && n <= GC_size(pointer);
}
static inline void *mem_array(size_t count) {
  return GC_malloc(count * sizeof(void *));
}

static inline mem_type mem_type_make(size_t n, uint64_t mask) {
  (void)n;
  return (mem_type){.leaf = mask == 0};
}
static inline void *mem_new(mem_type type, size_t n) {
  return type.leaf ? mem_leaf_zeroed(n) : GC_malloc(n);
}
static inline void *mem_new_raw(mem_type type, size_t n) {
  return type.leaf ? GC_malloc_atomic(n) : GC_malloc(n);
}
static inline void mem_free(void *pointer) {
  (void)pointer;
}

/// Nothing to keep in registers.
typedef struct mem_self {
  char unused;
} mem_self;
static inline mem_self mem_self_get(void) {
  return (mem_self){0};
}
static inline void *mem_self_leaf(mem_self self, size_t n) {
  (void)self;
  return mem_leaf(n);
}
static inline void *mem_self_leaf_zeroed(mem_self self, size_t n) {
  (void)self;
  return mem_leaf_zeroed(n);
}
static inline void mem_self_free(mem_self self, void *pointer) {
  (void)self;
  mem_free(pointer);
}

static inline void mem_store(void *object, void *slot, void *value) {
  (void)object;
  *(mem_slot *)slot = value;
}
static inline void mem_init(void *object, void *slot, void *value) {
  (void)object;
  *(mem_slot *)slot = value;
}
static inline void mem_clear(void *object, void *slots, size_t count) {
  (void)object;
  __builtin_memset(slots, 0, count * sizeof(void *));
}
static inline void mem_root(void **slot) {
  GC_add_roots(slot, slot + 1);
}
static inline void mem_root_store(void **slot, void *value) {
  *slot = value;
}

static inline void mem_grow_only(size_t bytes) {
  if (!GC_expand_hp(bytes)) mem_fail("bdwgc cannot grow its heap");
  GC_disable();
}
static inline void mem_grow_end(void) {
  GC_enable();
}
static inline void mem_collect(void) {
  GC_gcollect();
}
static inline void mem_cycle(void) {
  GC_gcollect();
}
static inline uint64_t mem_cycles(void) {
  return GC_get_gc_no();
}
static inline uint64_t mem_mark_cpu_ns(void) {
  return 0;
}
static inline uint64_t mem_mark_wall_ns(void) {
  return 0;
}

static void GC_CALLBACK mem_count_object(void *object, size_t bytes, void *count) {
  (void)object, (void)bytes;
  ++*(uint64_t *)count;
}
static void *GC_CALLBACK mem_count_objects(void *count) {
  GC_enumerate_reachable_objects_inner(mem_count_object, count);
  return NULL;
}
static inline uint64_t mem_marked_objects(void) {
  uint64_t count = 0;
  GC_call_with_alloc_lock(mem_count_objects, &count);
  return count;
}

static inline void mem_write_statistics(FILE *out) {
  unsigned version = GC_get_version();
  fprintf(out, ",\"version\":\"%u.%u.%u\"", version >> 16, version >> 8 & 255, version & 255);
  fprintf(out, ",\"mapped_bytes\":%llu", (unsigned long long)GC_get_heap_size());
}

#endif
