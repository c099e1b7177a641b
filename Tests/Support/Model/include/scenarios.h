// Scenarios: bugs that were found, played step by step. Each runs in a process of its own, returns true when the
// collector behaves, and otherwise says what does not hold and aborts. One that hangs is ended by SIGALRM.
#ifndef TRICOLOR_SCENARIOS_H
#define TRICOLOR_SCENARIOS_H

#include <stdbool.h>

/// Between two acknowledgements of the barrier: a thread that has none yet moves a white object into one that a thread
/// with a barrier has just allocated.
bool scenario_object_moved_before_the_barrier_survives(void);
/// Between two acknowledgements of a minor cycle's barrier: a thread that has none yet moves young objects into old
/// ones, one of them marked by the other thread; then it detaches, or not.
bool scenario_old_object_stored_into_before_the_barrier_remembers(void);
/// Between two acknowledgements a stale word becomes a conservative root: it leads to a slot that waits in a window and
/// holds what was there before.
bool scenario_waiting_slot_is_not_scanned(void);
/// A window that is used up still shows the place of a span that has become another class's.
bool scenario_free_returns_a_slot_to_its_own_class(void);
/// A thread without barrier yet frees a large object whose address is in another's buffer; then the place is reused.
bool scenario_free_before_the_barrier_leaves_no_mark(void);
/// Two threads attached to two heaps collect one heap each.
bool scenario_two_heaps_collected_crosswise_end(void);
/// One thread allocates, another frees as fast: no slot looks as if it waited in the first one's window, which goes
/// from group to group meanwhile.
bool scenario_handed_over_objects_are_freed_once(void);
/// A destroy callback on the collector thread gives a handle back while another forced cycle begins.
bool scenario_destroy_callback_may_free_a_handle(void);
/// A blocked thread holds an object in one callee-saved register, each of them in turn, and nowhere else.
bool scenario_blocked_registers_are_roots(void);
/// A thread inside a weak load, before or after it saw that a sweep is running, while another sweeps the dead object's
/// span and takes its slot for a new object.
bool scenario_weak_load_does_not_answer_the_next_object(void);
/// A sweeper about to look at a span's weak references, while another thread reads, makes and frees some of it.
bool scenario_weak_references_of_a_span_about_to_be_swept(void);
/// A weak load after nothing was found grey and before the final stop: what it answers, and the value of the ephemeron
/// whose key that is, survive.
bool scenario_weak_load_just_before_the_final_stop(void);
/// A thread that has no barrier yet moves what only a weak reference leads to into an object that was born black.
bool scenario_weak_load_before_the_barrier_survives(void);

#endif
