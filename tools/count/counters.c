// Counters: one fixed piece of work per name. callgrind counts the instructions of count_measured() and of what it
// calls, on its own thread; building up the heap before it does not count.
//
// Invariants  two runs do the same: no cycle but those asked for (growth is off), one marking thread, fixed random
//             numbers, no native stack to scan (TRI_ATTACH_PRECISE), no setting from the environment.
// Not here    how many instructions are allowed (thresholds.txt), running callgrind (run.sh).
//
// usage: counters NAME   prints how many operations were done; without a name the names.
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tricolor.h>

enum {
  COUNT_OBJECTS = 1000000,
  COUNT_BATCH = 1000,
  COUNT_GRAPH_NODES = 200000,
  COUNT_TREE_DEPTH = 17,
  COUNT_SWEPT_OBJECTS = 1 << 20, // of 64 bytes: 64 MiB
  COUNT_CYCLES = 200,
  COUNT_SWEPT_KEEP_EVERY = 100,
  COUNT_HOLES = 100000,
  COUNT_CHURN_OBJECTS = 20000,
};

struct leaf {
  char bytes[64];
};
struct node {
  struct node *left, *right;
  long key, spare;
};
struct vertex {
  struct vertex *edge[3];
  long key;
};

static tri_heap *heap;
static tri_mutator *mutator;
static tri_type node_type, vertex_type;
static void *objects[COUNT_OBJECTS];

_Noreturn static void count_fail(const char *what) {
  fprintf(stderr, "counters: %s\n", what);
  exit(1);
}

static void *count_known(void *object) {
  if (!object) count_fail("the heap is full");
  return object;
}

// The compiler must not drop what is allocated and not used.
static inline void count_keep(const void *object) {
  __asm__ volatile("" ::"r"(object));
}

static uint64_t count_random(void) {
  static uint64_t state = 0x9E3779B97F4A7C15u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static void count_root(void *object) {
  count_known(tri_handle_make(mutator, object));
}

static tri_statistics count_statistics(void) {
  tri_statistics statistics;
  tri_heap_statistics(heap, &statistics);
  return statistics;
}

// ---- Allocation ----

static uint64_t count_alloc_leaf_uninitialized(tri_mutator *m) {
  for (int i = 0; i < COUNT_OBJECTS; i++) count_keep(tri_alloc_leaf_uninitialized(m, sizeof(struct leaf)));
  return COUNT_OBJECTS;
}

static uint64_t count_alloc_leaf(tri_mutator *m) {
  for (int i = 0; i < COUNT_OBJECTS; i++) count_keep(tri_alloc_leaf(m, sizeof(struct leaf)));
  return COUNT_OBJECTS;
}

static uint64_t count_new(tri_mutator *m) {
  struct node *last = NULL;
  for (int i = 0; i < COUNT_OBJECTS; i++) {
    struct node *node = tri_new(m, node_type, sizeof *node);
    if (!node) return 0;
    tri_init(m, node, &node->left, last);
    tri_init(m, node, &node->right, last);
    last = node;
  }
  return COUNT_OBJECTS;
}

// Every second slot is free.
static void count_make_holes(void) {
  void **kept = count_known(tri_alloc(mutator, tri_layout_references(heap), (COUNT_HOLES + 1) * sizeof *kept));
  count_root(kept);
  for (int i = 0; i < 2 * (COUNT_HOLES + 1); i++) {
    void *leaf = count_known(tri_alloc_leaf_uninitialized(mutator, sizeof(struct leaf)));
    if (i % 2) tri_store(mutator, kept, &kept[i / 2], leaf);
  }
  tri_collect(heap, TRI_MODE_FORCE_BLOCK);
}

static uint64_t count_alloc_into_holes(tri_mutator *m) {
  for (int i = 0; i < COUNT_HOLES; i++) count_keep(tri_alloc_leaf_uninitialized(m, sizeof(struct leaf)));
  return COUNT_HOLES;
}

// ---- Explicit free ----

static uint64_t count_free_pairs(tri_mutator *m) {
  for (int i = 0; i < COUNT_OBJECTS; i++) tri_free(m, tri_alloc_leaf_uninitialized(m, sizeof(struct leaf)));
  return COUNT_OBJECTS;
}

// Of two classes by turns, each back into its own window.
static uint64_t count_free_by_turns(tri_mutator *m) {
  for (int i = 0; i < COUNT_OBJECTS / 2; i++) {
    void *small = tri_alloc_leaf_uninitialized(m, sizeof(struct leaf)), *large = tri_alloc_leaf_uninitialized(m, 200);
    tri_free(m, small);
    tri_free(m, large);
  }
  return COUNT_OBJECTS;
}

static uint64_t count_free_batches(tri_mutator *m) {
  for (int round = 0; round < COUNT_OBJECTS / COUNT_BATCH; round++) {
    for (int i = 0; i < COUNT_BATCH; i++) objects[i] = tri_alloc_leaf_uninitialized(m, sizeof(struct leaf));
    for (int i = 0; i < COUNT_BATCH; i++) tri_free(m, objects[i]);
  }
  return COUNT_OBJECTS;
}

// Most objects of a program are small; the largest here has 4 KiB.
static size_t count_random_bytes(void) {
  uint64_t random = count_random();
  return 1 + (random >> 8) % (UINT64_C(16) << (random % 64 < 56 ? random % 4 : random % 9));
}

static void *count_churn_object(tri_mutator *m, bool zeroed) {
  size_t bytes = count_random_bytes();
  return zeroed ? tri_alloc_leaf(m, bytes) : tri_alloc_leaf_uninitialized(m, bytes);
}

static uint64_t count_churn(tri_mutator *m, bool zeroed) {
  for (int i = 0; i < COUNT_OBJECTS; i++) {
    void **object = &objects[count_random() % COUNT_CHURN_OBJECTS];
    tri_free(m, *object);
    *object = count_churn_object(m, zeroed);
  }
  return COUNT_OBJECTS;
}

static void count_make_churn(void) {
  for (int i = 0; i < COUNT_CHURN_OBJECTS; i++) objects[i] = count_known(count_churn_object(mutator, false));
}

static void count_make_churn_zeroed(void) {
  for (int i = 0; i < COUNT_CHURN_OBJECTS; i++) objects[i] = count_known(count_churn_object(mutator, true));
}

static uint64_t count_free_churn(tri_mutator *m) {
  return count_churn(m, false);
}

static uint64_t count_free_churn_zeroed(tri_mutator *m) {
  return count_churn(m, true);
}

// Between cycles that keep their marks: what is freed first is old.
static void count_make_churn_kept(void) {
  count_make_churn();
  void **kept = count_known(tri_alloc(mutator, tri_layout_references(heap), COUNT_CHURN_OBJECTS * sizeof *kept));
  count_root(kept);
  for (int i = 0; i < COUNT_CHURN_OBJECTS; i++) tri_store(mutator, kept, &kept[i], objects[i]);
  tri_collect(heap, TRI_MODE_FORCE_BLOCK);
}

// Beside another thread, which is attached and does nothing.
static sem_t attached, over;
static pthread_t beside;

static void *count_be_beside(void *context) {
  (void)context;
  tri_mutator *other;
  if (tri_attach(heap, TRI_ATTACH_PRECISE, &other)) count_fail("no second mutator");
  tri_blocking_begin(other);
  sem_post(&attached);
  while (sem_wait(&over)) {
  }
  tri_blocking_end(other);
  tri_detach(other);
  return NULL;
}

static void count_make_churn_beside(void) {
  count_make_churn();
  if (sem_init(&attached, 0, 0) || sem_init(&over, 0, 0) || pthread_create(&beside, NULL, count_be_beside, NULL))
    count_fail("no second thread");
  while (sem_wait(&attached)) {
  }
}

static void count_end_beside(void) {
  sem_post(&over);
  pthread_join(beside, NULL);
}

// ---- Stores ----

static void count_make_nodes(void) {
  struct node *last = NULL;
  for (int i = 0; i < COUNT_BATCH; i++) {
    struct node *node = count_known(tri_new(mutator, node_type, sizeof *node));
    tri_init(mutator, node, &node->left, last);
    objects[i] = last = node;
  }
  count_root(last);
}

static uint64_t count_stores(tri_mutator *m) {
  for (int round = 0; round < COUNT_OBJECTS / COUNT_BATCH; round++)
    for (int i = 0; i < COUNT_BATCH; i++) {
      struct node *node = objects[i];
      tri_store(m, node, &node->right, objects[COUNT_BATCH - 1 - i]);
    }
  return COUNT_OBJECTS;
}

// The barrier stays on for as long as a tracer does not return: the cycle is another thread's, the stores are ours.
static sem_t tracing, stored;
static pthread_t collecting;

static void count_trace_and_wait(const void *object, size_t bytes, tri_visitor *visitor, void *context) {
  (void)object, (void)bytes, (void)visitor, (void)context;
  sem_post(&tracing);
  while (sem_wait(&stored)) {
  }
}

static void *count_collect_background(void *context) {
  (void)context;
  tri_collect(heap, TRI_MODE_BACKGROUND);
  return NULL;
}

static void count_barrier_on(void) {
  tri_layout *layout;
  tri_layout_description waiting = {.form = TRI_LAYOUT_CUSTOM, .trace = count_trace_and_wait};
  if (tri_layout_make(heap, &waiting, &layout)) count_fail("no layout");
  count_root(count_known(tri_alloc(mutator, layout, sizeof(struct leaf))));
  count_make_nodes();
  sem_init(&tracing, 0, 0);
  sem_init(&stored, 0, 0);
  if (pthread_create(&collecting, NULL, count_collect_background, NULL)) count_fail("no thread");
  tri_blocking_begin(mutator);
  while (sem_wait(&tracing)) {
  }
  tri_blocking_end(mutator);
  if (!mutator->barrier) count_fail("the barrier is off in a background mark");
}

static void count_barrier_off(void) {
  if (!mutator->barrier) count_fail("the barrier went off before the mark was over");
  sem_post(&stored);
  tri_blocking_begin(mutator);
  pthread_join(collecting, NULL);
  tri_blocking_end(mutator);
}

// ---- Cycles ----

static void count_make_graph(void) {
  for (int i = 0; i < COUNT_GRAPH_NODES; i++)
    objects[i] = count_known(tri_new(mutator, vertex_type, sizeof(struct vertex)));
  for (int i = 0; i < COUNT_GRAPH_NODES; i++) {
    struct vertex *vertex = objects[i];
    for (int edge = 0; edge < 3; edge++)
      tri_store(mutator, vertex, &vertex->edge[edge], objects[count_random() % COUNT_GRAPH_NODES]);
  }
  count_root(objects[0]);
}

static struct node *count_tree(int depth) {
  if (depth == 0) return NULL;
  struct node *left = count_tree(depth - 1), *right = count_tree(depth - 1);
  struct node *node = count_known(tri_new(mutator, node_type, sizeof *node));
  tri_init(mutator, node, &node->left, left);
  tri_init(mutator, node, &node->right, right);
  return node;
}

static void count_make_tree(void) {
  count_root(count_tree(COUNT_TREE_DEPTH));
}

static void count_make_garbage(void) {
  enum { KEPT = COUNT_SWEPT_OBJECTS / COUNT_SWEPT_KEEP_EVERY + 1 };
  void **kept = count_known(tri_alloc(mutator, tri_layout_references(heap), KEPT * sizeof *kept));
  count_root(kept);
  for (int i = 0; i < COUNT_SWEPT_OBJECTS; i++) {
    void *leaf = count_known(tri_alloc_leaf_uninitialized(mutator, sizeof(struct leaf)));
    if (i % COUNT_SWEPT_KEEP_EVERY == 0) tri_store(mutator, kept, &kept[i / COUNT_SWEPT_KEEP_EVERY], leaf);
  }
}

// The unit of the three that mark is the object marked, of the one that sweeps the MiB swept.
static uint64_t count_mark(tri_mutator *m) {
  (void)m;
  tri_collect(heap, TRI_MODE_FORCE_BLOCK);
  return count_statistics().marked_objects_at_last_cycle;
}

static uint64_t count_mark_background(tri_mutator *m) {
  (void)m;
  tri_collect(heap, TRI_MODE_BACKGROUND);
  return count_statistics().marked_objects_at_last_cycle;
}

static uint64_t count_sweep(tri_mutator *m) {
  (void)m;
  tri_collect(heap, TRI_MODE_FORCE_BLOCK);
  return COUNT_SWEPT_OBJECTS / ((1 << 20) / sizeof(struct leaf));
}

// What a cycle costs however little there is to do: a program that keeps next to nothing alive runs one per MiB.
static uint64_t count_cycles(tri_mutator *m) {
  (void)m;
  for (int i = 0; i < COUNT_CYCLES; i++) tri_collect(heap, TRI_MODE_BACKGROUND);
  return COUNT_CYCLES;
}

// ---- The table ----

typedef struct counter {
  const char *name;
  void (*prepare)(void);
  uint64_t (*work)(tri_mutator *m); // answers how many operations it did
  void (*finish)(void);
  uint64_t cycles; // a run that does more or fewer did not measure what it says
  uint32_t generations;
} counter;

static const counter counters[] = {
    {"alloc-leaf-uninitialized-64", NULL, count_alloc_leaf_uninitialized, NULL, 0, TRI_GENERATIONS_AUTOMATIC},
    {"alloc-leaf-64", NULL, count_alloc_leaf, NULL, 0, TRI_GENERATIONS_AUTOMATIC},
    {"alloc-into-holes-64", count_make_holes, count_alloc_into_holes, NULL, 1, TRI_GENERATIONS_AUTOMATIC},
    {"new-32-init-2", NULL, count_new, NULL, 0, TRI_GENERATIONS_AUTOMATIC},
    {"free-pair-64", NULL, count_free_pairs, NULL, 0, TRI_GENERATIONS_AUTOMATIC},
    {"free-by-turns", NULL, count_free_by_turns, NULL, 0, TRI_GENERATIONS_AUTOMATIC},
    {"free-batch-64", NULL, count_free_batches, NULL, 0, TRI_GENERATIONS_AUTOMATIC},
    {"free-churn", count_make_churn, count_free_churn, NULL, 0, TRI_GENERATIONS_AUTOMATIC},
    {"free-churn-zeroed", count_make_churn_zeroed, count_free_churn_zeroed, NULL, 0, TRI_GENERATIONS_AUTOMATIC},
    {"free-churn-kept", count_make_churn_kept, count_free_churn, NULL, 1, TRI_GENERATIONS_ALWAYS},
    {"free-churn-beside", count_make_churn_beside, count_free_churn, count_end_beside, 0, TRI_GENERATIONS_AUTOMATIC},
    {"store-barrier-off", count_make_nodes, count_stores, NULL, 0, TRI_GENERATIONS_AUTOMATIC},
    {"store-barrier-on", count_barrier_on, count_stores, count_barrier_off, 1, TRI_GENERATIONS_AUTOMATIC},
    {"mark-graph", count_make_graph, count_mark, NULL, 1, TRI_GENERATIONS_AUTOMATIC},
    {"mark-tree", count_make_tree, count_mark, NULL, 1, TRI_GENERATIONS_AUTOMATIC},
    {"sweep-mib", count_make_garbage, count_sweep, NULL, 1, TRI_GENERATIONS_AUTOMATIC},
    {"background-graph", count_make_graph, count_mark_background, NULL, 1, TRI_GENERATIONS_AUTOMATIC},
    // Whether minor cycles pay is a matter of nanoseconds here.
    {"background-empty", NULL, count_cycles, NULL, COUNT_CYCLES, TRI_GENERATIONS_OFF},
};
enum { COUNTERS = sizeof counters / sizeof *counters };

static void count_open(uint32_t generations) {
  tri_options options;
  tri_options_init(&options);
  options.read_environment = 0;
  options.growth_percent = TRI_GROWTH_OFF;
  options.mark_workers = 1;
  options.generations = generations;
  options.reservation_bytes = 256 << 20; // valgrind's address space is small
  tri_layout *two, *three;
  tri_layout_description two_edges = {.form = TRI_LAYOUT_MASK, .prefix_words = 2, .prefix_mask = 3};
  tri_layout_description three_edges = {.form = TRI_LAYOUT_MASK, .prefix_words = 3, .prefix_mask = 7};
  if (tri_heap_create(&options, &heap) || tri_attach(heap, TRI_ATTACH_PRECISE, &mutator) ||
      tri_layout_make(heap, &two_edges, &two) || tri_layout_make(heap, &three_edges, &three) ||
      tri_type_make(heap, two, sizeof(struct node), &node_type) ||
      tri_type_make(heap, three, sizeof(struct vertex), &vertex_type))
    count_fail("no heap");
}

// What callgrind counts: --toggle-collect=count_measured.
__attribute__((noinline)) uint64_t count_measured(uint64_t (*work)(tri_mutator *m), tri_mutator *m);
uint64_t count_measured(uint64_t (*work)(tri_mutator *m), tri_mutator *m) {
  uint64_t operations = work(m);
  __asm__ volatile("" : "+r"(operations)); // no tail call: callgrind must see this function return
  return operations;
}

int main(int argc, char **argv) {
  for (int i = 0; i < COUNTERS; i++) {
    const counter *counter = &counters[i];
    if (argc < 2) puts(counter->name);
    if (argc < 2 || strcmp(argv[1], counter->name) != 0) continue;
    count_open(counter->generations);
    if (counter->prepare) counter->prepare();
    uint64_t operations = count_measured(counter->work, mutator);
    if (counter->finish) counter->finish();
    if (count_statistics().cycles != counter->cycles) count_fail("another number of cycles than was asked for");
    printf("%llu\n", (unsigned long long)operations);
    return 0;
  }
  if (argc > 1) count_fail("no counter of that name");
  return 0;
}
