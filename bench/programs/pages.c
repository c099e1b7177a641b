// What does this machine allow a heap that grows: how long does the system take to supply pages?
//
//   pages MIB ROUNDS
//
// One store into each 4 KiB: of memory just mapped (cpu_ns), of the same memory after madvise(MADV_DONTNEED), and both
// with huge pages wished for (MADV_HUGEPAGE), still per 4 KiB. discard_ns is the MADV_DONTNEED itself. How much memory
// huge pages really made up is huge_bytes: the system need not grant the wish. The fastest of ROUNDS each: in a virtual
// machine the host supplies pages too, once.
#include "measure.h"

#include <sys/mman.h>

enum { PAGE = 4096 };

struct supply {
  uint64_t first_ns, again_ns, discard_ns;
  uint64_t huge_bytes;
};

static uint64_t touch(char *memory, size_t bytes) {
  struct measure m = measure_begin();
  for (size_t at = 0; at < bytes; at += PAGE) *(volatile char *)(memory + at) = 1;
  measure_end(&m);
  return m.cpu_ns;
}

static uint64_t present_huge_bytes(void) {
  FILE *maps = fopen("/proc/self/smaps_rollup", "r");
  if (!maps) return 0;
  char line[256];
  unsigned long long kib = 0;
  while (fgets(line, sizeof line, maps))
    if (sscanf(line, "AnonHugePages: %llu kB", &kib) == 1) break;
  fclose(maps);
  return kib * 1024;
}

static struct supply measure_supply(size_t bytes, int advice) {
  struct supply supply;
  char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) mem_fail("pages: no memory");
  madvise(memory, bytes, advice);
  supply.first_ns = touch(memory, bytes);
  supply.huge_bytes = present_huge_bytes();
  struct measure m = measure_begin();
  if (madvise(memory, bytes, MADV_DONTNEED) != 0) mem_fail("pages: the system keeps its pages");
  measure_end(&m);
  supply.discard_ns = m.cpu_ns;
  supply.again_ns = touch(memory, bytes);
  munmap(memory, bytes);
  return supply;
}

static void keep_least(uint64_t *least, uint64_t value) {
  if (value < *least) *least = value;
}

static struct supply fastest_supply(size_t bytes, int advice, unsigned rounds) {
  struct supply fastest = measure_supply(bytes, advice);
  while (--rounds) {
    struct supply supply = measure_supply(bytes, advice);
    keep_least(&fastest.first_ns, supply.first_ns);
    keep_least(&fastest.again_ns, supply.again_ns);
    keep_least(&fastest.discard_ns, supply.discard_ns);
    keep_least(&fastest.huge_bytes, supply.huge_bytes);
  }
  return fastest;
}

int main(int argc, char **argv) {
  if (argc != 3) mem_fail("usage: pages MIB ROUNDS");
  size_t bytes = strtoul(argv[1], NULL, 10) << 20;
  unsigned rounds = (unsigned)strtoul(argv[2], NULL, 10);
  if (bytes == 0 || rounds == 0) mem_fail("pages: arguments out of range");
  struct supply small = fastest_supply(bytes, MADV_NOHUGEPAGE, rounds);
  struct supply huge = fastest_supply(bytes, MADV_HUGEPAGE, rounds);

  uint64_t pages = bytes / PAGE;
  struct measure m = {.cpu_ns = small.first_ns, .wall_ns = small.first_ns};
  report_open("limits", "pages");
  report_u64("again_ps", small.again_ns * 1000 / pages);
  report_u64("discard_ps", small.discard_ns * 1000 / pages);
  report_u64("huge_first_ps", huge.first_ns * 1000 / pages);
  report_u64("huge_again_ps", huge.again_ns * 1000 / pages);
  report_u64("huge_discard_ps", huge.discard_ns * 1000 / pages);
  report_u64("huge_bytes", huge.huge_bytes);
  report_close(&m, pages, pages);
  return 0;
}
