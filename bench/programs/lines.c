// What does this machine allow a marker: how long do random reads of cache lines take, independent and
// dependent ones, over as much memory as the mark workload fills? And reads of one line after the other?
//
//   lines LINES READS
//
// cpu_ns is for READS independent reads (prefetched 32 ahead); dependent_ns is one dependent load, each
// address coming from the load before; sequential_ps is one line of a walk through all of them. Ordinary pages,
// like the mark rows.
#include "measure.h"

enum { AHEAD = 32 };

struct line {
  uint64_t next, value;
  uint64_t rest[6];
};

/// One cycle through all lines in random order (Sattolo's shuffle).
static struct line *make_lines(uint32_t count) {
  struct random random = {11};
  struct line *lines = malloc((size_t)count * sizeof *lines);
  if (!lines) mem_fail("lines: no memory");
  for (uint32_t i = 0; i < count; i++) lines[i] = (struct line){.next = i, .value = 1};
  for (uint32_t i = count - 1; i > 0; i--) {
    uint32_t other = random_below(&random, i);
    uint64_t next = lines[i].next;
    lines[i].next = lines[other].next;
    lines[other].next = next;
  }
  return lines;
}

static uint64_t read_independent(const struct line *lines, uint32_t count, uint64_t reads) {
  struct random ahead = {13}, random = {13};
  uint64_t sum = 0;
  for (int i = 0; i < AHEAD; i++) __builtin_prefetch(&lines[random_below(&ahead, count)]);
  for (uint64_t i = 0; i < reads; i++) {
    __builtin_prefetch(&lines[random_below(&ahead, count)]);
    sum += lines[random_below(&random, count)].value;
  }
  return sum;
}

static uint64_t read_dependent(const struct line *lines, uint64_t reads) {
  uint64_t at = 0;
  for (uint64_t i = 0; i < reads; i++) at = lines[at].next;
  return at;
}

static uint64_t read_sequential(const struct line *lines, uint32_t count) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < count; i++) sum += lines[i].value;
  return sum;
}

int main(int argc, char **argv) {
  if (argc != 3) mem_fail("usage: lines LINES READS");
  uint32_t count = (uint32_t)strtoul(argv[1], NULL, 10);
  uint64_t reads = strtoull(argv[2], NULL, 10), dependent_reads = reads / 8;
  if (count < 2 || dependent_reads == 0) mem_fail("lines: counts out of range");
  struct line *lines = make_lines(count);

  struct measure dependent = measure_begin();
  uint64_t check = read_dependent(lines, dependent_reads);
  measure_end(&dependent);
  struct measure m = measure_begin();
  check += read_independent(lines, count, reads);
  measure_end(&m);

  struct measure sequential = measure_begin();
  check += read_sequential(lines, count);
  measure_end(&sequential);

  report_open("mark", "lines");
  report_u64("dependent_ns", dependent.cpu_ns / dependent_reads);
  report_u64("sequential_ps", sequential.cpu_ns * 1000 / count);
  report_close(&m, reads, check);
  free(lines);
  return 0;
}
