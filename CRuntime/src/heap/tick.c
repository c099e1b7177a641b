// Tick: what the collector thread does by the clock rather than because somebody asked.
#include "heap/heap.h"

void tri_heap_tick(tri_heap *heap, uint64_t now_ns) {
  tri_scavenger_tick(heap, now_ns);
  tri_periodic_tick(heap, now_ns);
}
