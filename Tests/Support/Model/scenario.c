#define _DEFAULT_SOURCE // alarm
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void scenario_expect(bool holds, const char *sentence) {
  if (holds) return;
  fprintf(stderr, "scenario: %s\n", sentence);
  abort();
}

void scenario_thread(pthread_t *thread, void *(*function)(void *), void *context) {
  scenario_expect(pthread_create(thread, NULL, function, context) == 0, "the system refuses a thread");
}

tri_options scenario_options(void) {
  tri_options options;
  tri_options_init(&options);
  options.reservation_bytes = UINT64_C(256) << 20;
  options.growth_percent = TRI_GROWTH_OFF;
  options.mark_workers = 1;
  options.read_environment = 0;
  return options;
}

tri_heap *scenario_heap(void) {
  tri_heap *heap;
  tri_options options = scenario_options();
  alarm(SCENARIO_SECONDS);
  scenario_expect(tri_heap_create(&options, &heap) == TRI_OK, "no heap");
  return heap;
}

tri_mutator *scenario_attach(tri_heap *heap, uint32_t flags) {
  tri_mutator *mutator;
  scenario_expect(tri_attach(heap, flags, &mutator) == TRI_OK, "a thread cannot attach");
  return mutator;
}

void scenario_detach(tri_mutator *mutator) {
  scenario_expect(tri_detach(mutator) == TRI_OK, "a thread cannot detach");
}

bool scenario_is_alive(tri_heap *heap, const void *object) {
  return tri_object_start(heap, object) == object;
}
