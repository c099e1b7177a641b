// What do many layouts cost when many threads use all of them?
//
//   layouts LAYOUTS THREADS
//
// Every thread attaches and allocates one object of 64 bytes of each layout, kept by its stack; an operation is such a
// first object. Memory is what the process grew by between the moment when all threads ran, none of them attached,
// and the moment when all had their objects.
#include "measure.h"

#include <pthread.h>

#include "resident.h"

enum { WORDS = 8, LAYOUTS_MAX = 1 << WORDS };

static tri_type types[LAYOUTS_MAX];
static uint32_t layouts;
static pthread_barrier_t started, attach, filled, finish;

/// Attached threads count as stopped while they wait, or a cycle would wait for them.
static void wait_attached(pthread_barrier_t *barrier) {
  tri_blocking_begin(mem_mutator);
  pthread_barrier_wait(barrier);
  tri_blocking_end(mem_mutator);
}

static void *work(void *wrong) {
  uint64_t *objects[LAYOUTS_MAX];
  pthread_barrier_wait(&started);
  pthread_barrier_wait(&attach);
  mem_thread_start();
  for (uint32_t i = 0; i < layouts; i++) {
    objects[i] = mem_opaque(mem_new(types[i], WORDS * sizeof(uint64_t)));
    if (!objects[i]) mem_fail("layouts: the heap is full");
  }
  wait_attached(&filled);
  wait_attached(&finish);
  for (uint32_t i = 0; i < layouts; i++) *(uint64_t *)wrong += objects[i][0] != 0;
  mem_thread_finish();
  return NULL;
}

static void make_types(void) {
  // Every mask but 0, which would be a leaf.
  for (uint32_t i = 0; i < layouts; i++) types[i] = mem_type_make(WORDS * sizeof(uint64_t), i + 1);
}

static void make_barriers(uint32_t threads) {
  pthread_barrier_t *barriers[] = {&started, &attach, &filled, &finish};
  for (size_t i = 0; i < sizeof barriers / sizeof *barriers; i++) pthread_barrier_init(barriers[i], NULL, threads + 1);
}

/// Answers how many objects were wrong.
static uint64_t join_all(const pthread_t *workers, const uint64_t *wrong, uint32_t threads) {
  uint64_t sum = 0;
  tri_blocking_begin(mem_mutator);
  for (uint32_t i = 0; i < threads; i++) {
    pthread_join(workers[i], NULL);
    sum += wrong[i];
  }
  tri_blocking_end(mem_mutator);
  return sum;
}

int main(int argc, char **argv) {
  if (argc != 3) mem_fail("usage: layouts LAYOUTS THREADS");
  uint32_t threads = (uint32_t)strtoul(argv[2], NULL, 10);
  layouts = (uint32_t)strtoul(argv[1], NULL, 10);
  if (layouts == 0 || layouts >= LAYOUTS_MAX || threads == 0) mem_fail("layouts: counts out of range");
  pthread_t *workers = calloc(threads, sizeof *workers);
  uint64_t *wrong = calloc(threads, sizeof *wrong);
  if (!workers || !wrong) mem_fail("layouts: no memory");

  mem_start();
  make_types();
  make_barriers(threads);
  for (uint32_t i = 0; i < threads; i++)
    if (pthread_create(&workers[i], NULL, work, &wrong[i])) mem_fail("layouts: no thread");

  wait_attached(&started);
  uint64_t resident = resident_bytes(), metadata = mem_statistics().metadata_bytes;
  struct measure m = measure_begin();
  wait_attached(&attach);
  wait_attached(&filled);
  measure_end(&m);
  uint64_t resident_with = resident_bytes();
  tri_statistics with = mem_statistics();
  wait_attached(&finish);
  uint64_t wrong_sum = join_all(workers, wrong, threads);

  if (wrong_sum) mem_fail("layouts: an object was not zero");
  report_open("layouts", "first objects");
  report_u64("layouts", layouts);
  report_u64("threads", threads);
  report_u64("thread_resident_bytes", (resident_with - resident) / threads);
  report_u64("thread_metadata_bytes", (with.metadata_bytes - metadata) / threads);
  report_u64("spans", with.spans);
  report_close(&m, (uint64_t)layouts * threads, layouts);
  free(workers);
  free(wrong);
  mem_finish();
  return 0;
}
