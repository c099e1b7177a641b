// Claiming: how a mutator comes by all free slots of a group at once. It compresses bits of granules to bits of slots.
//
// Invariants  if its mutator allocates black, a slot is in M before it is in A: markers never scan what this cycle
//             hands out.
//             The group is this mutator's alone until the next cycle, being of a run taken under the class's lock.
// Callers     refill.c, between the gate and the next safepoint.
// Cost        linear in the words of A that the group has; an empty group's are copied.
#ifndef TRI_MUTATOR_CLAIM_H
#define TRI_MUTATOR_CLAIM_H

#include "mutator/world.h"

/// Sets the free slots of a group in A, and in M while marking; which they were.
uint64_t tri_group_claim(const tri_mutator_full *mutator, tri_span *span, const tri_size_class_info *info,
                         uint32_t group);

#endif
