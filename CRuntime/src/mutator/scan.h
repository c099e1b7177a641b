// Scan: what a mutator itself holds: native stack and registers, handle scopes, operand stacks.
//
// Invariants  the native stack is scanned from the stack pointer of the frame at which its thread stopped; a word
//             below it is dead and never a root (scanning 512 bytes too far kept 76 MiB alive in a prototype).
// Callers     the owner at a handshake; the collector while the owner is parked or held.
#ifndef TRI_MUTATOR_SCAN_H
#define TRI_MUTATOR_SCAN_H

#include "mutator/world.h"

/// Shades everything the mutator holds; its stack is black afterwards.
void tri_mutator_shade(tri_mutator_full *mutator);
/// Hands over the words from `stack_pointer` up, and the registers, that may be addresses of the heap. NULL: no
/// registers.
void tri_scan_stack_words(const tri_world *world, uintptr_t stack_pointer, uintptr_t high,
                          const tri_registers *registers, tri_each_word *each, void *context);
/// Hands every word to a checker.
void tri_mutator_each_root(tri_mutator_full *mutator, tri_each_word *each, void *context);

#endif
