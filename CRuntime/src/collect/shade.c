#include "collect/shade.h"

#include "base/step.h"

enum {
  TRI_SHADE_AHEAD = 8, // mark words on their way: as many as arrive in the time that as many take to be looked at
};

#define TRI_SHADE_INLINE static inline __attribute__((always_inline))

// Marked just now, by the caller: grey, unless nothing is in it.
TRI_SHADE_INLINE void tri_shade_push(tri_collect *collect, uint64_t offset, tri_grey_chunk **chunk) {
  const tri_space *space = &collect->spans.space;
  if (!(tri_load_relaxed(&space->layout_map[offset >> TRI_BLOCK_LOG2]) & TRI_ENTRY_LEAF))
    tri_grey_push(&collect->grey, chunk, offset);
}

// The count comes after the mark: who knows the count sees the mark (tri_ephemerons_shade).
TRI_SHADE_INLINE bool tri_shade_newly(tri_collect *collect, uint64_t offset, tri_grey_chunk **chunk) {
  tri_shade_push(collect, offset, chunk);
  tri_add_release(&collect->marked_objects, 1u);
  return true;
}

// What an ambiguous word led to may have been a slot waiting in a window, and not wait there any more: its owner takes
// it out of A, then out of M (tri_window_give_back). Here M first, then A: who finds M clear sees A clear.
static bool tri_mark_uncertain(tri_collect *collect, uint64_t offset) {
  const tri_bitmaps *bits = &collect->spans.space.bits;
  uint64_t granule = offset >> TRI_GRANULE_LOG2, bit = UINT64_C(1) << (granule & 63);
  tri_step(TRI_STEP_SHADE);
  if (tri_load_relaxed(&bits->marked[granule >> 6]) & bit) return false;
  if (__atomic_fetch_or(&bits->marked[granule >> 6], bit, __ATOMIC_SEQ_CST) & bit) return false;
  if (tri_load_ordered(&bits->allocated[granule >> 6]) & bit) return true;
  tri_and_relaxed(&bits->marked[granule >> 6], ~bit);
  return false;
}

// A reference where there is doubt: what A has not is not marked even for a moment, as it may be handed out then.
static bool tri_mark_doubted(tri_collect *collect, uint64_t offset) {
  return tri_bit_test(collect->spans.space.bits.allocated, offset >> TRI_GRANULE_LOG2) &&
         tri_mark_uncertain(collect, offset);
}

static bool tri_shade_uncertain(tri_collect *collect, uint64_t offset, tri_grey_chunk **chunk) {
  return tri_mark_uncertain(collect, offset) && tri_shade_newly(collect, offset, chunk);
}

// Whether a word is a reference into the heap, and where it leads.
TRI_SHADE_INLINE bool tri_reference_offset(const tri_collect *collect, uintptr_t word, uint64_t *out_offset) {
  *out_offset = word - collect->spans.space.start;
  return (word & collect->spans.tag_mask) != collect->spans.tag_value &&
         *out_offset < tri_load_acquire(&collect->spans.space.committed_bytes);
}

// Marks what a word refers to; whether that was white. `found`: looked up when it was ambiguous, perhaps a while ago.
TRI_SHADE_INLINE bool tri_mark_word(tri_collect *collect, uintptr_t word, bool found, uint64_t *out_offset) {
  if (!tri_reference_offset(collect, word, out_offset)) return false;
  if (found) return tri_mark_uncertain(collect, *out_offset);
  if (tri_collect_doubts(collect)) return tri_mark_doubted(collect, *out_offset);
  tri_check_reference(collect, *out_offset);
  return tri_bit_set(collect->spans.space.bits.marked, *out_offset >> TRI_GRANULE_LOG2);
}

bool tri_shade(tri_collect *collect, uintptr_t word, tri_grey_chunk **chunk) {
  uint64_t offset;
  return tri_mark_word(collect, word, false, &offset) && tri_shade_newly(collect, offset, chunk);
}

// One after the other each would wait for its mark word, which a mutator's cache rarely has.
TRI_SHADE_INLINE void tri_shade_prefetch(const tri_collect *collect, uintptr_t word) {
  uint64_t offset = word - collect->spans.space.start;
  if (offset < collect->spans.space.reserved_bytes)
    tri_prefetch_to_write(&collect->spans.space.bits.marked[offset >> TRI_MARK_WORD_LOG2]);
}

uint32_t tri_shade_batch(tri_collect *collect, const uintptr_t *words, uint32_t count, bool found,
                         tri_grey_chunk **chunk) {
  uint32_t white = 0;
  for (uint32_t i = 0; i < TRI_SHADE_AHEAD && i < count; i++) tri_shade_prefetch(collect, words[i]);
  for (uint32_t i = 0; i < count; i++) {
    if (i + TRI_SHADE_AHEAD < count) tri_shade_prefetch(collect, words[i + TRI_SHADE_AHEAD]);
    uint64_t offset;
    if (!tri_mark_word(collect, words[i], found, &offset)) continue;
    tri_shade_push(collect, offset, chunk);
    white++;
  }
  if (white) tri_add_release(&collect->marked_objects, white);
  return white;
}

uint32_t tri_mark_precise(tri_collect *collect, uintptr_t word, uint64_t *out_offset) {
  if (!tri_mark_word(collect, word, false, out_offset)) return 0;
  tri_add_release(&collect->marked_objects, 1u);
  return 1;
}

uint32_t tri_word_targets(const tri_collect *collect, uintptr_t word, tri_word_kind kind, uint64_t out_offsets[2]) {
  uint32_t count = 0;
  if (tri_object_start_offset(collect, word, &out_offsets[count])) count++;
  bool boundary = count == 0 || collect->spans.space.start + out_offsets[0] == word;
  if (kind == TRI_WORD_AMBIGUOUS && boundary && tri_object_start_offset(collect, word - 1, &out_offsets[count]))
    count++;
  return count;
}

uint32_t tri_mark_targets(tri_collect *collect, uintptr_t word, tri_word_kind kind, uint64_t out_offsets[2]) {
  uint64_t offsets[2];
  uint32_t count = tri_word_targets(collect, word, kind, offsets), white = 0;
  for (uint32_t index = 0; index < count; index++)
    if (tri_mark_uncertain(collect, offsets[index])) out_offsets[white++] = offsets[index];
  tri_add_release(&collect->marked_objects, white);
  return white;
}

void tri_shade_word(tri_collect *collect, uintptr_t word, tri_word_kind kind, tri_grey_chunk **chunk) {
  if (kind == TRI_WORD_PRECISE) {
    tri_shade(collect, word, chunk);
    return;
  }
  uint64_t offsets[2];
  uint32_t count = tri_word_targets(collect, word, kind, offsets);
  for (uint32_t index = 0; index < count; index++) tri_shade_uncertain(collect, offsets[index], chunk);
}

void tri_visit(tri_visitor *visitor, const void *reference) {
  if (visitor->each)
    visitor->each(visitor->context, (uintptr_t)reference, TRI_WORD_PRECISE);
  else
    tri_shade(visitor->collect, (uintptr_t)reference, visitor->chunk);
}

void tri_visit_conservative(tri_visitor *visitor, const void *word) {
  if (visitor->each)
    visitor->each(visitor->context, (uintptr_t)word, TRI_WORD_INTERIOR);
  else
    tri_shade_word(visitor->collect, (uintptr_t)word, TRI_WORD_INTERIOR, visitor->chunk);
}
