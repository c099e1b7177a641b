// Fibers: native stacks besides those that threads came with.
//
//   suspended -> running -> suspended   [tri_fiber_switch]
//
// A thread runs on one stack at a time: its own (native), or a fiber's. What it leaves is scanned from the stack
// pointer it was left with, and the registers of that moment, which stay as they are until it runs again.
//
// Grey or black is the state of a stack. A running fiber has the colour of its mutator, which scans it as its current
// stack; the native stack under it belongs to the mutator as well, and is scanned with it. A suspended fiber is black
// when it was scanned since `scan_epoch` last went up. While marking:
//   leaving     a fiber of a grey mutator is scanned on the spot; of a black one it is black;
//   entering    a fiber that is not black is scanned before it runs, as its new thread may be black;
//   otherwise   the collector scans it with the roots, or in the stop. Nobody writes a suspended stack.
// Outside of marking a fiber that is left has no colour: it counts as grey in the next cycle, also if that has begun on
// other threads.
//
// Invariants  the list, what runs where and colours change under the lock. When marking is complete every suspended
//             fiber is black (tri_fibers_assert_black).
// Callers     embedders; the collector where it scans roots.
#ifndef TRI_MUTATOR_FIBER_H
#define TRI_MUTATOR_FIBER_H

#include "mutator/world.h"

typedef struct tri_fiber {
  struct tri_fiber *next, *previous; // [lock:fibers]
  tri_world *world;                  // [const] NULL once it was removed
  tri_stack_bounds bounds;           // [const]
  uintptr_t stack_pointer;           // [lock:fibers] while suspended: everything above is live
  tri_registers registers;           // [lock:fibers] while suspended
  tri_mutator_full *runner;          // [lock:fibers] NULL: suspended
  uint64_t scanned;                  // [lock:fibers] scan_epoch when it was scanned as it is
} tri_fiber;

/// Shades what suspended fibers hold that are not black.
void tri_fibers_shade(tri_world *world);
/// World stopped: all of them are grey again.
void tri_fibers_reset(tri_world *world);
/// Hands every word to a checker. World stopped.
void tri_fibers_each_root(tri_world *world, tri_each_word *each, void *context);
void tri_fibers_assert_black(tri_world *world);
/// The mutator goes, with the stack it runs on; what runs there never goes on.
void tri_fiber_end_with(tri_mutator_full *mutator);

#endif
