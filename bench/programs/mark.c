// How fast are live objects marked: full stop-the-world collections of a large graph of 64-byte objects?
//
//   mark random|tree|list OBJECTS COLLECTIONS
//
// random: three references to uniformly random objects; tree: a binary tree in allocation order; list: one
// list through all objects in random order. Nothing is collected while the graph is built. cpu_ns is the
// fastest collection. The objects reached are counted by a traversal of our own before the first collection;
// `marked` is what the collector says it found.
#include "measure.h"

enum { ROOTS = 64, EXTRA_ALLOWED = 64, COLLECTIONS_MAX = 64 };

struct node {
  struct node *edge[3];
  uint64_t visited;
  uint64_t payload[4];
};

static void *root;

static void link_random(struct node **nodes, uint32_t count, struct random *random) {
  for (uint32_t i = 0; i < count; i++)
    for (int k = 0; k < 3; k++) mem_store(nodes[i], &nodes[i]->edge[k], nodes[random_below(random, count)]);
}

static void link_tree(struct node **nodes, uint32_t count) {
  for (uint32_t i = 1; i < count; i++) {
    struct node *parent = nodes[(i - 1) / 2];
    mem_store(parent, &parent->edge[i & 1], nodes[i]);
  }
}

static void link_list(struct node **nodes, uint32_t count, struct random *random) {
  for (uint32_t i = count - 1; i > 0; i--) { // shuffle
    uint32_t other = random_below(random, i + 1);
    struct node *node = nodes[i];
    nodes[i] = nodes[other];
    nodes[other] = node;
  }
  for (uint32_t i = 1; i < count; i++) mem_store(nodes[i - 1], &nodes[i - 1]->edge[0], nodes[i]);
}

/// Builds the graph and leaves only the root array as a way into it.
static void build(const char *shape, uint32_t count) {
  struct random random = {7};
  mem_type type = mem_type_make(sizeof(struct node), 7);
  struct node **nodes = malloc(count * sizeof *nodes);
  if (!nodes) mem_fail("mark: no memory for the table of objects");
  for (uint32_t i = 0; i < count; i++) {
    nodes[i] = mem_new(type, sizeof **nodes);
    nodes[i]->payload[0] = i;
  }
  struct node **roots = mem_array(ROOTS);
  mem_root_store(&root, roots);
  if (strcmp(shape, "random") == 0)
    link_random(nodes, count, &random);
  else if (strcmp(shape, "tree") == 0)
    link_tree(nodes, count);
  else if (strcmp(shape, "list") == 0)
    link_list(nodes, count, &random);
  else
    mem_fail("mark: the shape is random, tree or list");
  mem_store(roots, &roots[0], nodes[0]);
  free(nodes);
}

/// Objects reachable from the root array, which is counted as one.
static uint64_t count_reachable(uint32_t count) {
  struct node **stack = malloc((size_t)count * sizeof *stack), **roots = root;
  if (!stack) mem_fail("mark: no memory for the traversal");
  size_t depth = 0;
  uint64_t reached = 1;
  stack[depth++] = roots[0];
  roots[0]->visited = 1;
  while (depth > 0) {
    struct node *node = stack[--depth];
    reached++;
    for (int k = 0; k < 3; k++) {
      struct node *next = node->edge[k];
      if (!next || next->visited) continue;
      next->visited = 1;
      stack[depth++] = next;
    }
  }
  free(stack);
  return reached;
}

/// The fastest of several collections; its wall time may be another's.
static struct measure collect(unsigned collections) {
  struct measure fastest = {UINT64_MAX, UINT64_MAX, 0};
  for (unsigned i = 0; i < collections; i++) {
    struct measure m = measure_begin();
    mem_collect();
    measure_end(&m);
    if (m.cpu_ns < fastest.cpu_ns) fastest.cpu_ns = m.cpu_ns;
    if (m.wall_ns < fastest.wall_ns) fastest.wall_ns = m.wall_ns;
    fastest.cycles += m.cycles;
  }
  return fastest;
}

int main(int argc, char **argv) {
  if (argc != 4) mem_fail("usage: mark random|tree|list OBJECTS COLLECTIONS");
  uint32_t count = (uint32_t)strtoul(argv[2], NULL, 10);
  unsigned collections = (unsigned)strtoul(argv[3], NULL, 10);
  if (count == 0 || collections == 0 || collections > COLLECTIONS_MAX) mem_fail("mark: counts out of range");

  mem_start_exact();
  mem_root(&root);
  mem_grow_only((size_t)count * sizeof(struct node) * 9 / 8);
  build(argv[1], count);
  uint64_t reachable = count_reachable(count);
  mem_grow_end();

  struct measure m = collect(collections);
  uint64_t marked = mem_marked_objects();

  report_open("mark", argv[1]);
  report_u64("objects", count);
  report_u64("collections", collections);
  report_u64("reachable", reachable);
  report_u64("marked", marked);
  report_u64("marked_right", marked >= reachable && marked <= reachable + EXTRA_ALLOWED);
  report_close(&m, reachable, reachable);
  mem_finish();
  return 0;
}
