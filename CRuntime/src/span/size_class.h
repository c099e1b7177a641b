// Size classes: multiples of 16 up to 128 bytes, then eight per doubling up to 32 KiB.
//
// Invariants  rounding a size up plus the tail of its span wastes at most 12.5 % of the span above 128 bytes
//             (a test walks every size); a group is 64 slots and, with g granules a slot, exactly g words of a
//             bitmap; the last group of a span may hold fewer slots.
// Callers     everyone; the table is made once per process and constant afterwards.
#ifndef TRI_SPAN_SIZE_CLASS_H
#define TRI_SPAN_SIZE_CLASS_H

#include "space/space.h"

enum {
  TRI_SLOT_INVERSE_LOG2 = 35, // offset * slot_bytes stays below 2^35 in every span, so the quotient is exact
};

typedef struct tri_size_class_info {
  uint32_t slot_bytes;
  uint32_t slot_granules;
  uint32_t slot_inverse; // ceil(2^35 / slot_bytes)
  uint32_t span_pages;
  uint32_t slots;  // in a span
  uint32_t groups; // in a span
  // slot_granules words: where slots start in a group. NULL above 64 granules, where each slot has words of its own.
  const uint64_t *slot_starts;
} tri_size_class_info;

/// The table, TRI_SIZE_CLASS_COUNT entries.
const tri_size_class_info *tri_size_classes(void);

/// Pages of a span of this class: as few blocks as there can be. A program with objects of all sizes holds some of
/// every class, and what is free in a span is of no use to others.
uint32_t tri_size_class_span_pages(uint32_t size_class);
/// Which slot an offset into a span falls into.
static inline uint32_t tri_slot_index(uint64_t offset, uint32_t slot_inverse) {
  return (uint32_t)((offset * slot_inverse) >> TRI_SLOT_INVERSE_LOG2);
}
static inline uint32_t tri_group_slots(uint32_t slots, uint32_t group) {
  uint32_t left = slots - group * TRI_WINDOW_SLOTS;
  return left < TRI_WINDOW_SLOTS ? left : TRI_WINDOW_SLOTS;
}

#endif
