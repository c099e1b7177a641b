// Page runs: which pages of the committed heap are free, lowest address first, coalesced by being bits.
//
// Invariants  a page is used, free or held (by scavenge.h, for a moment); a free page is fresh (reads as zero, costs no
//             memory) or dirty.
//             used_pages + free pages + held_pages == committed pages; touched_pages counts those not fresh.
//             A run of up to a chunk lies inside one chunk; a longer one starts at a chunk.
// Callers     allocation slow paths and sweeps; the page lock is taken here.
// Not here    what lives in a run (span.h), giving free pages back to the system (scavenge.h).
#ifndef TRI_SPACE_PAGE_ALLOC_H
#define TRI_SPACE_PAGE_ALLOC_H

#include "space/space.h"

enum { TRI_CHUNK_WORDS = TRI_PAGES_PER_CHUNK / 64 };

typedef struct tri_chunk {
  uint64_t free[TRI_CHUNK_WORDS];  // one bit per page
  uint64_t fresh[TRI_CHUNK_WORDS]; // of all pages: never written since the system gave them
  uint32_t free_pages;
  uint32_t tables_touched; // pages of it were in use since its tables last went back
  uint64_t changed_ns;     // when pages of it were last handed out or freed
  uint32_t small_pages;    // of an arena's first: no huge pages are wished for in the arena (huge_pages.h)
  uint32_t padding[11];
} tri_chunk;
_Static_assert(sizeof(tri_chunk) == TRI_CHUNK_RECORD_BYTES, "the chunk table is found by a shift");

typedef struct tri_page_run {
  uint64_t page;
  bool fresh; // every page of it reads as zero
} tri_page_run;

/// Finds a run, growing the heap if there is none, rather than wait for held pages; for those only if it cannot grow.
/// alignment_pages is a power of two up to a chunk.
/// limit_bytes (0: none) bounds the bytes in use afterwards.
/// Errors: TRI_LIMIT_REACHED, TRI_OUT_OF_MEMORY; nothing is changed then.
tri_status tri_pages_allocate(tri_space *space, uint64_t pages, uint64_t alignment_pages, uint64_t limit_bytes,
                              tri_page_run *out_run);
/// The same among pages that were in use before; false when there is no such run.
bool tri_pages_reuse(tri_space *space, uint64_t pages, uint64_t alignment_pages, uint64_t limit_bytes,
                     tri_page_run *out_run);
/// Takes the pages right behind a run, if they are free and the run stays what it has to be: inside one chunk, or from
/// the start of one. False, and nothing changed, otherwise.
bool tri_pages_extend(tri_space *space, uint64_t page, uint64_t pages, uint64_t more, uint64_t limit_bytes);
void tri_pages_free(tri_space *space, uint64_t page, uint64_t pages);
/// Free and not fresh, or held.
static inline uint64_t tri_pages_dirty_locked(const tri_space *space) {
  return space->touched_pages - space->used_pages;
}
/// Sets or clears a run of page bits inside one chunk; returns how many of them were set before.
uint32_t tri_chunk_assign(uint64_t *bits, uint32_t first, uint32_t count, bool value);
/// Recomputes every count from the bits; traps on a difference. Takes the lock.
void tri_pages_check(tri_space *space);

#endif
