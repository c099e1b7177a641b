// What does it cost when one thread makes objects and another drops them?
//
//   handover BYTES|mixed OBJECTS
//
// The producer allocates leaves, writes their first word and puts them into a ring of 8192 references, which is an
// object of the heap (malloc contenders: calloc); the consumer reads the word, clears the place and drops the object
// (explicit free: frees it, on a thread that did not allocate it). mixed: the sizes of churn.c. Whoever finds the ring
// full or empty sleeps, so that CPU time is work.
#include "team.h"

#include "churn_table.h"

#include <stdatomic.h>

enum { RING = 1 << 13, PUBLISH = 64 };

static void *root;
static uint32_t fixed_bytes;
static uint64_t objects, sum;

/// How many were put in and taken out, in lines of their own; each side publishes its count every few objects.
static _Alignas(128) atomic_ullong put_count;
static _Alignas(128) atomic_ullong taken_count;

static void rest(void) {
  struct timespec moment = {0, 20000};
  mem_blocking_begin();
  nanosleep(&moment, NULL);
  mem_blocking_end();
}

static void produce(void) {
  uint64_t **ring = root, limit = 0;
  struct random random = {42};
  for (uint64_t i = 0; i < objects; i++) {
    if (i % PUBLISH == 0) {
      atomic_store_explicit(&put_count, i, memory_order_release);
      while ((limit = atomic_load_explicit(&taken_count, memory_order_acquire) + RING) < i + PUBLISH) rest();
    }
    uint64_t *object = mem_opaque(mem_leaf(fixed_bytes ? fixed_bytes : random_bytes(&random)));
    *object = i;
    mem_store(ring, &ring[i % RING], object);
  }
  atomic_store_explicit(&put_count, objects, memory_order_release);
}

static void consume(void) {
  uint64_t **ring = root, available = 0;
  for (uint64_t i = 0; i < objects; i++) {
    if (i % PUBLISH == 0) {
      mem_safepoint(); // it does not allocate, so nothing else lets a collection in
      atomic_store_explicit(&taken_count, i, memory_order_release);
    }
    while (i >= available && (available = atomic_load_explicit(&put_count, memory_order_acquire)) <= i) rest();
    uint64_t *object = ring[i % RING];
    if (*object != i) mem_fail("handover: an object does not hold what was written");
    sum += *object;
    mem_store(ring, &ring[i % RING], NULL);
    mem_free(object);
  }
  atomic_store_explicit(&taken_count, objects, memory_order_release);
}

static void work(int index) {
  team_ready();
  if (index == 0)
    produce();
  else
    consume();
  team_done();
}

int main(int argc, char **argv) {
  if (argc != 3) mem_fail("usage: handover BYTES|mixed OBJECTS");
  bool mixed = strcmp(argv[1], "mixed") == 0;
  fixed_bytes = mixed ? 0 : (uint32_t)strtoul(argv[1], NULL, 10);
  objects = strtoull(argv[2], NULL, 10);
  if ((!mixed && fixed_bytes < 8) || objects == 0) mem_fail("handover: arguments out of range");

  spread_shares();
  mem_start();
  mem_root(&root);
  mem_root_store(&root, mem_array(RING));
  struct measure m = team_run(2, work);

  report_open("handover", argv[1]);
  report_u64("bytes", fixed_bytes);
  report_close(&m, objects, sum);
  mem_finish();
  return 0;
}
