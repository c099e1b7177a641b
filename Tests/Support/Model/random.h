// The random numbers of the model: xorshift, one state a thread, so that a seed plays the same program again.
#ifndef TRICOLOR_MODEL_RANDOM_H
#define TRICOLOR_MODEL_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return (*state * UINT64_C(2685821657736338717)) >> 16;
}

static inline uint32_t random_below(uint64_t *state, uint32_t limit) {
  return (uint32_t)(random_next(state) % limit);
}

#endif
