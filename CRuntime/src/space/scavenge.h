// Scavenge: gives free memory back to the system, chunk by chunk.
//
//   free, dirty -> held -> free, fresh    [tri_scavenge_step]
//                       -> free, dirty    where the system refused
//
// A step takes the pages it gives back out of the free set, so that the system call is made without the page lock: an
// allocation meanwhile takes other pages, or grows the heap, and waits only if it can do neither.
//
// Of a chunk that is wholly free the table pages that describe only it go too: A, M, F, C, the group owners and its
// part of the span table, 72 KiB for 2 MiB. They may, since nothing but zeros that matter is lost:
//   A, F     a span goes back when A has no bit of it; F bits are taken up by the sweep that found that out;
//   M        under either name: a sweep clears the old map before it gives a span back, tri_free() before it does, and
//            nothing is marked where nothing is allocated. So the swap of the maps does not matter;
//   C        is clear outside of checkmark and verification, and they set it for objects only;
//   owners   0 says "nobody loaded this group", which is true again;
//   spans    all of the chunk are TRI_SPAN_FREE, which is 0; the rest is written anew when one is made.
// Others may still write there: the late clearing of a bit, or of has_freed for a span that is gone. Either order with
// the system call leaves what they would have left. The page map and the layout map keep their memory: a chunk has
// 1 KiB of them.
//
// Invariants  held pages exist only under the scavenge lock, and all of them lie in one chunk.
//             Nothing is lost when the system refuses: the pages are free again, and dirty.
//             The number of mappings does not change: giving back is no unmapping.
//             Where the embedder wants huge pages a chunk goes back whole or not at all.
// Callers     the collector thread by the clock, tri_trim() (heap/scavenge.c); any thread, without locks.
// Not here    how much CPU that may cost (heap/scavenge.c), buffers of the marker (grey_queue.h).
#ifndef TRI_SPACE_SCAVENGE_H
#define TRI_SPACE_SCAVENGE_H

#include "space/page_alloc.h"

enum {
  // Runs inside a partly used chunk. A call for 32 KiB costs 4 us, as much per byte as three for a chunk; below, it
  // soon costs more than what it gives back is worth. No large object is shorter (TRI_LARGE_PAGES_MIN).
  TRI_SCAVENGE_RUN_PAGES = 4,
  // Chunks looked at under one hold of the page lock: some microseconds.
  TRI_SCAVENGE_LOOK_CHUNKS = 128,
  // Free memory below this is not worth a thread that wakes up.
  TRI_SCAVENGE_WORTH_PAGES = TRI_PAGES_PER_CHUNK,
};

/// One pass over the chunks: first those wholly free, then runs in the others; from the highest address, as what is
/// needed next is taken from the lowest.
typedef struct tri_scavenge {
  tri_space *space;
  uint64_t age_ns;        // chunks that changed later than this ago are left alone; 0: none is
  uint64_t keep_pages;    // the pass ends when no more than these are dirty
  uint32_t run_pages_min; // shorter runs are left alone
  uint32_t cursor;        // chunks below are still to be looked at
  bool in_parts;          // the second time round
  bool refused;           // the system did; the pass is over
  bool kept;              // keep_pages ended the pass
  uint64_t next_due_ns;   // when the first of the chunks left alone will be old enough; UINT64_MAX: none was
  uint64_t given_pages;
} tri_scavenge;

tri_scavenge tri_scavenge_begin(tri_space *space, uint64_t age_ns, uint64_t keep_pages, uint32_t run_pages_min);
/// Gives back what one chunk has, or looks at some that have nothing. False when the pass is over. Up to about 0.1 ms.
bool tri_scavenge_step(tri_scavenge *pass);

/// Pages were freed: when the next look should be, if somebody is to be told (tri_scavenge_plan.wish), or 0. Holds the
/// page lock. Whoever was told and never looked is told again after a while, as the thread may be gone (fork).
uint64_t tri_scavenge_plan_locked(tri_space *space, uint64_t now_ns);
/// The same where there is something else to give back.
uint64_t tri_scavenge_plan_look(tri_space *space, uint64_t now_ns);
/// When the next look is due; 0: none is planned.
uint64_t tri_scavenge_due_ns(tri_space *space);
/// A look begins: frees from here on are news. The pages handed out so far.
uint64_t tri_scavenge_look(tri_space *space);
/// A look ended: the next one is due then, or (UINT64_MAX) when pages have been freed. Which it is.
uint64_t tri_scavenge_looked(tri_space *space, uint64_t next_due_ns, uint64_t now_ns);

#endif
