#include "span/size_class.h"

#include <pthread.h>

enum {
  // Granules per slot, summed over the classes of at most 64: 1 to 8, 9 to 16, 18 to 32 and 36 to 64, eight of each.
  TRI_SLOT_STARTS_WORDS = 36 + 100 + 200 + 400,
  // Fewer would make a span's own costs those of its objects: with four, pairs of 8 to 32 KiB took 1.15 of the time.
  TRI_SPAN_SLOTS_MIN = 8,
  TRI_ROUNDED_BYTES_MAX = 128, // up to here what rounding to 16 wastes cannot be bounded by the span
};

// Eight classes, each of so many multiples of 16 bytes, from the one after `before` of them on.
#define TRI_CLASS(before, step, first, k) [(before) + (step) * (k)...(before) + (step) * ((k) + 1) - 1] = (first) + (k)
#define TRI_EIGHT_CLASSES(before, step, first)                                                                         \
  TRI_CLASS(before, step, first, 0), TRI_CLASS(before, step, first, 1), TRI_CLASS(before, step, first, 2),             \
      TRI_CLASS(before, step, first, 3), TRI_CLASS(before, step, first, 4), TRI_CLASS(before, step, first, 5),         \
      TRI_CLASS(before, step, first, 6), TRI_CLASS(before, step, first, 7)
const uint8_t tri_size_class_table[TRI_SMALL_BYTES_MAX / 16] = {
    TRI_EIGHT_CLASSES(0, 1, 0),     TRI_EIGHT_CLASSES(8, 1, 8),     TRI_EIGHT_CLASSES(16, 2, 16),
    TRI_EIGHT_CLASSES(32, 4, 24),   TRI_EIGHT_CLASSES(64, 8, 32),   TRI_EIGHT_CLASSES(128, 16, 40),
    TRI_EIGHT_CLASSES(256, 32, 48), TRI_EIGHT_CLASSES(512, 64, 56), TRI_EIGHT_CLASSES(1024, 128, 64),
};

// The same for every heap: one copy, written once.
static tri_size_class_info tri_size_class_infos[TRI_SIZE_CLASS_COUNT];
static uint64_t tri_slot_starts[TRI_SLOT_STARTS_WORDS];
static pthread_once_t tri_size_classes_once = PTHREAD_ONCE_INIT;

static void tri_slot_starts_make(uint64_t *words, uint32_t granules) {
  for (uint32_t slot = 0; slot < TRI_WINDOW_SLOTS; slot++) {
    uint32_t granule = slot * granules;
    words[granule >> 6] |= UINT64_C(1) << (granule & 63);
  }
}

// Whether so many blocks hold enough slots to be worth a span, and waste no more than the header allows if each slot
// has the smallest object of its class.
static bool tri_size_class_span_suits(uint32_t size_class, uint32_t blocks) {
  uint32_t bytes = blocks << TRI_BLOCK_LOG2, slots = bytes / tri_size_class_bytes(size_class);
  if (slots < TRI_SPAN_SLOTS_MIN) return false;
  uint32_t smallest = size_class ? tri_size_class_bytes(size_class - 1) + 1 : 1;
  return smallest <= TRI_ROUNDED_BYTES_MAX || (bytes - slots * smallest) * 8 <= bytes;
}

uint32_t tri_size_class_span_pages(uint32_t size_class) {
  uint32_t blocks = 1; // a power of two: spans are aligned to their size
  while (!tri_size_class_span_suits(size_class, blocks)) blocks *= 2;
  return blocks * TRI_PAGES_PER_BLOCK;
}

static void tri_size_classes_make(void) {
  uint32_t words = 0;
  for (uint32_t index = 0; index < TRI_SIZE_CLASS_COUNT; index++) {
    tri_size_class_info *info = &tri_size_class_infos[index];
    info->slot_bytes = tri_size_class_bytes(index);
    info->slot_granules = info->slot_bytes >> TRI_GRANULE_LOG2;
    info->slot_inverse = (uint32_t)((UINT64_C(1) << TRI_SLOT_INVERSE_LOG2) / info->slot_bytes + 1);
    info->span_pages = tri_size_class_span_pages(index);
    info->slots = (info->span_pages << TRI_PAGE_LOG2) / info->slot_bytes;
    info->groups = (info->slots + TRI_WINDOW_SLOTS - 1) / TRI_WINDOW_SLOTS;
    if (info->slot_granules > 64) continue;
    TRI_CHECK(words + info->slot_granules <= TRI_SLOT_STARTS_WORDS, "size classes: no room for slot starts");
    tri_slot_starts_make(&tri_slot_starts[words], info->slot_granules);
    info->slot_starts = &tri_slot_starts[words];
    words += info->slot_granules;
  }
  TRI_CHECK(words == TRI_SLOT_STARTS_WORDS, "size classes: %u words of slot starts", words);
}

const tri_size_class_info *tri_size_classes(void) {
  pthread_once(&tri_size_classes_once, tri_size_classes_make);
  return tri_size_class_infos;
}
