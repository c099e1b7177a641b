#include "span/layout.h"

#include "base/bits.h"

static bool tri_mask_fits(uint64_t mask, uint32_t words) {
  return words <= 64 && (mask & ~tri_low_bits(words)) == 0;
}

tri_status tri_layout_check(const tri_layout_description *description) {
  bool masked = description->form == TRI_LAYOUT_MASK;
  bool has_masks =
      description->prefix_words || description->prefix_mask || description->period_words || description->period_mask;
  if ((uint32_t)description->form > TRI_LAYOUT_CUSTOM) return TRI_BAD_LAYOUT;
  if (!masked && has_masks) return TRI_BAD_LAYOUT;
  if (!tri_mask_fits(description->prefix_mask, description->prefix_words)) return TRI_BAD_LAYOUT;
  if (!tri_mask_fits(description->period_mask, description->period_words)) return TRI_BAD_LAYOUT;
  if ((description->form == TRI_LAYOUT_CUSTOM) != (description->trace != NULL)) return TRI_BAD_LAYOUT;
  return TRI_OK;
}

bool tri_layout_equal(const tri_layout_description *a, const tri_layout_description *b) {
  return a->form == b->form && a->prefix_words == b->prefix_words && a->prefix_mask == b->prefix_mask &&
         a->period_words == b->period_words && a->period_mask == b->period_mask && a->trace == b->trace &&
         a->destroy == b->destroy && a->context == b->context;
}

uint32_t tri_layout_reference_bytes(const tri_layout_description *description) {
  // A destroy callback is promised what was written, or zeros.
  if (description->destroy) return UINT32_MAX;
  if (description->form == TRI_LAYOUT_LEAF) return 0;
  if (description->form != TRI_LAYOUT_MASK || description->period_mask) return UINT32_MAX;
  return description->prefix_mask ? 8 * (64 - (uint32_t)__builtin_clzll(description->prefix_mask)) : 0;
}

uint64_t tri_layout_mask_at(const tri_layout_description *description, uint64_t first) {
  switch (description->form) {
  case TRI_LAYOUT_LEAF: return 0;
  case TRI_LAYOUT_REFERENCES: return ~UINT64_C(0);
  case TRI_LAYOUT_CONSERVATIVE:
  case TRI_LAYOUT_CUSTOM: return 0;
  case TRI_LAYOUT_MASK: break;
  }
  uint64_t prefix = description->prefix_words, period = description->period_words, mask = 0;
  if (first < prefix) mask = description->prefix_mask >> first;
  if (period == 0 || description->period_mask == 0) return mask;
  // The first word of these 64 that the repetition covers, and where in its period it stands.
  uint64_t start = first < prefix ? prefix - first : 0;
  uint64_t phase = first < prefix ? 0 : (first - prefix) % period;
  uint64_t at = start;
  if (phase) {
    mask |= description->period_mask >> phase << at;
    at += period - phase;
  }
  for (; at < 64; at += period) mask |= description->period_mask << at;
  return mask;
}
