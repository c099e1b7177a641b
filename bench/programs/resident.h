// How much memory this process has in RAM at the moment.
#ifndef BENCH_RESIDENT_H
#define BENCH_RESIDENT_H

#include <stdint.h>
#include <stdio.h>

/// 0 if the system does not say.
static inline uint64_t resident_bytes(void) {
  FILE *status = fopen("/proc/self/status", "r");
  if (!status) return 0;
  char line[256];
  unsigned long long kib = 0;
  while (fgets(line, sizeof line, status))
    if (sscanf(line, "VmRSS: %llu kB", &kib) == 1) break;
  fclose(status);
  return kib * 1024;
}

#endif
