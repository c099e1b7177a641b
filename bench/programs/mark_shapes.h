// The object graphs that collections are measured with, each a shape that some marker is bad at.
//
//   random        three references of each object to uniformly random ones
//   mix           what programs hold: many small objects and strings, most references to what was made nearby
//   tree          a binary tree in allocation order
//   list          one list through all objects in random order: nothing to overlap
//   lists         64 such lists
//   array         one array of references to all objects, which refer to nothing
//   array-shuffled   the same, the references in random order
//   leaves        16-byte leaves in arrays of 500
//   deep          a spine with a twig at every vertebra, in allocation order
//   deep-reverse  the same, each reference to a lower address
//
// Everything but the mix and the leaves is made of 64-byte nodes. A shape is built while no collection runs; in the
// end one object, `root`, is the only way in.
#ifndef BENCH_MARK_SHAPES_H
#define BENCH_MARK_SHAPES_H

#include "plain_marker.h"

struct shape {
  const char *name;
  enum kind root_kind;
  uint32_t bytes_per_object; ///< about, for growing the heap in advance
};
static const struct shape shapes[] = {
    {"random", KIND_NODE, 64},
    {"mix", KIND_RECORDS, 56},
    {"tree", KIND_NODE, 64},
    {"list", KIND_NODE, 64},
    {"lists", KIND_NODES, 64},
    {"array", KIND_NODES, 72},
    {"array-shuffled", KIND_NODES, 72},
    {"leaves", KIND_LEAF_LISTS, 26},
    {"deep", KIND_NODE, 64},
    {"deep-reverse", KIND_NODE, 64},
};

enum { LISTS = 64, LEAVES_PER_ARRAY = 500 };

/// What is being built. `root` is the only root; `start` and `end` bound the objects' addresses.
struct graph {
  uint32_t count;
  struct random random;
  uintptr_t start, end;
};
static void *root;
static mem_type node_type, kind_types[KIND_COUNT];

static void *graph_note(struct graph *graph, void *object, size_t bytes) {
  if (!object) mem_fail("mark: the heap refused an object");
  if ((uintptr_t)object < graph->start) graph->start = (uintptr_t)object;
  if ((uintptr_t)object + bytes > graph->end) graph->end = (uintptr_t)object + bytes;
  return object;
}

static struct array *make_array(struct graph *graph, uint64_t count) {
  struct array *array = graph_note(graph, mem_array(count + 1), (count + 1) * 8);
  array->count = count; // a small number in a reference slot: every collector skips it
  return array;
}

static struct node **make_nodes(struct graph *graph) {
  struct node **nodes = malloc((size_t)graph->count * sizeof *nodes);
  if (!nodes) mem_fail("mark: no memory for the table of objects");
  for (uint32_t i = 0; i < graph->count; i++) {
    nodes[i] = graph_note(graph, mem_new(node_type, sizeof **nodes), sizeof **nodes);
    nodes[i]->payload[0] = i;
  }
  return nodes;
}

static void shuffle(struct graph *graph, struct node **nodes) {
  for (uint32_t i = graph->count - 1; i > 0; i--) {
    uint32_t other = random_below(&graph->random, i + 1);
    struct node *node = nodes[i];
    nodes[i] = nodes[other];
    nodes[other] = node;
  }
}

static void set_edge(struct node *from, int edge, struct node *to) {
  mem_store(from, &from->edge[edge], to);
}

// ---- Shapes of nodes ----

static void build_random(struct graph *graph, struct node **nodes) {
  for (uint32_t i = 0; i < graph->count; i++)
    for (int k = 0; k < NODE_EDGES; k++) set_edge(nodes[i], k, nodes[random_below(&graph->random, graph->count)]);
  mem_root_store(&root, nodes[0]);
}

static void build_tree(struct graph *graph, struct node **nodes) {
  for (uint32_t i = 1; i < graph->count; i++) set_edge(nodes[(i - 1) / 2], i & 1, nodes[i]);
  mem_root_store(&root, nodes[0]);
}

static void build_list(struct graph *graph, struct node **nodes) {
  shuffle(graph, nodes);
  for (uint32_t i = 1; i < graph->count; i++) set_edge(nodes[i - 1], 0, nodes[i]);
  mem_root_store(&root, nodes[0]);
}

static void build_lists(struct graph *graph, struct node **nodes) {
  shuffle(graph, nodes);
  struct array *heads = make_array(graph, LISTS);
  mem_root_store(&root, heads);
  for (uint32_t i = 0; i < graph->count; i++) {
    if (i < LISTS)
      mem_store(heads, &heads->item[i], nodes[i]);
    else
      set_edge(nodes[i - LISTS], 0, nodes[i]);
  }
}

static void build_array(struct graph *graph, struct node **nodes) {
  struct array *array = make_array(graph, graph->count);
  mem_root_store(&root, array);
  for (uint32_t i = 0; i < graph->count; i++) mem_store(array, &array->item[i], nodes[i]);
}

static void build_array_shuffled(struct graph *graph, struct node **nodes) {
  shuffle(graph, nodes);
  build_array(graph, nodes);
}

/// Vertebrae are every other node; the twig comes first, so that a loop that takes the last edge next leaves all twigs
/// on its stack.
static void build_deep(struct graph *graph, struct node **nodes) {
  for (uint32_t i = 0; i + 1 < graph->count; i += 2) {
    set_edge(nodes[i], 0, nodes[i + 1]);
    if (i + 2 < graph->count) set_edge(nodes[i], 1, nodes[i + 2]);
  }
  mem_root_store(&root, nodes[0]);
}

static void build_deep_reverse(struct graph *graph, struct node **nodes) {
  for (uint32_t i = 0; i < graph->count / 2; i++) {
    struct node *node = nodes[i];
    nodes[i] = nodes[graph->count - 1 - i];
    nodes[graph->count - 1 - i] = node;
  }
  build_deep(graph, nodes);
}

static void build_of_nodes(struct graph *graph, void (*link)(struct graph *graph, struct node **nodes)) {
  struct node **nodes = make_nodes(graph);
  link(graph, nodes);
  free(nodes);
}

// ---- Leaves ----

static void build_leaves(struct graph *graph) {
  uint32_t arrays = graph->count / (LEAVES_PER_ARRAY + 1) + 1, left = graph->count;
  struct array *top = make_array(graph, arrays);
  mem_root_store(&root, top);
  for (uint32_t i = 0; i < arrays && left > 1; i++) {
    uint32_t leaves = left - 1 < LEAVES_PER_ARRAY ? left - 1 : LEAVES_PER_ARRAY;
    struct array *array = make_array(graph, leaves);
    mem_store(top, &top->item[i], array);
    for (uint32_t k = 0; k < leaves; k++) mem_store(array, &array->item[k], graph_note(graph, mem_leaf_zeroed(16), 16));
    left -= leaves + 1;
  }
}

// ---- The mix ----
//
// Objects are made in the order a depth-first construction makes them: a field of the object made last is filled
// next, most of the time. Three of four references lead to a new object; the others to one of the last 256 of that
// kind, to an old one, or nowhere. Most references to arrays and pages are NULL, else they would fill the heap.

/// Leaf sizes as in churn.c, up to 512 bytes: bytes, and how many of 64 leaves have them.
static const struct {
  uint32_t bytes, share;
} leaf_sizes[] = {{16, 17}, {32, 20}, {48, 10}, {64, 7}, {96, 4}, {128, 2}, {192, 1}, {256, 1}, {384, 1}, {512, 1}};

enum {
  LEAF_SHARES = 64,
  RECENT = 256,
  OLD = 1 << 16,
  OPEN_MAX = 1 << 20,
  OPEN_MIN = 64,
  ARRAY_MIN = 4,
  ARRAY_MAX = 60
};

struct open_field {
  void *object;
  void **slot;
  enum kind leads_to;
};
struct mix {
  struct graph *graph;
  uint32_t made;
  uint32_t made_of_kind[KIND_COUNT];
  void *recent[KIND_COUNT][RECENT];
  void *old[KIND_COUNT][OLD];
  uint32_t leaf_bytes[LEAF_SHARES];
  size_t open_count;
  struct open_field open[OPEN_MAX];
};

static void mix_open(struct mix *mix, void *object, void **slot, enum kind leads_to) {
  if (mix->open_count < OPEN_MAX) mix->open[mix->open_count++] = (struct open_field){object, slot, leads_to};
}

static void *mix_make(struct mix *mix, enum kind kind) {
  struct random *random = &mix->graph->random;
  void *object;
  if (kind == KIND_LEAF) {
    uint32_t bytes = mix->leaf_bytes[random_below(random, LEAF_SHARES)];
    object = graph_note(mix->graph, mem_leaf_zeroed(bytes), bytes);
  } else if (kind == KIND_RECORDS) {
    struct array *array = make_array(mix->graph, ARRAY_MIN + random_below(random, ARRAY_MAX - ARRAY_MIN));
    for (uint64_t i = array->count; i-- > 0;) mix_open(mix, array, &array->item[i], KIND_RECORD);
    object = array;
  } else {
    const struct kind_fields *fields = &kind_fields[kind];
    object = graph_note(mix->graph, mem_new(kind_types[kind], fields->bytes), fields->bytes);
    for (uint32_t i = fields->count; i-- > 0;) mix_open(mix, object, (void **)object + i, fields->leads_to[i]);
  }
  uint32_t serial = mix->made_of_kind[kind]++;
  mix->recent[kind][serial % RECENT] = object;
  mix->old[kind][serial < OLD ? serial : random_below(random, OLD)] = object;
  mix->made++;
  return object;
}

static void *mix_existing(struct mix *mix, enum kind kind, bool recent) {
  uint32_t made = mix->made_of_kind[kind];
  if (made == 0) return NULL;
  struct random *random = &mix->graph->random;
  return recent ? mix->recent[kind][random_below(random, made < RECENT ? made : RECENT)]
                : mix->old[kind][random_below(random, made < OLD ? made : OLD)];
}

static struct open_field mix_next_field(struct mix *mix) {
  // One in sixteen is filled out of turn.
  size_t at = mix->open_count - 1;
  if (random_below(&mix->graph->random, 16) == 0) at = random_below(&mix->graph->random, (uint32_t)mix->open_count);
  struct open_field field = mix->open[at];
  mix->open[at] = mix->open[--mix->open_count];
  return field;
}

/// Of 100 references to a kind, how many lead to a new object.
static uint32_t mix_new_share(enum kind kind) {
  return kind == KIND_RECORDS ? 9 : kind == KIND_PAGE ? 3 : 75;
}

static void mix_fill(struct mix *mix, struct open_field field) {
  uint32_t choice = random_below(&mix->graph->random, 100);
  void *value = NULL;
  if (choice < mix_new_share(field.leads_to) || mix->open_count < OPEN_MIN)
    value = mix_make(mix, field.leads_to);
  else if (choice < 92)
    value = mix_existing(mix, field.leads_to, choice < 87);
  if (value) mem_store(field.object, field.slot, value);
}

static void build_mix(struct graph *graph) {
  struct mix *mix = calloc(1, sizeof *mix);
  if (!mix) mem_fail("mark: no memory for building the mix");
  mix->graph = graph;
  uint32_t next = 0;
  for (size_t i = 0; i < sizeof leaf_sizes / sizeof *leaf_sizes; i++)
    for (uint32_t k = 0; k < leaf_sizes[i].share; k++) mix->leaf_bytes[next++] = leaf_sizes[i].bytes;
  if (next != LEAF_SHARES) mem_fail("mark: the shares of leaf sizes do not add up");
  mem_root_store(&root, mix_make(mix, KIND_RECORDS));
  while (mix->made < graph->count) {
    if (mix->open_count == 0) mem_fail("mark: the mix closed early");
    mix_fill(mix, mix_next_field(mix));
  }
  free(mix);
}

// ---- All ----

static const struct shape *shape_named(const char *name) {
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    if (strcmp(shapes[i].name, name) == 0) return &shapes[i];
  mem_fail("mark: no such shape (see mark_shapes.h)");
}

/// Builds a shape of about `count` objects and leaves only `root` as a way in.
static struct graph build_shape(const struct shape *shape, uint32_t count) {
  static const struct {
    const char *name;
    void (*link)(struct graph *graph, struct node **nodes);
  } of_nodes[] = {
      {"random", build_random}, {"tree", build_tree},
      {"list", build_list},     {"lists", build_lists},
      {"array", build_array},   {"array-shuffled", build_array_shuffled},
      {"deep", build_deep},     {"deep-reverse", build_deep_reverse},
  };
  struct graph graph = {.count = count, .random = {7}, .start = UINTPTR_MAX};
  node_type = mem_type_make(sizeof(struct node), (1u << NODE_EDGES) - 1);
  for (int kind = 0; kind < KIND_COUNT; kind++)
    if (kind_fields[kind].count)
      kind_types[kind] = mem_type_make(kind_fields[kind].bytes, (1u << kind_fields[kind].count) - 1);
  mem_root(&root);
  for (size_t i = 0; i < sizeof of_nodes / sizeof *of_nodes; i++)
    if (strcmp(shape->name, of_nodes[i].name) == 0) build_of_nodes(&graph, of_nodes[i].link);
  if (strcmp(shape->name, "leaves") == 0) build_leaves(&graph);
  if (strcmp(shape->name, "mix") == 0) build_mix(&graph);
  return graph;
}

#endif
