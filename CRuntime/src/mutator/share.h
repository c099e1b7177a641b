// Share: how much of a processor the collector thread takes for marking while mutators want them all.
//
// Below four CPUs marking beside mutators takes a part of one. Idle CPUs are nobody's loss: while fewer mutators run
// than there are CPUs the thread marks on. Else it rests in naps until what it used is its share of the time that went
// by, and goes on on the next CPU (placement.h). The share is a tenth of the CPUs while marking is as far as the pacer
// planned (assist.h: the pool of credit holds the loan), and all of one by the time the loan is used up, when
// allocating threads would have to mark. So the mark takes what time it has, and is in nobody's way for longer than it
// must.
//
// Whether the thread itself is kept waiting says little: with three threads on two CPUs it may have one of its own for
// many milliseconds, while two mutators take turns on the other and fall behind. With an open loop at 60 % of
// jemalloc's throughput on two CPUs the longest operation went from 45 to 16 ms (medians of 14 runs in turn; jemalloc
// 11); half a CPU at all times gave 20, a third of one ended in assists.
//
// Callers     the collecting thread, in phase mark, holding nothing grey while it rests.
// Not here    four CPUs or more: whole threads (heap/threads.c).
#ifndef TRI_MUTATOR_SHARE_H
#define TRI_MUTATOR_SHARE_H

#include "mutator/world.h"

typedef struct tri_share {
  uint32_t cpus;
  uint64_t began_ns, began_cpu_ns; // of the window that is looked at
  uint64_t rest_ns;                // due now
} tri_share;

/// Of one CPU, for a pool of credit that began with `loan` objects; without a loan a quarter of the CPUs.
uint32_t tri_share_permille(uint32_t cpus, int64_t loan_objects, int64_t pool_objects);
/// The rest that is due after so much time went by and so much CPU time was used.
uint64_t tri_share_due_ns(uint32_t permille, uint64_t wall_ns, uint64_t cpu_ns);
/// Whether at least so many mutators run, or want to. Holds the world's lock.
bool tri_world_fills_cpus(tri_world *world, uint32_t cpus);

void tri_share_begin(tri_share *share, uint32_t cpus);
/// Whether a rest is due. Costs two clocks and a lock.
bool tri_share_is_used_up(tri_share *share, tri_world *world);
/// Takes the rest that is due.
void tri_share_rest(tri_share *share, tri_world *world);

#endif
