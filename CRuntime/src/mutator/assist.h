// Assist: what allocating threads do for a mark that is under way, so that it is over before the runway is.
//
// Each byte allocated owes some marking (assist_objects_per_mib, from the pacer). A debt is paid with credit first:
// what the collector marked and nobody has claimed waits in a pool of the heap, which begins with a loan: the collector
// may be behind for a while, as long as it catches up. Only what the pool does not cover is marked here, in portions,
// and for at most assist_ns_max a call; the rest stays owed. So where the collector keeps up nobody else marks.
//
// Invariants  the pool never becomes negative; debts and pool are forgotten when marking is complete.
//             One call marks no longer than assist_ns_max and a portion, which is at most TRI_ASSIST_PORTION objects of
//             64 words; a tracer of a custom layout takes what it takes.
// Callers     tri_assist(): allocation slow paths, external bytes. tri_assist_marker_run(): whoever collects, helpers.
#ifndef TRI_MUTATOR_ASSIST_H
#define TRI_MUTATOR_ASSIST_H

#include "mutator/share.h"
#include "mutator/world.h"

/// The mutator allocated `bytes` while its barrier is on. No lock is held.
void tri_assist(tri_mutator_full *mutator, uint64_t bytes);
/// tri_marker_run() with wait, for those whose marking pays for others: what it marks goes to the pool. With a share it
/// rests now and then.
uint64_t tri_assist_marker_run(tri_world *world, tri_marker *marker, uint64_t budget_objects, tri_share *share);
/// World stopped, marking is complete: nobody owes anything.
void tri_assist_forget(tri_world *world);

#endif
