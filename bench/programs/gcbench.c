// How does a heap do with trees of every size, built from the top and from the bottom, beside a long-lived
// tree and a large array without references? After the GCBench of Ellis, Kovac and Boehm.
//
//   gcbench DEPTH      the long-lived tree's depth; 16 is the classic size
//
// Malloc contenders free every tree; collected ones drop it.
#include "measure.h"

enum { DEPTH_MIN = 4, STRETCH = 2, DOUBLES_AT_16 = 500000 };

struct node {
  struct node *left, *right;
  int32_t i, j;
};

static void *root_tree, *root_array;
static mem_type node_type;
static uint64_t allocated;

static uint64_t tree_size(unsigned depth) {
  return (UINT64_C(2) << depth) - 1;
}

static struct node *new_node(struct node *left, struct node *right) {
  struct node *node = mem_new_raw(node_type, sizeof *node);
  mem_init(node, &node->left, left);
  mem_init(node, &node->right, right);
  node->i = node->j = 0;
  allocated++;
  return node;
}

/// From the top: children are stored into a parent that exists already.
static void populate(unsigned depth, struct node *node) {
  if (depth == 0) return;
  mem_store(node, &node->left, new_node(NULL, NULL));
  mem_store(node, &node->right, new_node(NULL, NULL));
  populate(depth - 1, node->left);
  populate(depth - 1, node->right);
}

static struct node *make_from_bottom(unsigned depth) {
  if (depth == 0) return new_node(NULL, NULL);
  struct node *left = make_from_bottom(depth - 1);
  struct node *right = make_from_bottom(depth - 1);
  return new_node(left, right);
}

static struct node *make_from_top(unsigned depth) {
  struct node *node = new_node(NULL, NULL);
  populate(depth, node);
  return node;
}

static uint64_t count_tree(const struct node *node) {
  return node ? 1 + count_tree(node->left) + count_tree(node->right) : 0;
}

static void drop_tree(struct node *node) {
  if (!MEM_EXPLICIT_FREE || !node) return;
  drop_tree(node->left);
  drop_tree(node->right);
  mem_free(node);
}

static void short_lived_trees(unsigned depth, unsigned depth_max) {
  uint64_t iterations = 2 * tree_size(depth_max + STRETCH) / tree_size(depth);
  for (uint64_t i = 0; i < iterations; i++) drop_tree(mem_opaque(make_from_top(depth)));
  for (uint64_t i = 0; i < iterations; i++) drop_tree(mem_opaque(make_from_bottom(depth)));
}

static double *make_array(size_t count) {
  double *array = mem_leaf_zeroed(count * sizeof *array);
  for (size_t i = 0; i < count / 2; i++) array[i] = 1.0 / (double)(i + 1);
  return array;
}

static uint64_t all_trees(unsigned depth_max, size_t doubles) {
  drop_tree(mem_opaque(make_from_bottom(depth_max + STRETCH)));
  mem_root_store(&root_tree, make_from_top(depth_max));
  mem_root_store(&root_array, make_array(doubles));
  for (unsigned depth = DEPTH_MIN; depth <= depth_max; depth += 2) short_lived_trees(depth, depth_max);
  const double *array = root_array;
  if (array[999] != 1.0 / 1000) mem_fail("gcbench: the array is damaged");
  return count_tree(root_tree);
}

int main(int argc, char **argv) {
  if (argc != 2) mem_fail("usage: gcbench DEPTH");
  unsigned depth = (unsigned)strtoul(argv[1], NULL, 10);
  if (depth < 10 || depth > 24) mem_fail("gcbench: depth from 10 to 24");

  mem_start();
  node_type = mem_type_make(sizeof(struct node), 3);
  mem_root(&root_tree);
  mem_root(&root_array);

  struct measure m = measure_begin();
  uint64_t live = all_trees(depth, (size_t)((uint64_t)DOUBLES_AT_16 << depth >> 16));
  drop_tree(root_tree);
  mem_free(root_array);
  measure_end(&m);

  if (live != tree_size(depth)) mem_fail("gcbench: the long-lived tree is damaged");
  report_open("gcbench", "gcbench");
  report_u64("depth", depth);
  report_close(&m, allocated, live);
  mem_finish();
  return 0;
}
