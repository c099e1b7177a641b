// Share: how much of a processor the collector thread takes for marking while others want it too.
//
// Marking beside mutators is to take a quarter of the CPUs. From four CPUs on that is whole threads; below, a part of
// one. Idle CPUs are nobody's loss, so the thread marks on as long as it is given every moment it asks for. Once it is
// kept waiting somebody else wants the CPU: from then on it rests until what it used is its share of the time that went
// by, and goes on on the next CPU. What it does not mark meanwhile, allocating threads owe (assist.h).
//
// Callers     the collecting thread, in phase mark, holding nothing grey while it rests.
#ifndef TRI_MUTATOR_SHARE_H
#define TRI_MUTATOR_SHARE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tri_share {
  uint32_t permille;               // of one CPU; 1000: never rests
  uint64_t began_ns, began_cpu_ns; // of the window that is looked at
  uint64_t rest_ns;                // due now
} tri_share;

/// The rest that is due after so much time went by and so much CPU time was used: none if every moment was had.
uint64_t tri_share_due_ns(uint32_t permille, uint64_t wall_ns, uint64_t cpu_ns);
void tri_share_begin(tri_share *share, uint32_t permille);
/// Whether a rest is due. Costs two clocks.
bool tri_share_is_used_up(tri_share *share);
/// Takes the rest that is due.
void tri_share_rest(tri_share *share);

#endif
