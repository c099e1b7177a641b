// What do trees of small linked objects cost, most of them short-lived, one long-lived? The shape of the
// benchmarks game's binary-trees program.
//
//   trees DEPTH
//
// Malloc contenders free every tree; collected ones drop it.
#include "measure.h"

enum { DEPTH_MIN = 4 };

struct node {
  struct node *left, *right;
};

static void *root;
static mem_type node_type;
static uint64_t allocated;

static struct node *make_tree(unsigned depth) {
  struct node *left = NULL, *right = NULL;
  if (depth > 0) {
    left = make_tree(depth - 1);
    right = make_tree(depth - 1);
  }
  struct node *node = mem_new_raw(node_type, sizeof *node);
  mem_init(node, &node->left, left);
  mem_init(node, &node->right, right);
  return node;
}

static uint64_t count_tree(const struct node *node) {
  return node->left ? 1 + count_tree(node->left) + count_tree(node->right) : 1;
}

static void free_tree(struct node *node) {
  if (node->left) {
    free_tree(node->left);
    free_tree(node->right);
  }
  mem_free(node);
}

/// Makes, counts and drops one tree.
static uint64_t use_tree(unsigned depth) {
  struct node *tree = make_tree(depth);
  uint64_t count = count_tree(tree);
  allocated += count;
  if (MEM_EXPLICIT_FREE) free_tree(tree);
  return count;
}

static uint64_t all_trees(unsigned depth_max) {
  uint64_t check = use_tree(depth_max + 1);
  mem_root_store(&root, make_tree(depth_max));
  allocated += (UINT64_C(2) << depth_max) - 1;
  for (unsigned depth = DEPTH_MIN; depth <= depth_max; depth += 2) {
    uint64_t iterations = UINT64_C(1) << (depth_max - depth + DEPTH_MIN);
    for (uint64_t i = 0; i < iterations; i++) check += use_tree(depth);
  }
  check += count_tree(root);
  if (MEM_EXPLICIT_FREE) free_tree(root);
  return check;
}

int main(int argc, char **argv) {
  if (argc != 2) mem_fail("usage: trees DEPTH");
  unsigned depth = (unsigned)strtoul(argv[1], NULL, 10);
  if (depth < DEPTH_MIN || depth > 28) mem_fail("trees: depth from 4 to 28");

  mem_start();
  node_type = mem_type_make(sizeof(struct node), 3);
  mem_root(&root);

  struct measure m = measure_begin();
  uint64_t check = all_trees(depth);
  measure_end(&m);

  if (check != allocated) mem_fail("trees: nodes were lost");
  report_open("trees", "binary trees");
  report_u64("depth", depth);
  report_close(&m, allocated, check);
  mem_finish();
  return 0;
}
