// What the marker's inner loops read of a heap, in registers, and what they ask of an offset: whether something is
// there that this cycle may have to mark, whether it has references, and where in the object they are.
//
// Callers     mark.c only, as for all of this folder: its files are one program, inlined into each loop.
#ifndef TRI_COLLECT_MARKING_VIEW_H
#define TRI_COLLECT_MARKING_VIEW_H

#include "collect/mark.h"

#define TRI_MARK_INLINE static inline __attribute__((always_inline))

// Everything the inner loops read, in registers.
typedef struct tri_mark_view {
  uintptr_t start;
  uint64_t limit;
  uint64_t *marks;
  const uint64_t *confirmed_by; // A, where references are doubted; else NULL
  const tri_layout_entry *layout_map;
  const uint64_t *scan_masks;
  uint64_t tag_mask, tag_value;
  bool mostly_marked; // a minor cycle: what arrays lead to is old, nearly all of it
} tri_mark_view;

static inline tri_mark_view tri_mark_view_of(const tri_collect *collect) {
  const tri_spans *spans = &collect->spans;
  return (tri_mark_view){
      .start = spans->space.start,
      .limit = tri_load_acquire(&collect->mark_limit_bytes),
      .marks = spans->space.bits.marked,
      .confirmed_by = tri_collect_doubts(collect) ? spans->space.bits.allocated : NULL,
      .layout_map = spans->space.layout_map,
      .scan_masks = spans->scan_masks,
      .tag_mask = spans->tag_mask,
      .tag_value = spans->tag_value,
      .mostly_marked = tri_load_relaxed(&collect->minor) != 0,
  };
}

// How a piece of the graph is read: constants where they are used, for each combination is a loop of its own.
typedef struct tri_mark_way {
  bool alone;  // no other worker: marks are set without locked instructions
  bool tagged; // the heap has immediates
  bool near;   // references that follow each other lead to neighbours
  bool votes;  // of objects that are scanned one by one it is counted how many are neighbours
} tri_mark_way;

// Whether a reference leads to what this cycle may have to mark, and where.
TRI_MARK_INLINE bool tri_edge_offset(const tri_mark_view *view, uintptr_t reference, bool tagged,
                                     uint64_t *out_offset) {
  *out_offset = reference - view->start;
  return *out_offset < view->limit && !(tagged && (reference & view->tag_mask) == view->tag_value);
}

static inline uint64_t tri_mark_offset(uint64_t word, uint32_t bit) {
  return word << TRI_MARK_WORD_LOG2 | (uint64_t)bit << TRI_GRANULE_LOG2;
}

// True of everything that a word of M covers, too: that is 1 KiB, which lies in one block.
static inline bool tri_mark_is_leaf(const tri_mark_view *view, uint64_t offset) {
  return tri_load_relaxed(&view->layout_map[offset >> TRI_BLOCK_LOG2]) & TRI_ENTRY_LEAF;
}

// All references of an object; 0 where it takes the long way. Of what is scanned in slices, too, so that tags need no
// test of their own.
TRI_MARK_INLINE uint64_t tri_mark_scan_mask(const tri_mark_view *view, tri_grey_item item) {
  uint64_t mask = view->scan_masks[tri_load_relaxed(&view->layout_map[item >> TRI_BLOCK_LOG2]) & TRI_ENTRY_CLASS];
  TRI_ASSERT(!(item & TRI_GREY_TAGS) || !mask);
  return mask;
}

static inline void tri_mark_prefetch(const tri_mark_view *view, uint64_t offset) {
  __builtin_prefetch((const void *)(view->start + offset));
}

static void tri_check_references(const tri_marker *marker, uint64_t word, uint64_t bits) {
  if (!TRI_CHECKS) return;
  for (; bits; bits &= bits - 1) tri_check_reference(marker->collect, tri_mark_offset(word, tri_first_set(bits)));
}

#endif
