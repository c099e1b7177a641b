// What does the write barrier cost in real loops: plain stores, stores while no cycle runs, stores while one marks?
//
//   barriers tree|hash|list STORES LISTED
//
// tree: a splay tree of 64-byte nodes, looking up random keys; every step stores children. hash: a table replaces the
// entry of a random key. list: a random node leaves a doubly linked list and is spliced in elsewhere. All three
// ways run the same code in one process over structures of the same size, and must end with the same contents:
//
//   raw   memory from malloc, plain stores: no heap at all
//   off   tri_store() into heap objects, no cycle running
//   on    the same while another thread runs background cycles back to back. What they mark beside the structure is a
//         shuffled list of LISTED objects, which keeps a marker busy for long. Only pieces of work that began and
//         ended with the barrier on are counted; marking_share_permille says how much of the time that was.
//
// STORES is about how many are counted in each way; the fastest of three rounds counts. cpu_ns and operations are
// those of `off`. CPU time of the storing thread.
#include "measure.h"

#include <pthread.h>
#include <stdatomic.h>

#if !MEMORY_TRICOLOR
#error "barriers measures our write barrier; there is nothing to compare in other contenders"
#endif

enum { NODES = 1 << 15, ROUNDS = 3, PIECE_STORES = 1 << 14 };

enum way { RAW, OFF, ON, WAYS };

struct node {
  struct node *left, *right; // of a list: previous and next
  uint64_t key;
  uint64_t payload[5];
};
_Static_assert(sizeof(struct node) == 64, "one cache line");

/// One structure in memory of one kind, and how far its random sequence has come.
struct structure {
  struct node **table; ///< every node of the structure, which keeps them alive; the table of `hash`
  struct node **spare; ///< what `hash` puts in next
  struct node *tree;   ///< the root of `tree`
  struct node *scratch;
  struct random random;
  uint64_t stores, check;
};

static void *roots[2][3];
static mem_type node_type;

// ---- The stores, and the code that makes them: compiled once for raw memory and once for the heap ----

#define TEMPLATE static inline __attribute__((always_inline))

/// What the loops keep in registers, as an interpreter would.
struct self {
  bool raw;
  tri_mutator *mutator;
};

TEMPLATE void store(struct self self, struct structure *s, void *object, struct node **slot, struct node *value) {
  s->stores++;
  if (self.raw)
    // What a program in C does, except that the compiler may not merge or drop it.
    *(struct node *volatile *)slot = value;
  else
    tri_store(self.mutator, object, slot, value);
}

/// Brings the key to the root, top down (Sleator and Tarjan). The halves hang off the scratch node meanwhile.
TEMPLATE struct node *splay(struct self self, struct structure *s, struct node *root, uint64_t key) {
  struct node *less = s->scratch, *more = s->scratch;
  store(self, s, s->scratch, &s->scratch->left, NULL);
  store(self, s, s->scratch, &s->scratch->right, NULL);
  while (root->key != key) {
    if (key < root->key) {
      struct node *child = root->left;
      if (!child) break;
      if (key < child->key) { // rotate right
        store(self, s, root, &root->left, child->right);
        store(self, s, child, &child->right, root);
        root = child;
        if (!root->left) break;
      }
      store(self, s, more, &more->left, root);
      more = root;
      root = root->left;
    } else {
      struct node *child = root->right;
      if (!child) break;
      if (key > child->key) { // rotate left
        store(self, s, root, &root->right, child->left);
        store(self, s, child, &child->left, root);
        root = child;
        if (!root->right) break;
      }
      store(self, s, less, &less->right, root);
      less = root;
      root = root->right;
    }
  }
  store(self, s, less, &less->right, root->left);
  store(self, s, more, &more->left, root->right);
  store(self, s, root, &root->left, s->scratch->right);
  store(self, s, root, &root->right, s->scratch->left);
  return root;
}

TEMPLATE void turn_tree(struct self self, struct structure *s) {
  s->tree = splay(self, s, s->tree, random_below(&s->random, NODES));
  s->check = s->check * 31 + s->tree->key;
}

TEMPLATE void replace_entry(struct self self, struct structure *s) {
  uint32_t key = random_below(&s->random, NODES);
  // Open addressing; what comes in has the key of what goes out.
  uint32_t slot = (uint32_t)(key * UINT32_C(2654435761)) % NODES;
  struct node *old = s->table[slot], *new = s->spare[slot];
  s->check = s->check * 31 + old->key;
  store(self, s, s->table, &s->table[slot], new);
  store(self, s, s->spare, &s->spare[slot], old);
}

TEMPLATE void splice(struct self self, struct structure *s) {
  struct node *node = s->table[random_below(&s->random, NODES)], *after = s->table[random_below(&s->random, NODES)];
  if (node == after) return;
  store(self, s, node->left, &node->left->right, node->right);
  store(self, s, node->right, &node->right->left, node->left);
  struct node *before = after->right;
  store(self, s, node, &node->left, after);
  store(self, s, node, &node->right, before);
  store(self, s, before, &before->left, node);
  store(self, s, after, &after->right, node);
  s->check = s->check * 31 + before->key;
}

TEMPLATE void work(struct self self, struct structure *s, char loop) {
  uint64_t end = s->stores + PIECE_STORES;
  switch (loop) {
  case 't':
    while (s->stores < end) turn_tree(self, s);
    break;
  case 'h':
    while (s->stores < end) replace_entry(self, s);
    break;
  default:
    while (s->stores < end) splice(self, s);
  }
}

static __attribute__((noinline)) void work_raw(struct structure *s, char loop) {
  work((struct self){.raw = true}, s, loop);
}
static __attribute__((noinline)) void work_heap(struct structure *s, char loop) {
  work((struct self){.raw = false, .mutator = mem_mutator}, s, loop);
}

// ---- Building ----

/// Raw nodes lie side by side like those of a heap, not with malloc's headers between them.
static struct node *make_raw_node(void) {
  enum { NODES_MAX = 2 * NODES + 1 };
  static struct node *nodes;
  static uint32_t made;
  if (!nodes) nodes = aligned_alloc(sizeof *nodes, NODES_MAX * sizeof *nodes);
  return nodes && made < NODES_MAX ? &nodes[made++] : NULL;
}

static struct node *make_node(bool raw, uint64_t key) {
  struct node *node = raw ? make_raw_node() : mem_new(node_type, sizeof *node);
  if (!node) mem_fail("barriers: no memory");
  *node = (struct node){.key = key};
  return node;
}

static struct node **make_table(bool raw, void **slot) {
  struct node **table = raw ? calloc(NODES, sizeof *table) : mem_array(NODES);
  if (!table) mem_fail("barriers: no memory");
  if (raw)
    *slot = table;
  else
    mem_root_store(slot, table);
  return table;
}

/// A balanced tree of the keys from `from` to `to`.
static struct node *link_tree(struct self self, struct structure *s, uint32_t from, uint32_t to) {
  if (from == to) return NULL;
  uint32_t middle = from + (to - from) / 2;
  struct node *node = s->table[middle];
  store(self, s, node, &node->left, link_tree(self, s, from, middle));
  store(self, s, node, &node->right, link_tree(self, s, middle + 1, to));
  return node;
}

static struct structure build(bool raw, char loop) {
  if (!raw)
    for (int i = 0; i < 3; i++) mem_root(&roots[raw][i]);
  struct self self = {raw, mem_mutator};
  struct structure s = {.random = {17}};
  s.table = make_table(raw, &roots[raw][0]);
  s.spare = make_table(raw, &roots[raw][1]);
  s.scratch = make_node(raw, 0);
  if (!raw) mem_root_store(&roots[raw][2], s.scratch);
  for (uint32_t i = 0; i < NODES; i++) store(self, &s, s.table, &s.table[i], make_node(raw, i));
  if (loop == 't') s.tree = link_tree(self, &s, 0, NODES);
  if (loop == 'h')
    for (uint32_t i = 0; i < NODES; i++) store(self, &s, s.spare, &s.spare[i], make_node(raw, i));
  if (loop == 'l')
    for (uint32_t i = 0; i < NODES; i++) {
      store(self, &s, s.table[i], &s.table[i]->left, s.table[(i + NODES - 1) % NODES]);
      store(self, &s, s.table[i], &s.table[i]->right, s.table[(i + 1) % NODES]);
    }
  s.stores = 0;
  return s;
}

static void *ballast;
/// One list through `count` nodes in random order: every object of it waits for the one before.
static void build_ballast(uint32_t count) {
  struct node **nodes = malloc(count * sizeof *nodes);
  struct random random = {23};
  if (!nodes) mem_fail("barriers: no memory");
  for (uint32_t i = 0; i < count; i++) nodes[i] = make_node(false, i);
  for (uint32_t i = count - 1; i > 0; i--) {
    uint32_t other = random_below(&random, i + 1);
    struct node *node = nodes[i];
    nodes[i] = nodes[other];
    nodes[other] = node;
  }
  for (uint32_t i = 1; i < count; i++) mem_store(nodes[i - 1], &nodes[i - 1]->right, nodes[i]);
  mem_root(&ballast);
  mem_root_store(&ballast, nodes[0]);
  free(nodes);
}

// ---- Cycles back to back ----

static atomic_bool cycles_end;
static void *run_cycles(void *unused) {
  (void)unused;
  while (!cycles_end) tri_collect(mem_heap, TRI_MODE_BACKGROUND);
  return NULL;
}

static pthread_t cycles_begin(void) {
  pthread_t thread;
  cycles_end = false;
  if (pthread_create(&thread, NULL, run_cycles, NULL) != 0) mem_fail("barriers: no thread for the cycles");
  return thread;
}

static void cycles_finish(pthread_t thread) {
  cycles_end = true;
  tri_blocking_begin(mem_mutator); // the cycle under way needs this thread's answer
  pthread_join(thread, NULL);
  tri_blocking_end(mem_mutator);
}

// ---- Measuring ----

struct timing {
  uint64_t ns, stores;         ///< of the pieces that count
  uint64_t all_ns, marking_ns; ///< wall time; of it, with the barrier on
};

static bool barrier_is_on(void) {
  // Between cycles it may log stores into old objects: that is what a default heap does then.
  return (mem_mutator->barrier & TRI_SHADES_ANY) != 0;
}

static void piece(enum way way, struct structure *s, char loop, struct timing *timing) {
  bool counts = barrier_is_on() == (way == ON);
  uint64_t stores = s->stores, wall = clock_ns(CLOCK_MONOTONIC), began = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  if (way == RAW)
    work_raw(s, loop);
  else
    work_heap(s, loop);
  uint64_t ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - began;
  wall = clock_ns(CLOCK_MONOTONIC) - wall;
  timing->all_ns += wall;
  if (way == ON && counts) timing->marking_ns += wall;
  if (counts) { // and no safepoint was passed: the barrier is as it was
    timing->ns += ns;
    timing->stores += s->stores - stores;
  }
  tri_safepoint(mem_mutator);
}

static struct timing measure_way(enum way way, struct structure *s, char loop, uint64_t stores) {
  struct timing timing = {0};
  pthread_t cycles = way == ON ? cycles_begin() : 0;
  // A machine so busy that the marker never runs must not hang the bench.
  uint64_t pieces_max = 64 * (stores / PIECE_STORES + 1);
  for (uint64_t i = 0; timing.stores < stores && i < pieces_max; i++) piece(way, s, loop, &timing);
  if (way == ON) cycles_finish(cycles);
  return timing;
}

static void report_way(const char *name, const struct timing *timing) {
  char field[64];
  snprintf(field, sizeof field, "%s_store_ns", name);
  report_u64(field, timing->ns);
  snprintf(field, sizeof field, "%s_stores", name);
  report_u64(field, timing->stores);
}

/// What the structure looks like, whatever it was made from: the keys in order of the table, and of each its
/// children's.
static uint64_t contents(const struct structure *s) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < NODES; i++) {
    const struct node *node = s->table[i];
    sum = sum * 31 + node->key * 7 + (node->left ? node->left->key * 3 : 1) + (node->right ? node->right->key : 2);
  }
  return sum;
}

int main(int argc, char **argv) {
  if (argc != 4) mem_fail("usage: barriers tree|hash|list STORES LISTED");
  char loop = argv[1][0];
  uint64_t stores = strtoull(argv[2], NULL, 10);
  uint32_t listed = (uint32_t)strtoul(argv[3], NULL, 10);
  if (strchr("thl", loop) == NULL || stores < PIECE_STORES || listed == 0) mem_fail("barriers: arguments out of range");

  mem_start();
  mem_grow_only((size_t)listed * sizeof(struct node) * 2);
  node_type = mem_type_make(sizeof(struct node), 3);
  struct structure raw = build(true, loop), heap = build(false, loop);
  build_ballast(listed);

  struct timing fastest[WAYS] = {0};
  struct timing marking = {0};
  struct measure m = measure_begin();
  for (int round = 0; round < ROUNDS; round++)
    for (enum way way = RAW; way < WAYS; way++) {
      struct timing timing = measure_way(way, way == RAW ? &raw : &heap, loop, stores);
      if (timing.stores == 0) mem_fail("barriers: no piece of work ran with the barrier as wanted");
      struct timing *best = &fastest[way];
      if (best->stores == 0 || timing.ns * best->stores < best->ns * timing.stores) *best = timing;
      if (way == ON) marking.all_ns += timing.all_ns, marking.marking_ns += timing.marking_ns;
    }
  measure_end(&m);

  // The heap's structure did more: bring the raw one as far, then both must look the same.
  while (raw.stores < heap.stores) work_raw(&raw, loop);
  if (raw.stores != heap.stores || raw.check != heap.check || contents(&raw) != contents(&heap))
    mem_fail("barriers: the structure in the heap is not what plain stores made");
  if (fastest[ON].stores == 0) mem_fail("barriers: the barrier was never on");

  report_open("barriers", argv[1]);
  report_way("raw", &fastest[RAW]);
  report_way("off", &fastest[OFF]);
  report_way("on", &fastest[ON]);
  report_u64("marking_share_permille", marking.marking_ns * 1000 / marking.all_ns);
  m.cpu_ns = m.wall_ns = fastest[OFF].ns;
  report_close(&m, fastest[OFF].stores, 1);
  mem_finish();
  return 0;
}
