// A model test: long random programs on the heap, compared with a plain shadow graph kept in malloc memory.
#ifndef TRICOLOR_MODEL_H
#define TRICOLOR_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tricolor_types.h"

typedef struct model_options {
  uint64_t seed;
  uint32_t operations; // per thread
  uint32_t threads;
  bool precise; // threads attach without native stack scanning; reclaimed counts are then exact
  bool explicit_free;
  bool automatic; // cycles start by themselves as well
  tri_barrier_policy barrier;
  uint32_t workers; // that mark, in stops and beside mutators; 0: as the heap chooses
  uint32_t trace;   // 2: second pass in every cycle
  uint32_t stress_interval;
  uint64_t limit_bytes;
  bool plain_roots; // the root tables are found through a plain range
  tri_generations generations;
  bool no_custom_layouts; // they forbid minor cycles
  bool returns_memory;    // threads trim the heap, and the scavenger waits no time
  bool shared;            // threads also store into objects of each other, without a lock
} model_options;

typedef struct model_result {
  uint64_t allocated, stores, freed, verified_objects, refused;
  uint64_t cycles, cycles_minor, checkmarks;
  uint64_t destroyed, cleanups;
  uint64_t rescued; // made a root through a weak reference
} model_result;

/// Plays a program; prints the seed and what differs, and aborts, if heap and shadow ever disagree.
model_result model_run(model_options options);

/// Fills a heap with 1 GiB of objects of this size, drops nine tenths and checks what is resident: right after a trim,
/// or after the documented time. Prints what it found; aborts if that is too much.
void model_check_resident_memory(size_t object_bytes, bool trim);

#endif
