// Huge pages: which part of a heap asks the system for them.
//
// Where many objects lie far apart, every look at one misses the TLB as well as the cache: huge pages make marking, and
// programs with much alive, faster by a tenth and more. A small heap is in reach of the TLB anyway, and would hold two
// megabytes where it needs a few pages. So by itself a heap asks from its 4th MiB on; and, once there is more than an
// arena, for the bitmaps that describe it.
//
// In virtual machines that report free memory to their host (free page reporting, by the huge page) a first touch may
// wait for the host: 6 ms for each was measured, where a process that ended a moment ago left pages 0.23, and 0.8 to 1
// for as many small pages either way. So the first touch of
// a chunk is made here, with an eye on the clock. After one that was slow the heap goes on with small pages up to its
// 64th MiB: below, programs are often over before huge pages made up for that.
//
//   unit: wished for -> small    [tri_huge_pages_break_up_locked]  a part of one of its chunks is about to go back
//   unit: small -> wished for    [tri_huge_pages_emptied_locked]   its last page went back
//
// The system assembles huge pages by itself (khugepaged), from one page that is there: what went back in parts would be
// there again. Hence a unit is taken out as a whole before its first part goes back. A unit is an arena, so there are
// at most as many more mappings.
//
// Invariants  wishes, and first touches: nothing here changes what is mapped, nor what it holds. A page that is touched
//             lies beyond every page that was handed out before, and is zero.
// Callers     growth (space.c), the scavenger. With the page lock.
#ifndef TRI_SPACE_HUGE_PAGES_H
#define TRI_SPACE_HUGE_PAGES_H

#include "space/space.h"

enum {
  TRI_HUGE_PAGES_FROM = 4 << 20,
  TRI_HUGE_PAGES_LATE_FROM = 64 << 20, // where first touches are slow
  TRI_HUGE_PAGES_PATIENCE_NS = 2000000,
};

/// Where in a heap they are wished for, by tri_options.huge_pages.
uint64_t tri_huge_pages_from(uint32_t policy);
/// Pages from `old_end_page` up to end_page are in use for the first time.
void tri_huge_pages_grown_locked(tri_space *space, uint64_t old_end_page);
/// Whether chunks go back whole only: the embedder wants huge pages everywhere.
static inline bool tri_huge_pages_keep_chunks(const tri_space *space) {
  return space->huge_from == 0;
}
/// Part of a chunk, but not all of it, goes back next.
void tri_huge_pages_break_up_locked(tri_space *space, uint32_t chunk);
/// All of a chunk went back.
void tri_huge_pages_emptied_locked(tri_space *space, uint32_t chunk);

#endif
