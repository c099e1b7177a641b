#include "mutator/claim.h"

#include <string.h>

typedef struct tri_claim {
  const tri_collect *collect;
  uint64_t first_word; // of the group, in A, M and F
  uint32_t slots;      // in the group
  bool marking;
  bool merge_freed;
} tri_claim;

// The explicit frees of one bitmap word, unless marking has begun meanwhile: what was freed since may still be in a
// barrier buffer, and stays as it is until the swap.
static uint64_t tri_claim_freed(const tri_claim *claim, uint64_t word) {
  uint64_t *place = &claim->collect->spans.space.bits.freed[word];
  uint64_t freed = __atomic_exchange_n(place, 0, __ATOMIC_SEQ_CST);
  if (tri_phase_is_off(claim->collect)) {
    // What comes to live there is young.
    if (claim->collect->marks_kept) tri_and_relaxed(&claim->collect->spans.space.bits.marked[word], ~freed);
    return freed;
  }
  tri_or_relaxed(place, freed);
  return 0;
}

// Takes every free slot that starts in one bitmap word; `starts` are the slot starts there. Returns A before.
static uint64_t tri_claim_word(const tri_claim *claim, uint64_t word, uint64_t starts) {
  const tri_bitmaps *bits = &claim->collect->spans.space.bits;
  uint64_t taken = tri_load_relaxed(&bits->allocated[word]);
  if (claim->merge_freed && tri_load_relaxed(&bits->freed[word])) taken &= ~tri_claim_freed(claim, word);
  // Black from the start, and before A says that it is there: markers never scan what is handed out in this cycle, not
  // even by way of a stale word that leads to it at this moment.
  if (claim->marking && (starts & ~taken)) tri_or_relaxed(&bits->marked[word], starts & ~taken);
  tri_store_release(&bits->allocated[word], taken | starts);
  return taken;
}

static bool tri_words_are_zero(const uint64_t *words, uint32_t count) {
  uint64_t any = 0;
  for (uint32_t word = 0; word < count; word++) any |= words[word];
  return any == 0;
}

// A whole group with nothing in it: what is free needs no counting.
static bool tri_claim_empty(const tri_claim *claim, const tri_size_class_info *info) {
  uint64_t *allocated = &claim->collect->spans.space.bits.allocated[claim->first_word];
  if (claim->slots != TRI_WINDOW_SLOTS || claim->marking || claim->merge_freed || !info->slot_starts) return false;
  if (!tri_words_are_zero(allocated, info->slot_granules)) return false;
  memcpy(allocated, info->slot_starts, info->slot_granules * sizeof *allocated);
  return true;
}

static uint64_t tri_claim_narrow(const tri_claim *claim, const tri_size_class_info *info) {
  uint32_t granules = claim->slots * info->slot_granules, words = (granules + 63) / 64;
  uint64_t used = 0;
  for (uint32_t word = 0; word < words; word++) {
    // The last group of a span may end in the middle of a word.
    uint64_t starts = info->slot_starts[word] & tri_low_bits(granules - word * 64);
    uint64_t taken = tri_claim_word(claim, claim->first_word + word, starts);
    for (; taken; taken &= taken - 1) {
      uint64_t offset = ((uint64_t)word * 64 + tri_first_set(taken)) << TRI_GRANULE_LOG2;
      used |= UINT64_C(1) << (tri_slot_index(offset, info->slot_inverse) & 63);
    }
  }
  return ~used & tri_low_bits(claim->slots);
}

static uint64_t tri_claim_wide(const tri_claim *claim, const tri_size_class_info *info) {
  uint64_t free_slots = 0;
  for (uint32_t slot = 0; slot < claim->slots; slot++) {
    uint64_t granule = (uint64_t)slot * info->slot_granules, bit = UINT64_C(1) << (granule & 63);
    if (!(tri_claim_word(claim, claim->first_word + (granule >> 6), bit) & bit)) free_slots |= UINT64_C(1) << slot;
  }
  return free_slots;
}

uint64_t tri_group_claim(const tri_mutator_full *mutator, tri_span *span, const tri_size_class_info *info,
                         uint32_t group) {
  const tri_collect *collect = &mutator->world->collect;
  bool marking = mutator->allocates_black;
  tri_claim claim = {collect, 0, tri_group_slots(info->slots, group), marking,
                     // A free during marking takes effect after the swap.
                     tri_phase_is_off(collect) && tri_load_acquire(&span->has_freed)};
  claim.first_word =
      (tri_space_granule(&collect->spans.space, span->start) >> 6) + (uint64_t)group * info->slot_granules;
  // Markers have the lines of M: the next group's is asked for while this one is handed out.
  if (marking) tri_prefetch_to_write(&collect->spans.space.bits.marked[claim.first_word + info->slot_granules]);
  if (tri_claim_empty(&claim, info)) return ~UINT64_C(0);
  return info->slot_starts ? tri_claim_narrow(&claim, info) : tri_claim_wide(&claim, info);
}
