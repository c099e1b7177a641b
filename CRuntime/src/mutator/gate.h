// The gate: what every allocation passes that is not inline, and the account it is put to: the phase assertion (S7), a
// poll, the trigger (S17), stress, sweep debt, assists.
//
// Invariants  shared counters are written once per account_bytes.
// Callers     refills, large objects, external bytes; by the mutator's owner.
// Not here    where the trigger lies (Pacer.swift), what happens when it is reached (heap/trigger.h).
#ifndef TRI_MUTATOR_GATE_H
#define TRI_MUTATOR_GATE_H

#include "mutator/world.h"

/// Traps in phase markTermination.
void tri_allocation_check_phase(const tri_mutator_full *mutator);
/// Checks, polls, and begins a cycle that is due. A safepoint.
void tri_allocation_gate(tri_mutator_full *mutator);
/// What was taken: `bytes` of slots or pages. Pays sweep debt, and assists while marking.
void tri_allocation_account(tri_mutator_full *mutator, uint64_t bytes);
/// There was no memory, even after a collection; `status` says why.
void tri_allocation_failed(tri_mutator_full *mutator, tri_status status);

#endif
