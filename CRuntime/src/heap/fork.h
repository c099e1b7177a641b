// Fork: what happens to heaps when their process is copied.
//
// A child has one thread, the one that forked, and a copy of memory as the others were using it. So the prepare handler
// brings every heap to where a copy is worth something, and the child's puts away what belonged to threads it does not
// have.
//
//   prepare  [registered with pthread_atfork when the first heap is made; all heaps of the process, in address order]
//            the forking thread's mutators count as stopped; every other mutator stops; no unit of a sweep is under
//            way; every lock is held, in the order of ranks, and within a rank of addresses.
//   parent   releases and starts everything: a cycle goes on where it was.
//   child    makes every lock and condition anew, ends a cycle that was under way (the phase move `abandoned`: nothing
//            is marked, nothing old), leaves the windows of the other mutators to the next refill as a detach does, and
//            forgets the heap's threads, which start again when they are wanted.
//
// Why a cycle need not be waited for. While the world stands still for a fork, whoever runs a cycle is outside its
// stops, as it waits before it begins one (tri_world_stop), and between tri_cycle_begin() and tri_cycle_end(), which
// both wait too. What it can be at:
//   - sweeping: a unit is over, or not begun (tri_collect.sweep_closed);
//   - a handshake, roots, pools, hooks, counters: under one of the locks;
//   - forgetting what is old, marking: bits of M and private memory. The child clears M. That is also why a cycle that
//     has no phase yet counts as one, and the child has no old objects;
//   - a function of the embedder's: of the child's memory, what that function was changing is as it was.
// Helpers and assists only mark. A thread in a blocking region holds at most pages that it was zeroing
// (tri_mutator_full.pages_in_hand); others outside the heap's view touch its tables under locks.
//
// A function of the embedder's that a stopped mutator keeps waiting (it holds the lock the function wants) would never
// finish: after a moment the worlds are started again, and the whole is tried anew. After a second that is said.
//
// Callers     the system's fork(). vfork, posix_spawn and _Fork do not run handlers: their children may only exec.
// Not here    fork from a callback of the heap (hook, trace, destroy, root function, cleanup): refused with a sentence.
#ifndef TRI_HEAP_FORK_H
#define TRI_HEAP_FORK_H

#include "tricolor_types.h"

/// From here on, and until tri_fork_remove_heap(), forks take care of the heap. False when memory is refused. Both may
/// wait for a fork on another thread; this thread's mutators count as stopped meanwhile.
bool tri_fork_add_heap(tri_heap *heap);
void tri_fork_remove_heap(tri_heap *heap);

#endif
