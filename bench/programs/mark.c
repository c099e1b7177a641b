// How fast are live objects marked: full stop-the-world collections of a large graph, and beside them a plain stack
// loop over the same graph in the same process?
//
//   mark SHAPE OBJECTS COLLECTIONS [MARKERS]
//
// The shapes are those of mark_shapes.h. Nothing is collected while the graph is built. cpu_ns and wall_ns are the
// fastest whole collection, mark_cpu_ns and mark_wall_ns the fastest marking (ours only: a collection without its
// sweep); plain_ns is the fastest of as many plain stack loops, made in turn with the collections. MARKERS is how
// many threads mark; 0 or nothing is the contender's default. `reachable` is what the plain loop reached,
// `marked` what the collector says it found.
#include "measure.h"

#include "mark_shapes.h"

enum { EXTRA_ALLOWED = 64, COLLECTIONS_MAX = 64 };

struct fastest {
  struct measure collection;
  uint64_t mark_cpu_ns, mark_wall_ns, plain_ns;
};

static void keep_least(uint64_t *least, uint64_t value) {
  if (value < *least) *least = value;
}

static void collect(struct fastest *fastest) {
  uint64_t mark_before = mem_mark_cpu_ns();
  struct measure m = measure_begin();
  mem_collect();
  measure_end(&m);
  keep_least(&fastest->collection.cpu_ns, m.cpu_ns);
  keep_least(&fastest->collection.wall_ns, m.wall_ns);
  fastest->collection.cycles += m.cycles;
  keep_least(&fastest->mark_cpu_ns, mem_mark_cpu_ns() - mark_before);
  keep_least(&fastest->mark_wall_ns, mem_mark_wall_ns());
}

static void mark_plainly(struct plain_marker *marker, enum kind root_kind, uint64_t *least) {
  plain_clear(marker);
  struct measure m = measure_begin();
  plain_mark(marker, root, root_kind);
  measure_end(&m);
  keep_least(least, m.cpu_ns);
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 5) mem_fail("usage: mark SHAPE OBJECTS COLLECTIONS [MARKERS]");
  const struct shape *shape = shape_named(argv[1]);
  uint32_t count = (uint32_t)strtoul(argv[2], NULL, 10);
  unsigned collections = (unsigned)strtoul(argv[3], NULL, 10);
  unsigned markers = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
  if (count == 0 || collections == 0 || collections > COLLECTIONS_MAX) mem_fail("mark: counts out of range");

  mem_start_marking(markers);
  mem_grow_only((size_t)count * shape->bytes_per_object * 9 / 8);
  struct graph graph = build_shape(shape, count);
  struct plain_marker plain = plain_marker_make(graph.start, graph.end, count);
  mem_grow_end();

  struct fastest fastest = {{UINT64_MAX, UINT64_MAX, 0}, UINT64_MAX, UINT64_MAX, UINT64_MAX};
  for (unsigned i = 0; i < collections; i++) {
    mark_plainly(&plain, shape->root_kind, &fastest.plain_ns);
    collect(&fastest);
  }
  uint64_t reachable = plain.marked, marked = mem_marked_objects();

  report_open("mark", argv[1]);
  report_u64("objects", count);
  report_u64("collections", collections);
  report_u64("markers", markers);
  report_u64("reachable", reachable);
  report_u64("marked", marked);
  report_u64("marked_right", marked >= reachable && marked <= reachable + EXTRA_ALLOWED);
  report_u64("plain_ns", fastest.plain_ns);
  if (fastest.mark_cpu_ns) {
    report_u64("mark_cpu_ns", fastest.mark_cpu_ns);
    report_u64("mark_wall_ns", fastest.mark_wall_ns);
  }
  report_close(&fastest.collection, reachable, reachable);
  plain_marker_destroy(&plain);
  mem_finish();
  return 0;
}
