// The commons: objects that all threads of a model share and move about without a lock. No shadow graph can follow
// that, so each object carries a stamp instead, and a lost one is known by a wrong stamp.
#ifndef TRICOLOR_MODEL_COMMONS_H
#define TRICOLOR_MODEL_COMMONS_H

#include "tricolor.h"

typedef struct commons {
  uint64_t seed;
  tri_heap *heap;
  void *tables[2]; // a barriered root range: the slots, and the rows
} commons;

/// Makes the tables, while the calling thread is not attached.
void commons_open(commons *all, tri_heap *heap, uint64_t seed);
/// A burst of random moves. The caller holds no reference that only a native stack knows.
void commons_play(commons *all, tri_mutator *mutator, uint64_t *random);
/// Checks every stamp that is reachable now.
void commons_check(const commons *all);

#endif
