// Metadata memory: for the collector's own descriptors, never from the managed heap.
//
// Invariants  everything handed out is 16-byte aligned, zeroed, and lives until freed or until the whole
//             allocator ends; pieces come from a few mappings, so their number does not grow with use.
// Callers     any thread; takes a lock of its own.
#ifndef TRI_SPACE_META_ALLOC_H
#define TRI_SPACE_META_ALLOC_H

#include "base/lock.h"

enum {
  TRI_META_SIZES = 13,            // powers of two from 16 bytes to 64 KiB
  TRI_META_PIECE_BYTES = 1 << 18, // larger amortises mmap, smaller wastes less in small heaps
};

typedef struct tri_meta {
  tri_lock lock;
  struct tri_meta_mapping *mappings;          // [lock]
  struct tri_meta_free *free[TRI_META_SIZES]; // [lock]
  uintptr_t bump, bump_end;                   // [lock]
  uint64_t mapped_bytes;                      // [lock; read anywhere]
} tri_meta;

void tri_meta_init(tri_meta *meta);
void tri_meta_destroy(tri_meta *meta);
/// Zeroed memory, or NULL when the system refuses.
void *tri_meta_allocate(tri_meta *meta, size_t bytes);
/// `bytes` as asked for. NULL is ignored.
void tri_meta_free(tri_meta *meta, void *start, size_t bytes);
/// A larger copy of a table whose old memory is freed; NULL (and the old one intact) when refused.
void *tri_meta_grow(tri_meta *meta, void *old, size_t old_bytes, size_t new_bytes);

#endif
