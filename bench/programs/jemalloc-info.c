// Is jemalloc there, which one, and does it really serve malloc in a program linked with it?
//
// Prints one line of JSON from mallctl: version, and how stats.allocated moved over a known allocation.
#include <jemalloc/jemalloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static size_t allocated_bytes(void) {
  uint64_t epoch = 1;
  size_t allocated = 0, bytes = sizeof allocated;
  mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
  mallctl("stats.allocated", &allocated, &bytes, NULL, 0);
  return allocated;
}

int main(void) {
  const char *version = "unknown";
  size_t bytes = sizeof version;
  if (mallctl("version", (void *)&version, &bytes, NULL, 0) != 0) return 1;
  size_t before = allocated_bytes();
  char *volatile block = malloc((size_t)8 << 20);
  if (!block) return 1;
  size_t after = allocated_bytes();
  printf("{\"version\":\"%s\",\"allocated_before\":%zu,\"allocated_after\":%zu}\n", version, before, after);
  free(block);
  return after - before >= (size_t)8 << 20 ? 0 : 1;
}
