// Layouts: where the references in an object are; interned per heap, constant once made.
//
// Invariants  the same description gives the same layout; a layout lives as long as its heap.
//             The first member is what the inline allocation path reads (tricolor_fast.h).
// Callers     interning: any thread, under the layouts lock. Reading: anyone.
#ifndef TRI_SPAN_LAYOUT_H
#define TRI_SPAN_LAYOUT_H

#include <stddef.h>

#include "base/config.h"

struct tri_layout {
  // Window by size class; 0 until that size is first asked for. The zeroed-ahead one of the pair up to
  // TRI_ZERO_AHEAD_BYTES_MAX. [lock:layouts; atomic]
  uint32_t window_of_class[TRI_SIZE_CLASS_COUNT];
  // Up to where an object has references: what is zeroed when the rest may be undefined; UINT32_MAX: everything. Found
  // by the inline path behind the table. [const]
  uint32_t reference_bytes;
  uint32_t id;                        // [const] index in the heap's table; also what a large span carries
  tri_layout_description description; // [const]
  struct tri_layout *next;            // [const] interning list
};

_Static_assert(offsetof(struct tri_layout, reference_bytes) == sizeof(uint32_t) * TRI_SIZE_CLASS_COUNT,
               "tricolor_fast.h finds it there");

/// TRI_OK, or what is wrong with a description.
tri_status tri_layout_check(const tri_layout_description *description);
bool tri_layout_equal(const tri_layout_description *a, const tri_layout_description *b);
/// Whether objects of it hold no references.
static inline bool tri_layout_is_leaf(const struct tri_layout *layout) {
  const tri_layout_description *description = &layout->description;
  return description->form == TRI_LAYOUT_LEAF ||
         (description->form == TRI_LAYOUT_MASK && !description->prefix_mask && !description->period_mask);
}
/// Bytes from an object's start that must be zero before a marker may see it; UINT32_MAX: all of them.
uint32_t tri_layout_reference_bytes(const tri_layout_description *description);
/// Words from an object's start in which it has all its references, as far as its layout goes; UINT64_MAX: to its end.
static inline uint64_t tri_layout_scanned_words(const tri_layout_description *description) {
  bool ends = description->form == TRI_LAYOUT_MASK && !description->period_mask;
  return ends ? description->prefix_words : UINT64_MAX;
}
/// Whether some of them lie behind the first `bytes`.
static inline bool tri_layout_has_references_beyond(const struct tri_layout *layout, uint64_t bytes) {
  return layout->reference_bytes == UINT32_MAX || layout->reference_bytes > bytes;
}
/// The reference mask of 64 words starting at word `first` of an object, by form. Not for conservative or custom.
uint64_t tri_layout_mask_at(const tri_layout_description *description, uint64_t first);

#endif
