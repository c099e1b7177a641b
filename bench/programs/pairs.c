// What does one short-lived object cost: allocate, write a word, read it back, drop it?
//
//   pairs BYTES leaf|zeroed LIVE_MIB OPERATIONS
//
// leaf: undefined contents; zeroed: size known at run time only. LIVE_MIB MiB of 64-byte tree nodes stay
// alive meanwhile, so that a collector has something to mark. Malloc contenders free at once.
#include "measure.h"

enum { NODE_BYTES = 64, NODES_PER_MIB = 1024 * 1024 / NODE_BYTES };

struct node {
  struct node *left, *right;
  uint64_t value[6];
};

static void *root;
static mem_type node_type;

static struct node *make_tree(size_t nodes) {
  if (nodes == 0) return NULL;
  struct node *node = mem_new(node_type, sizeof *node);
  size_t left = (nodes - 1) / 2;
  mem_store(node, &node->left, make_tree(left));
  mem_store(node, &node->right, make_tree(nodes - 1 - left));
  node->value[0] = nodes;
  return node;
}

static size_t count_tree(const struct node *node) {
  return node ? 1 + count_tree(node->left) + count_tree(node->right) : 0;
}

static uint64_t pairs_leaf(size_t bytes, uint64_t operations) {
  mem_self self = mem_self_get();
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < operations; i++) {
    uint64_t *object = mem_opaque(mem_self_leaf(self, bytes));
    *object = i;
    object = mem_opaque(object);
    wrong += *object != i;
    mem_self_free(self, object);
  }
  return wrong;
}

static uint64_t pairs_zeroed(size_t bytes, uint64_t operations) {
  mem_self self = mem_self_get();
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < operations; i++) {
    uint64_t *object = mem_opaque(mem_self_leaf_zeroed(self, bytes));
    wrong += *object != 0;
    *object = i;
    object = mem_opaque(object);
    wrong += *object != i;
    mem_self_free(self, object);
  }
  return wrong;
}

int main(int argc, char **argv) {
  if (argc != 5) mem_fail("usage: pairs BYTES leaf|zeroed LIVE_MIB OPERATIONS");
  size_t bytes = strtoul(argv[1], NULL, 10);
  bool zeroed = strcmp(argv[2], "zeroed") == 0;
  size_t live_nodes = strtoul(argv[3], NULL, 10) * NODES_PER_MIB;
  uint64_t operations = strtoull(argv[4], NULL, 10);
  if (bytes < 8) mem_fail("pairs: at least 8 bytes");

  mem_start();
  node_type = mem_type_make(sizeof(struct node), 3);
  mem_root(&root);
  mem_root_store(&root, make_tree(live_nodes));

  struct measure m = measure_begin();
  uint64_t wrong = zeroed ? pairs_zeroed(bytes, operations) : pairs_leaf(bytes, operations);
  measure_end(&m);

  if (wrong) mem_fail("pairs: an object did not hold what was written");
  if (count_tree(root) != live_nodes) mem_fail("pairs: the live tree is damaged");
  report_open("pairs", argv[2]);
  report_u64("bytes", bytes);
  report_u64("live_bytes", live_nodes * NODE_BYTES);
  report_close(&m, operations, operations + live_nodes);
  mem_finish();
  return 0;
}
