// Config: layout constants and build switches, and how they relate.
//
// Callers     every file. Switches are always 0 or 1 and tested with plain `if`, so both arms compile.
// Not here    limits the embedder sees (tricolor_types.h); what the embedder may choose (tri_options).
#ifndef TRI_BASE_CONFIG_H
#define TRI_BASE_CONFIG_H

#include "tricolor_fast.h"
#include "tricolor_types.h"

// 1: debug assertions. 1 in debug builds of the package.
#ifndef TRI_CHECKS
#define TRI_CHECKS 0
#endif
// 1: step points call the hook that tests install. 1 in debug builds of the package.
#ifndef TRI_STEPS
#define TRI_STEPS 0
#endif

enum {
  TRI_GRANULE_LOG2 = 4, // the smallest object and the distance of mark bits
  TRI_GRANULE_BYTES = 1 << TRI_GRANULE_LOG2,
  TRI_PAGE_LOG2 = 13, // unit of large objects; smaller wastes page-map entries, larger wastes tails
  TRI_PAGE_BYTES = 1 << TRI_PAGE_LOG2,
  TRI_BLOCK_LOG2 = 16, // unit of small spans; 8 KiB costs 20-30 % in allocation (prototype E1)
  TRI_BLOCK_BYTES = 1 << TRI_BLOCK_LOG2,
  TRI_PAGES_PER_BLOCK = TRI_BLOCK_BYTES / TRI_PAGE_BYTES,
  TRI_CHUNK_LOG2 = 21, // unit of growth and of release: one huge page
  TRI_CHUNK_BYTES = 1 << TRI_CHUNK_LOG2,
  TRI_PAGES_PER_CHUNK = TRI_CHUNK_BYTES / TRI_PAGE_BYTES,
  TRI_GRANULES_PER_WORD = 64,
  TRI_BLOCK_BITMAP_WORDS = TRI_BLOCK_BYTES / TRI_GRANULE_BYTES / 64,

  TRI_WINDOW_SLOTS = 64,
  TRI_CACHE_LINE_BYTES = 64,
};

_Static_assert(TRI_SMALL_BYTES_MAX < 8 * TRI_BLOCK_BYTES, "a small span holds several objects of its largest class");
_Static_assert(TRI_PAGES_PER_CHUNK % 64 == 0, "a chunk's page bitmap is whole words");
_Static_assert(sizeof(struct tri_window) == TRI_CACHE_LINE_BYTES, "windows are found by a shift");
_Static_assert(sizeof(struct tri_mutator) <= TRI_MUTATOR_WINDOWS_OFFSET, "the mutator ends before its windows");
_Static_assert(sizeof(void *) == 8, "64-bit only");

#define TRI_NO_ASAN
#if defined(__clang__) || defined(__GNUC__)
#undef TRI_NO_ASAN
#define TRI_NO_ASAN __attribute__((no_sanitize("address", "thread"), noinline))
#endif
#if defined(__GNUC__) && !defined(__clang__)
#undef TRI_NO_ASAN
#define TRI_NO_ASAN __attribute__((no_sanitize_address, no_sanitize_thread, noinline))
#endif
// For a function whose races are part of the design and argued where it stands.
#define TRI_NO_TSAN __attribute__((no_sanitize("thread"), noinline))
#if defined(__GNUC__) && !defined(__clang__)
#undef TRI_NO_TSAN
#define TRI_NO_TSAN __attribute__((no_sanitize_thread, noinline))
#endif

#endif
