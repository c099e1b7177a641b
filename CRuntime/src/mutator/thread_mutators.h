// Thread mutators: those of the calling thread, which may be attached to several heaps, or to thousands.
//
// While a thread waits for one heap, or collects it, its mutators of other heaps count as blocked: two heaps could wait
// for each other otherwise.
//
// Invariants  the list is the thread's own, innermost last; inline code sees the innermost one
//             (tri_thread_mutator_current).
//             The memory of the list is there as long as something is in it, and no longer.
// Callers     attach.c changes the list; whoever waits, or runs a whole cycle, sets the others aside.
// Not here    what setting one aside is (states.h).
#ifndef TRI_MUTATOR_THREAD_MUTATORS_H
#define TRI_MUTATOR_THREAD_MUTATORS_H

#include "mutator/world.h"

/// NULL: the thread is not attached to this heap.
tri_mutator_full *tri_world_current_mutator(tri_world *world);
/// The one that was attached last; NULL if there is none.
tri_mutator_full *tri_thread_innermost(void);
/// For one more; false when memory is refused.
bool tri_thread_make_room(void);
/// Gives room back that was made for the first one, if it does not come.
void tri_thread_free_if_empty(void);
/// There is room for it.
void tri_thread_add(tri_mutator_full *mutator);
void tri_thread_remove(const tri_mutator_full *mutator);

/// Around a wait for one heap, or a whole cycle of it: this thread's mutators of other heaps count as blocked.
/// `saved`: the registers on entry, where the caller returns before the wait is over; NULL where a frame that stays
/// holds them (tri_thread_with_stack).
void tri_thread_others_block(tri_mutator_full *waiting_for, uintptr_t stack_pointer, const tri_registers *saved);
void tri_thread_others_unblock(void);
/// Traps in a signal handler that interrupted a slow path of any of this thread's mutators.
void tri_thread_assert_not_interrupted(const char *what);

#endif
