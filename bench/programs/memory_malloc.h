// The memory interface over malloc and free. Build with -fno-builtin-malloc, -fno-builtin-calloc and
// -fno-builtin-free, so that the compiler does not turn malloc and zero stores into calloc.
#ifndef BENCH_MEMORY_MALLOC_H
#define BENCH_MEMORY_MALLOC_H

#define MEM_COLLECTED 0
#define MEM_EXPLICIT_FREE 1

typedef struct mem_type {
  size_t bytes;
} mem_type;

static inline const char *mem_name(void) {
  return "malloc";
}
static inline void mem_start(void) {}
static inline void mem_start_exact(void) {}
static inline void mem_start_marking(unsigned markers) {
  (void)markers;
}
static inline void mem_finish(void) {}
static inline void mem_thread_start(void) {}
static inline void mem_thread_finish(void) {}
static inline void mem_blocking_begin(void) {}
static inline void mem_blocking_end(void) {}
static inline void mem_safepoint(void) {}

static inline void *mem_leaf(size_t n) {
  return malloc(n);
}
static inline void *mem_leaf_zeroed(size_t n) {
  return calloc(1, n);
}
static inline void *mem_mixed(size_t n) {
  return calloc(1, n);
}
static inline void *mem_mixed_raw(size_t n) {
  return malloc(n);
}
static inline int mem_resize(void *pointer, size_t n) { // they have realloc
  (void)pointer;
  (void)n;
  return 0;
}
static inline void *mem_array(size_t count) {
  return calloc(count, sizeof(void *));
}

static inline mem_type mem_type_make(size_t n, uint64_t mask) {
  (void)mask;
  return (mem_type){n};
}
static inline void *mem_new(mem_type type, size_t n) {
  (void)type;
  return calloc(1, n);
}
static inline void *mem_new_raw(mem_type type, size_t n) {
  (void)type;
  return malloc(n);
}
static inline void mem_free(void *pointer) {
  free(pointer);
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
  (void)slot;
}
static inline void mem_root_store(void **slot, void *value) {
  *slot = value;
}

static inline void mem_grow_only(size_t bytes) {
  (void)bytes;
}
static inline void mem_grow_end(void) {}
static inline void mem_collect(void) {}
static inline void mem_cycle(void) {}
static inline uint64_t mem_cycles(void) {
  return 0;
}
static inline uint64_t mem_mark_cpu_ns(void) {
  return 0;
}
static inline uint64_t mem_mark_wall_ns(void) {
  return 0;
}
static inline uint64_t mem_marked_objects(void) {
  return 0;
}
static inline void mem_write_statistics(FILE *out) {
  (void)out;
}

#endif
