#include "span/size_class.h"

static const uint64_t *tri_slot_starts_make(uint32_t granules, tri_meta *meta) {
  uint64_t *words = tri_meta_allocate(meta, granules * sizeof *words);
  if (!words) return NULL;
  for (uint32_t slot = 0; slot < TRI_WINDOW_SLOTS; slot++) {
    uint32_t granule = slot * granules;
    words[granule >> 6] |= UINT64_C(1) << (granule & 63);
  }
  return words;
}

bool tri_size_classes_init(tri_size_class_info table[TRI_SIZE_CLASS_COUNT], tri_meta *meta) {
  for (uint32_t index = 0; index < TRI_SIZE_CLASS_COUNT; index++) {
    tri_size_class_info *info = &table[index];
    info->slot_bytes = tri_size_class_bytes(index);
    info->slot_granules = info->slot_bytes >> TRI_GRANULE_LOG2;
    info->slot_inverse = (uint32_t)((UINT64_C(1) << TRI_SLOT_INVERSE_LOG2) / info->slot_bytes + 1);
    info->span_pages = tri_size_class_span_pages(info->slot_bytes);
    info->slots = (info->span_pages << TRI_PAGE_LOG2) / info->slot_bytes;
    info->groups = (info->slots + TRI_WINDOW_SLOTS - 1) / TRI_WINDOW_SLOTS;
    if (info->slot_granules > 64) continue;
    info->slot_starts = tri_slot_starts_make(info->slot_granules, meta);
    if (!info->slot_starts) return false;
  }
  return true;
}
