// Bits: align, log2, popcount, find-first-set over words.
#ifndef TRI_BASE_BITS_H
#define TRI_BASE_BITS_H

#include "base/config.h"

static inline bool tri_is_power_of_two(uint64_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}
static inline uint64_t tri_align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}
static inline uint64_t tri_align_down(uint64_t value, uint64_t alignment) {
  return value & ~(alignment - 1);
}
static inline uint32_t tri_popcount(uint64_t word) {
  return (uint32_t)__builtin_popcountll(word);
}
static inline uint32_t tri_first_set(uint64_t word) {
  return (uint32_t)__builtin_ctzll(word);
}
static inline uint32_t tri_last_set(uint64_t word) {
  return 63 ^ (uint32_t)__builtin_clzll(word);
}
/// By 1 to 63 bits.
static inline uint64_t tri_rotate_right(uint64_t word, uint32_t bits) {
  return word >> bits | word << (64 - bits);
}
/// The lowest `count` bits set; count up to 64.
static inline uint64_t tri_low_bits(uint32_t count) {
  return count >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
}

#endif
