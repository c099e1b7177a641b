// What the inline fast paths of tricolor_fast.h compile to: run.sh disassembles these functions and never runs them.
#include <tricolor.h>

struct node {
  struct node *left, *right;
  long key, spare;
};

void *count_c_new(tri_mutator *m, tri_type type);
void *count_c_leaf(tri_mutator *m);
void *count_c_zeroed(tri_mutator *m);
void count_c_init(tri_mutator *m, struct node *node, struct node *value);
void count_c_store(tri_mutator *m, struct node *node, struct node *value);

void *count_c_new(tri_mutator *m, tri_type type) {
  return tri_new(m, type, sizeof(struct node));
}

void *count_c_leaf(tri_mutator *m) {
  return tri_alloc_leaf_uninitialized(m, 64);
}

void *count_c_zeroed(tri_mutator *m) {
  return tri_alloc_leaf(m, 64);
}

void count_c_init(tri_mutator *m, struct node *node, struct node *value) {
  tri_init(m, node, &node->left, value);
}

void count_c_store(tri_mutator *m, struct node *node, struct node *value) {
  tri_store(m, node, &node->left, value);
}
