#include "space/huge_pages.h"

#include "os/thread.h"
#include "os/vm.h"
#include "space/page_alloc.h"

_Static_assert(TRI_ARENA_BYTES % TRI_CHUNK_BYTES == 0, "a unit is whole chunks");

enum { TRI_UNIT_CHUNKS = TRI_ARENA_BYTES / TRI_CHUNK_BYTES };

uint64_t tri_huge_pages_from(uint32_t policy) {
  switch (policy) {
  case TRI_HUGE_PAGES_ALWAYS: return 0;
  case TRI_HUGE_PAGES_OFF: return UINT64_MAX;
  default: return TRI_HUGE_PAGES_FROM;
  }
}

// Of the heap from `start` to `end`, what lies where they are wished for.
static void tri_huge_pages_wish(const tri_space *space, uint64_t start, uint64_t end, bool wanted) {
  if (start < space->huge_from) start = space->huge_from;
  if (start < end) tri_vm_wish_huge_pages((void *)(space->start + start), end - start, wanted);
}

// A, M and F: what every edge and every refill look at.
static void tri_huge_pages_wish_bitmaps(const tri_space *space, uint64_t heap_bytes, bool wanted) {
  uint64_t bytes = tri_align_up(heap_bytes >> (TRI_GRANULE_LOG2 + 3), TRI_PAGE_BYTES);
  for (int index = 0; index < 3; index++) tri_vm_wish_huge_pages(tri_space_bitmap(space, index), bytes, wanted);
}

static tri_chunk *tri_huge_pages_unit(const tri_space *space, uint64_t chunk) {
  return &space->chunks[chunk / TRI_UNIT_CHUNKS * TRI_UNIT_CHUNKS];
}

// Not when an arena is committed: a heap that stays small has no mapping more.
static void tri_huge_pages_wish_for_new(tri_space *space) {
  uint64_t from = space->wished_bytes, to = space->committed_bytes;
  if (from == to || (space->end_page << TRI_PAGE_LOG2) <= space->huge_from) return;
  space->wished_bytes = to;
  // A part of a unit that is small already stays so.
  if (from % TRI_ARENA_BYTES && tri_huge_pages_unit(space, from >> TRI_CHUNK_LOG2)->small_pages)
    from = tri_align_up(from, TRI_ARENA_BYTES);
  tri_huge_pages_wish(space, from, to, true);
  // Those of one arena are smaller than a huge page.
  if (to > TRI_ARENA_BYTES && !space->small_bitmaps) tri_huge_pages_wish_bitmaps(space, to, true);
}

// By the CPU clock: what this thread waits for a processor says nothing about the host.
static uint64_t tri_huge_pages_touch_ns(const tri_space *space, uint64_t chunk_bytes) {
  uint64_t began_ns = tri_thread_cpu_ns();
  *(volatile uint8_t *)(space->start + chunk_bytes) = 0; // as it is: nobody had it yet
  return tri_thread_cpu_ns() - began_ns;
}

// One touch for a call: of an object of many chunks the rest is its owner's.
static void tri_huge_pages_try_new(tri_space *space, uint64_t old_end_page) {
  uint64_t chunk = tri_align_up(old_end_page << TRI_PAGE_LOG2, TRI_CHUNK_BYTES);
  if (space->huge_from != TRI_HUGE_PAGES_FROM || chunk < space->huge_from || chunk >= TRI_HUGE_PAGES_LATE_FROM) return;
  if (chunk >= space->end_page << TRI_PAGE_LOG2 || tri_huge_pages_unit(space, chunk >> TRI_CHUNK_LOG2)->small_pages)
    return;
  if (tri_huge_pages_touch_ns(space, chunk) <= space->huge_patience_ns) return;
  uint64_t end = space->wished_bytes < TRI_HUGE_PAGES_LATE_FROM ? space->wished_bytes : TRI_HUGE_PAGES_LATE_FROM;
  // Those that are there stay.
  tri_huge_pages_wish(space, space->huge_from, end, false);
  space->huge_from = TRI_HUGE_PAGES_LATE_FROM;
}

void tri_huge_pages_grown_locked(tri_space *space, uint64_t old_end_page) {
  tri_huge_pages_wish_for_new(space);
  tri_huge_pages_try_new(space, old_end_page);
}

void tri_huge_pages_break_up_locked(tri_space *space, uint32_t chunk) {
  if (((uint64_t)chunk << TRI_CHUNK_LOG2) < space->huge_from) return;
  tri_chunk *unit = tri_huge_pages_unit(space, chunk);
  if (unit->small_pages) return;
  unit->small_pages = 1;
  uint64_t start = (uint64_t)(unit - space->chunks) << TRI_CHUNK_LOG2, end = start + TRI_ARENA_BYTES;
  tri_huge_pages_wish(space, start, end < space->committed_bytes ? end : space->committed_bytes, false);
  // The tables of chunks go back as well.
  if (!space->small_bitmaps) tri_huge_pages_wish_bitmaps(space, space->committed_bytes, false);
  space->small_bitmaps = true;
}

void tri_huge_pages_emptied_locked(tri_space *space, uint32_t chunk) {
  tri_chunk *unit = tri_huge_pages_unit(space, chunk);
  if (!unit->small_pages) return;
  uint64_t start = (uint64_t)(unit - space->chunks), end = start + TRI_UNIT_CHUNKS;
  if (end > space->chunk_count) end = space->chunk_count;
  for (uint64_t index = start; index < end; index++)
    for (int word = 0; word < TRI_CHUNK_WORDS; word++)
      if (~(space->chunks[index].free[word] & space->chunks[index].fresh[word])) return;
  unit->small_pages = 0;
  tri_huge_pages_wish(space, start << TRI_CHUNK_LOG2, end << TRI_CHUNK_LOG2, true);
}
