// Objects: any address -> the object it lies in.
//
// Invariants  an answer is the start of a slot whose A bit is set and F bit clear: an object, or a slot waiting in a
//             window.
// Callers     conservative scanning, tri_free, queries, verification. Lock-free.
#ifndef TRI_SPAN_OBJECT_H
#define TRI_SPAN_OBJECT_H

#include "span/span.h"

typedef struct tri_object_place {
  tri_span *span;
  uintptr_t start; // 0: no object there
  uint32_t slot;
} tri_object_place;

/// The slot an address falls into, whether allocated or not; start is 0 when no span or no slot is there.
static inline tri_object_place tri_slot_at(const tri_spans *spans, uintptr_t address) {
  tri_object_place place = {NULL, 0, 0};
  tri_span *span = tri_span_at(spans, address);
  if (!span) return place;
  place.span = span;
  uint64_t offset = address - span->start;
  if (span->state == TRI_SPAN_LARGE) {
    place.start = offset < tri_load_acquire(&span->object_bytes) ? span->start : 0;
    return place;
  }
  place.slot = tri_slot_index(offset, span->slot_inverse);
  if (place.slot < span->slots) place.start = span->start + (uint64_t)place.slot * span->slot_bytes;
  return place;
}

/// The object an address lies in; start is 0 if there is none.
static inline tri_object_place tri_object_at(const tri_spans *spans, uintptr_t address) {
  tri_object_place place = tri_slot_at(spans, address);
  if (!place.start) return place;
  uint64_t granule = tri_space_granule(&spans->space, place.start);
  bool freed = tri_load_acquire(&place.span->has_freed) && tri_bit_test(spans->space.bits.freed, granule);
  if (freed || !tri_bit_test(spans->space.bits.allocated, granule)) place.start = 0;
  return place;
}

#endif
