#include "space/meta_alloc.h"

#include <string.h>

#include "base/atomics.h"
#include "base/bits.h"
#include "os/vm.h"

struct tri_meta_mapping {
  struct tri_meta_mapping *next;
  struct tri_meta_mapping *previous;
  size_t bytes;
  size_t padding;
};
struct tri_meta_free {
  struct tri_meta_free *next;
};

enum { TRI_META_SMALL_MAX = 16 << (TRI_META_SIZES - 1) };

void tri_meta_init(tri_meta *meta) {
  memset(meta, 0, sizeof *meta);
  tri_lock_init(&meta->lock, TRI_RANK_META);
}

void tri_meta_destroy(tri_meta *meta) {
  for (struct tri_meta_mapping *mapping = meta->mappings, *next; mapping; mapping = next) {
    next = mapping->next;
    tri_vm_release(mapping, mapping->bytes);
  }
  tri_lock_destroy(&meta->lock);
}

static struct tri_meta_mapping *tri_meta_map_locked(tri_meta *meta, size_t bytes) {
  struct tri_meta_mapping *mapping = tri_vm_map(bytes);
  if (!mapping) return NULL;
  mapping->bytes = bytes;
  mapping->next = meta->mappings;
  if (mapping->next) mapping->next->previous = mapping;
  meta->mappings = mapping;
  tri_store_relaxed(&meta->mapped_bytes, meta->mapped_bytes + bytes);
  return mapping;
}

static uint32_t tri_meta_size_index(size_t bytes) {
  return bytes <= 16 ? 0 : 64u - (uint32_t)__builtin_clzll(bytes - 1) - 4u;
}

static void *tri_meta_allocate_small_locked(tri_meta *meta, size_t bytes) {
  uint32_t index = tri_meta_size_index(bytes);
  struct tri_meta_free *reused = meta->free[index];
  size_t rounded = (size_t)16 << index;
  if (reused) {
    meta->free[index] = reused->next;
    memset(reused, 0, rounded);
    return reused;
  }
  if (meta->bump_end - meta->bump < rounded) {
    struct tri_meta_mapping *piece = tri_meta_map_locked(meta, TRI_META_PIECE_BYTES);
    if (!piece) return NULL;
    meta->bump = (uintptr_t)(piece + 1);
    meta->bump_end = (uintptr_t)piece + TRI_META_PIECE_BYTES;
  }
  void *start = (void *)meta->bump;
  meta->bump += rounded;
  return start;
}

void *tri_meta_allocate(tri_meta *meta, size_t bytes) {
  tri_lock_acquire(&meta->lock);
  void *start;
  if (bytes <= TRI_META_SMALL_MAX) {
    start = tri_meta_allocate_small_locked(meta, bytes);
  } else {
    struct tri_meta_mapping *mapping =
        tri_meta_map_locked(meta, tri_align_up(bytes + sizeof(struct tri_meta_mapping), 4096));
    start = mapping ? mapping + 1 : NULL;
  }
  tri_lock_release(&meta->lock);
  return start;
}

void tri_meta_free(tri_meta *meta, void *start, size_t bytes) {
  if (!start) return;
  tri_lock_acquire(&meta->lock);
  if (bytes <= TRI_META_SMALL_MAX) {
    struct tri_meta_free *freed = start;
    uint32_t index = tri_meta_size_index(bytes);
    freed->next = meta->free[index];
    meta->free[index] = freed;
  } else {
    struct tri_meta_mapping *mapping = (struct tri_meta_mapping *)start - 1;
    if (mapping->previous)
      mapping->previous->next = mapping->next;
    else
      meta->mappings = mapping->next;
    if (mapping->next) mapping->next->previous = mapping->previous;
    tri_store_relaxed(&meta->mapped_bytes, meta->mapped_bytes - mapping->bytes);
    tri_vm_release(mapping, mapping->bytes);
  }
  tri_lock_release(&meta->lock);
}

void *tri_meta_grow(tri_meta *meta, void *old, size_t old_bytes, size_t new_bytes) {
  void *grown = tri_meta_allocate(meta, new_bytes);
  if (!grown) return NULL;
  if (old_bytes) memcpy(grown, old, old_bytes);
  tri_meta_free(meta, old, old_bytes);
  return grown;
}
