// The plain stack loop: the marker anybody would write first, as the reference that ours is measured against.
//
// One thread, no atomics, no prefetching: a side bitmap with a bit for every 16 bytes of an address range known
// beforehand, and an explicit stack of objects that are marked and not yet scanned. What an object holds follows
// from its kind; kinds are static types: a field says what kind it leads to, so leaves are neither pushed nor read,
// and no header is. That flatters the loop, as a heap for any program has to look layouts up.
//
// Not here    the shapes and their kinds' meaning for a program (mark_shapes.h).
#ifndef BENCH_PLAIN_MARKER_H
#define BENCH_PLAIN_MARKER_H

#include "measure.h"

/// What the objects of the shapes are. A reference to a kind is pushed with it in its low bits.
enum kind {
  KIND_LEAF,       // no references
  KIND_NODE,       // three references to nodes, and payload: 64 bytes
  KIND_NODES,      // an array of references to nodes
  KIND_LEAVES,     // ... to leaves
  KIND_LEAF_LISTS, // ... to arrays of leaves
  KIND_RECORDS,    // ... to records
  KIND_PAIR,       // the kinds of the mix, see mark_shapes.h
  KIND_RECORD,
  KIND_OBJECT,
  KIND_PAGE,
  KIND_COUNT,
};
enum { KIND_BITS = 15, PLAIN_GRANULE_LOG2 = 4, NODE_EDGES = 3 };
_Static_assert(KIND_COUNT <= KIND_BITS + 1, "a kind fits below a granule");

struct node {
  struct node *edge[NODE_EDGES];
  uint64_t payload[5];
};

/// An array of references carries its length, so that the loop need not ask a heap.
struct array {
  uint64_t count;
  void *item[];
};

/// The references of the mix's kinds are their first words; each says what it leads to.
enum { FIELDS_MAX = 8 };
struct kind_fields {
  uint32_t bytes, count;
  enum kind leads_to[FIELDS_MAX];
};
static const struct kind_fields kind_fields[KIND_COUNT] = {
    [KIND_PAIR] = {16, 2, {KIND_RECORD, KIND_PAIR}},
    [KIND_RECORD] = {32, 3, {KIND_LEAF, KIND_LEAF, KIND_OBJECT}},
    [KIND_OBJECT] = {64, 7, {KIND_LEAF, KIND_LEAF, KIND_RECORD, KIND_OBJECT, KIND_PAIR, KIND_RECORDS, KIND_PAGE}},
    [KIND_PAGE] = {512,
                   8,
                   {KIND_RECORDS, KIND_LEAF, KIND_LEAF, KIND_OBJECT, KIND_PAIR, KIND_RECORDS, KIND_LEAF, KIND_PAGE}},
};

struct plain_marker {
  uintptr_t start; ///< of the address range
  uint64_t *bits;  ///< one for each 16 bytes of it
  size_t bits_bytes;
  uintptr_t *stack; ///< room for every object
  size_t depth;
  uint64_t marked;
};

static struct plain_marker plain_marker_make(uintptr_t start, uintptr_t end, size_t objects_max) {
  struct plain_marker marker = {.start = start, .bits_bytes = ((end - start) >> PLAIN_GRANULE_LOG2) / 8 + 8};
  marker.bits = malloc(marker.bits_bytes);
  marker.stack = malloc((objects_max + 1) * sizeof *marker.stack);
  if (!marker.bits || !marker.stack) mem_fail("no memory for the plain stack loop");
  // Present before anything is timed, like the collector's own tables after its first cycle.
  memset(marker.stack, 1, (objects_max + 1) * sizeof *marker.stack);
  return marker;
}

static void plain_marker_destroy(struct plain_marker *marker) {
  free(marker->bits);
  free(marker->stack);
}

static inline __attribute__((always_inline)) void plain_visit(struct plain_marker *m, const void *object,
                                                              enum kind kind) {
  if (!object) return;
  uintptr_t granule = ((uintptr_t)object - m->start) >> PLAIN_GRANULE_LOG2;
  uint64_t bit = UINT64_C(1) << (granule & 63);
  uint64_t *word = &m->bits[granule >> 6];
  if (*word & bit) return;
  *word |= bit;
  m->marked++;
  if (kind != KIND_LEAF) m->stack[m->depth++] = (uintptr_t)object | kind;
}

static inline __attribute__((always_inline)) void plain_scan_array(struct plain_marker *m, const struct array *array,
                                                                   enum kind leads_to) {
  for (uint64_t i = 0; i < array->count; i++) plain_visit(m, array->item[i], leads_to);
}

static inline __attribute__((always_inline)) void plain_scan_fields(struct plain_marker *m, void *const *slots,
                                                                    enum kind kind) {
  const struct kind_fields *fields = &kind_fields[kind]; // constant: the compiler unrolls
#pragma clang loop unroll(full)
  for (uint32_t i = 0; i < FIELDS_MAX; i++)
    if (i < fields->count) plain_visit(m, slots[i], fields->leads_to[i]);
}

/// Shapes of nodes alone have a loop of their own: no kind is looked at.
static void plain_drain_nodes(struct plain_marker *marker) {
  struct plain_marker m = *marker;
  while (m.depth > 0) {
    const struct node *node = (const struct node *)(m.stack[--m.depth] & ~(uintptr_t)KIND_BITS);
    for (int k = 0; k < NODE_EDGES; k++) plain_visit(&m, node->edge[k], KIND_NODE);
  }
  *marker = m;
}

static void plain_drain_kinds(struct plain_marker *marker) {
  struct plain_marker m = *marker;
  while (m.depth > 0) {
    uintptr_t item = m.stack[--m.depth];
    void *object = (void *)(item & ~(uintptr_t)KIND_BITS);
    switch ((enum kind)(item & KIND_BITS)) {
    case KIND_NODE:
      for (int k = 0; k < NODE_EDGES; k++) plain_visit(&m, ((struct node *)object)->edge[k], KIND_NODE);
      break;
    case KIND_NODES: plain_scan_array(&m, object, KIND_NODE); break;
    case KIND_LEAVES: plain_scan_array(&m, object, KIND_LEAF); break;
    case KIND_LEAF_LISTS: plain_scan_array(&m, object, KIND_LEAVES); break;
    case KIND_RECORDS: plain_scan_array(&m, object, KIND_RECORD); break;
    case KIND_PAIR: plain_scan_fields(&m, object, KIND_PAIR); break;
    case KIND_RECORD: plain_scan_fields(&m, object, KIND_RECORD); break;
    case KIND_OBJECT: plain_scan_fields(&m, object, KIND_OBJECT); break;
    case KIND_PAGE: plain_scan_fields(&m, object, KIND_PAGE); break;
    case KIND_LEAF:
    case KIND_COUNT: break;
    }
  }
  *marker = m;
}

/// Marks everything reachable from one object; the bitmap is cleared first, untimed by the caller.
static void plain_clear(struct plain_marker *m) {
  memset(m->bits, 0, m->bits_bytes);
  m->marked = m->depth = 0;
}
static void plain_mark(struct plain_marker *m, const void *root, enum kind kind) {
  plain_visit(m, root, kind);
  if (kind == KIND_NODE)
    plain_drain_nodes(m);
  else
    plain_drain_kinds(m);
}

#endif
