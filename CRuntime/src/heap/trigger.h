// Trigger: what an allocating thread does when the trigger is reached: begins a cycle, or has one begun; and while it
// is late.
//
//   trigger_bytes   a background cycle is asked of the collector thread, or runs here
//   urgent_bytes    one that was asked for and has not begun is begun here; one that runs is left the processor
//   hold_bytes      whoever would allocate waits, for a bounded time, until the cycle that is under way has ended
//
// Invariants  a request is taken once (cycle_wanted): by the collector thread, or by whoever finds it late.
// Callers     allocation slow paths, through tri_world.start_cycle, with no lock held; the collector thread.
// Not here    where the three lie (Pacer.swift), whether the trigger is reached (mutator/gate.c), how allocating
//             threads help a mark along (assist.h).
#ifndef TRI_HEAP_TRIGGER_H
#define TRI_HEAP_TRIGGER_H

#include "heap/heap.h"

/// The mutator is the calling thread's.
void tri_heap_start_cycle(tri_world *world, tri_mutator_full *mutator);
/// Whether a background cycle is still to be begun; the caller then begins it, and until it has nobody asks again.
bool tri_heap_take_request(tri_heap *heap);
/// Asks for a background cycle. False, and nothing changed, if one is under way, or was asked for and has not begun.
bool tri_heap_ask_for_cycle(tri_heap *heap);
/// Waits until the cycle under way is over, at most so long; a moment if there is none. The thread holds no lock, and
/// no mutator of it runs.
void tri_heap_await_cycle(tri_heap *heap, uint64_t most_ns);

#endif
