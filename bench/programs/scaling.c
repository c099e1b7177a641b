// How do the costs of a heap grow with what is alive: marking, sweeping, stops, allocation, its own tables?
//
//   scaling LIVE_MIB ROUNDS
//
// LIVE_MIB, a power of two, is that much in objects of 64 bytes with three references. Half of them are a fixed
// graph: one reference leads around a ring through all of it in random order, two lead to random objects. The
// other half hang in a table, each with three references into the graph, and are replaced at random, every one
// ROUNDS times on average: that is the timed part. What lives stays the same throughout, so a collector starts
// cycles by itself at its own pace. A full collection follows; it must find exactly what lives.
#include "measure.h"

#include "collector.h"

enum { EDGES = 3, BATCH = 1024, STOPS_MAX = 4096, EXTRA_ALLOWED = 64 };

struct node {
  struct node *edge[EDGES];
  uint64_t stamp;
  uint64_t payload[4];
};

/// The longest stop of every cycle seen.
struct stops {
  uint64_t ns[STOPS_MAX];
  uint32_t count;
};

static void *root;
static mem_type node_type;

/// Where the ring leads from here: a full-period generator modulo a power of two.
static uint32_t ring_next(uint32_t at, uint32_t count) {
  return (at * UINT32_C(0x9e3779b1) + 1) & (count - 1);
}

static struct node *new_node(struct node *a, struct node *b, struct node *c, uint64_t stamp) {
  struct node *node = mem_opaque(mem_new_raw(node_type, sizeof *node));
  mem_init(node, &node->edge[0], a);
  mem_init(node, &node->edge[1], b);
  mem_init(node, &node->edge[2], c);
  node->stamp = stamp;
  return node;
}

/// The fixed half, as an array outside the heap.
static struct node **make_graph(uint32_t count, struct random *random) {
  struct node **graph = malloc(count * sizeof *graph);
  if (!graph) mem_fail("scaling: no memory for the list of objects");
  for (uint32_t i = 0; i < count; i++) graph[i] = new_node(NULL, NULL, NULL, i);
  for (uint32_t i = 0; i < count; i++) {
    struct node *node = graph[i];
    mem_store(node, &node->edge[0], graph[ring_next(i, count)]);
    mem_store(node, &node->edge[1], graph[random_below(random, count)]);
    mem_store(node, &node->edge[2], graph[random_below(random, count)]);
  }
  return graph;
}

static void build(uint32_t count, struct random *random) {
  mem_root_store(&root, mem_array(count));
  struct node **graph = make_graph(count, random), **table = root;
  for (uint32_t i = 0; i < count; i++) {
    struct node *a = graph[random_below(random, count)], *b = graph[random_below(random, count)];
    mem_store(table, &table[i], new_node(a, b, graph[random_below(random, count)], i));
  }
  free(graph);
}

/// The new object refers to what the old one did; answers the old stamp.
static uint64_t replace(struct node **table, uint32_t slot, uint64_t stamp) {
  struct node *old = table[slot], *a = old->edge[0], *b = old->edge[1], *c = old->edge[2];
  uint64_t seen = old->stamp;
  mem_free(old);
  mem_store(table, &table[slot], new_node(a, b, c, stamp));
  return seen;
}

static void watch(struct stops *stops, uint64_t *cycles) {
  struct collector_view view = collector_look();
  if (view.cycles == *cycles) return;
  *cycles = view.cycles;
  if (stops->count < STOPS_MAX) stops->ns[stops->count++] = view.stop_ns;
}

static uint64_t replace_many(uint32_t count, uint64_t operations, struct random *random, struct stops *stops) {
  struct node **table = root;
  uint64_t seen = 0, cycles = collector_look().cycles;
  for (uint64_t i = 0; i < operations; i++) {
    seen = seen * 31 + replace(table, random_below(random, count), i);
    if (i % BATCH == 0) watch(stops, &cycles);
  }
  watch(stops, &cycles);
  return seen;
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static void report_stops(struct stops *stops) {
  if (stops->count == 0) return;
  qsort(stops->ns, stops->count, sizeof *stops->ns, by_value);
  report_u64("stops", stops->count);
  report_u64("stop_ns_median", stops->ns[stops->count / 2]);
  report_u64("stop_ns_longest", stops->ns[stops->count - 1]);
}

/// Collects everything once more and says what that took.
static void report_collection(uint64_t reachable) {
  struct collector_view before = collector_look();
  mem_collect();
  struct collector_view after = collector_look();
  uint64_t marked = mem_marked_objects();
  report_u64("reachable", reachable);
  report_u64("marked", marked);
  report_u64("marked_right", marked >= reachable && marked <= reachable + EXTRA_ALLOWED);
  report_u64("mark_cpu_ns", after.mark_cpu_ns - before.mark_cpu_ns);
  report_u64("sweep_cpu_ns", after.sweep_cpu_ns - before.sweep_cpu_ns);
  report_u64("swept_bytes", before.held_bytes);
  report_u64("live_bytes", after.live_bytes);
}

int main(int argc, char **argv) {
  if (argc != 3) mem_fail("usage: scaling LIVE_MIB ROUNDS");
  uint64_t mib = strtoull(argv[1], NULL, 10), rounds = strtoull(argv[2], NULL, 10);
  if (mib == 0 || mib > 65536 || (mib & (mib - 1))) mem_fail("scaling: a power of two up to 65536 MiB");
  uint32_t count = (uint32_t)((mib << 20) / sizeof(struct node) / 2);
  uint64_t operations = count * rounds;
  struct random random = {17};
  static struct stops stops;

  mem_start();
  node_type = mem_type_make(sizeof(struct node), 7);
  mem_root(&root);
  mem_grow_only((size_t)mib << 20);
  build(count, &random);
  mem_grow_end();
  mem_collect();

  struct measure m = measure_begin();
  uint64_t seen = replace_many(count, operations, &random, &stops);
  measure_end(&m);

  report_open("scaling", "random graph");
  report_u64("live_mib", mib);
  report_stops(&stops);
  if (MEM_COLLECTED) report_collection(2 * (uint64_t)count + 1);
  report_close(&m, operations, seen);
  mem_finish();
  return 0;
}
