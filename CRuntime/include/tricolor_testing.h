// The one door to internals for tests. Nothing here is API.
#ifndef TRICOLOR_TESTING_H
#define TRICOLOR_TESTING_H

#include "tricolor_fast.h"

TRI_EXTERN_C_BEGIN
TRI_BEGIN_NONNULL

/// Where a thread is, when it passes a step point.
typedef enum TRI_CLOSED_ENUM tri_step_point {
  TRI_STEP_ALLOCATE_SLOW TRI_SWIFT(allocateSlow),
  TRI_STEP_ALLOCATE_LARGE TRI_SWIFT(allocateLarge),
  TRI_STEP_REFILL TRI_SWIFT(refill),
  TRI_STEP_FREE TRI_SWIFT(free),
  TRI_STEP_OWNED TRI_SWIFT(owned),        ///< between asking who owns a group and changing a word of A of it
  TRI_STEP_TAKE_OVER TRI_SWIFT(takeOver), ///< between taking a group over and waiting for its last owner
  TRI_STEP_LOOK TRI_SWIFT(look),          ///< between base and mask of a window that may be another thread's
  TRI_STEP_STORE TRI_SWIFT(store),
  TRI_STEP_REMEMBER TRI_SWIFT(remember),
  TRI_STEP_SHADE TRI_SWIFT(shade), ///< between finding what an ambiguous word leads to and marking it
  TRI_STEP_BARRIER_FLUSH TRI_SWIFT(barrierFlush),
  TRI_STEP_ASSIST TRI_SWIFT(assist),
  TRI_STEP_FORGET TRI_SWIFT(forget), ///< a free has seen that its object is old, and is about to clear the bit in M
  TRI_STEP_HOLD TRI_SWIFT(hold),     ///< at a limit: the thread is about to wait for the cycle
  TRI_STEP_SAFEPOINT TRI_SWIFT(safepoint),
  TRI_STEP_HANDSHAKE TRI_SWIFT(handshake),
  TRI_STEP_SCAN_STACK TRI_SWIFT(scanStack),
  TRI_STEP_BLOCKING_BEGIN TRI_SWIFT(blockingBegin),
  TRI_STEP_BLOCKING_END TRI_SWIFT(blockingEnd),
  TRI_STEP_DETACH TRI_SWIFT(detach),
  TRI_STEP_STOP_REQUEST TRI_SWIFT(stopRequest),
  TRI_STEP_STOP_ASK TRI_SWIFT(stopAsk), ///< a mutator was seen running and is about to be asked; the world is locked
  TRI_STEP_GIVE_WAY TRI_SWIFT(giveWay), ///< the thread that stops the world let others have its processor
  TRI_STEP_STOPPED TRI_SWIFT(stopped),
  TRI_STEP_STARTED TRI_SWIFT(started),
  TRI_STEP_MARK_BATCH TRI_SWIFT(markBatch),
  TRI_STEP_MARK_PLAIN TRI_SWIFT(markPlain),   ///< a lone marker is about to go object by object among neighbours
  TRI_STEP_SHARE_PARTS TRI_SWIFT(shareParts), ///< what is left of a long object is about to be shared
  TRI_STEP_SWEEP_UNIT TRI_SWIFT(sweepUnit),
  TRI_STEP_ASIDE TRI_SWIFT(stepAside),      ///< a mutator leaves its CPU for a moment: it counts as blocked
  TRI_STEP_SWEEP_SPAN TRI_SWIFT(sweepSpan), ///< the bits of a small span are swept, its place on a list comes next
  TRI_STEP_PHASE TRI_SWIFT(phase),
  TRI_STEP_MARKING_COMPLETE TRI_SWIFT(markingComplete),
  TRI_STEP_SCAVENGE TRI_SWIFT(scavenge), ///< pages of a chunk are held; only the scavenge lock is
  TRI_STEP_WEAK_LOAD TRI_SWIFT(weakLoad),
  TRI_STEP_WEAK_LOAD_UNSWEPT TRI_SWIFT(weakLoadUnswept), ///< a sweep is running: the mark may have to tell
  TRI_STEP_TIES_SWEEP TRI_SWIFT(tiesSweep),  ///< a span's weak references and cleanups are about to be looked at
  TRI_STEP_EPHEMERONS TRI_SWIFT(ephemerons), ///< all ephemerons are about to be looked at
  TRI_STEP_COUNT TRI_SWIFT(count),
} tri_step_point;
typedef void tri_step_function(tri_step_point point);

/// Whether this build has step points (debug builds).
bool tri_testing_has_steps(void);
/// Called at every step point of every heap; NULL to end. Set it while nothing runs.
void tri_testing_set_step_hook(tri_step_function *TRI_NULLABLE function);
/// The next `count` requests to the system for memory are refused, after `skip` that are not.
void tri_testing_refuse_memory(uint32_t skip, uint32_t count);

/// Objects marked alone before helpers are woken, so that small heaps have helpers too. Before the first cycle.
void tri_testing_set_helpers_worth(tri_heap *heap, uint64_t objects);

/// The same for giving memory back to the system.
void tri_testing_refuse_give_back(uint32_t skip, uint32_t count);
/// How often the scavenger woke up and looked, and the CPU time that took.
uint64_t tri_testing_scavenger_ticks(tri_heap *heap);
uint64_t tri_testing_scavenger_cpu_ns(tri_heap *heap);

bool tri_testing_is_marked(tri_heap *heap, const void *object);
bool tri_testing_is_allocated(tri_heap *heap, const void *object);
/// Slots that wait in a window.
uint32_t tri_testing_waiting_slots(const struct tri_window *window);
/// Words waiting in the calling thread's barrier buffer.
uint32_t tri_testing_barrier_words(tri_mutator *mutator);
bool tri_testing_barrier_is_on(tri_mutator *mutator);
bool tri_testing_stack_is_grey(tri_mutator *mutator);
/// Gives back what waits in a mutator's windows, as its owner does on its way to a stop.
void tri_testing_lay_down(tri_mutator *mutator);
/// Clears an object's mark, as a bug in the marker would.
void tri_testing_unmark(tri_heap *heap, const void *object);
/// Spans unswept, and the walk of structure checks; the latter traps on a violation. No mutator may run.
bool tri_testing_sweep_is_running(tri_heap *heap);
/// How many there are that the sweep has still to visit, of small objects or of large ones.
uint64_t tri_testing_unswept_spans(tri_heap *heap, bool large);
void tri_testing_verify(tri_heap *heap);
/// Breaks one invariant each, for tests that show its assertion fires.
typedef enum TRI_CLOSED_ENUM tri_break {
  TRI_BREAK_LEFTOVER_GREY TRI_SWIFT(leftoverGrey),   ///< a grey chunk nobody will scan
  TRI_BREAK_WORKER TRI_SWIFT(worker),                ///< a marking worker that does not end
  TRI_BREAK_BARRIER_BUFFER TRI_SWIFT(barrierBuffer), ///< a barrier word recorded in phase off
  TRI_BREAK_MARK_OUTSIDE TRI_SWIFT(markOutside),     ///< a mark bit where nothing is allocated
  TRI_BREAK_PAGE_MAP TRI_SWIFT(pageMap),             ///< a page that leads to the wrong span
  TRI_BREAK_LIVE_COUNT TRI_SWIFT(liveCount),         ///< a span that counts too many live slots
  TRI_BREAK_HELD_COUNT TRI_SWIFT(heldCount),         ///< a page that counts as held by the scavenger, and nobody holds
  TRI_BREAK_DROP_WHILE_SWEEPING TRI_SWIFT(dropWhileSweeping), ///< empty spans go back before they are all swept
  TRI_BREAK_HELD_FREED TRI_SWIFT(heldFreed),                  ///< the pages that are held are free as well
  TRI_BREAK_ASSIST_POOL TRI_SWIFT(assistPool),     ///< more marking claimed by allocating threads than was done
  TRI_BREAK_UNSEEN_MARK TRI_SWIFT(unseenMark),     ///< an object marked after ephemerons were looked at
  TRI_BREAK_MUTATOR_COUNT TRI_SWIFT(mutatorCount), ///< one mutator counted that no stop will find
  TRI_BREAK_MISSED_END TRI_SWIFT(missedEnd),       ///< a mutator that was not told that marking ended
  TRI_BREAK_TIE_COUNT TRI_SWIFT(tieCount),         ///< one weak reference or cleanup counted that is not there
  TRI_BREAK_TIE_LIST TRI_SWIFT(tieList),           ///< the same for one span
  TRI_BREAK_TIED_OBJECT TRI_SWIFT(tiedObject),     ///< an object with a weak reference or a cleanup that is none
  TRI_BREAK_TIE_FLAG TRI_SWIFT(tieFlag),           ///< a span that forgets that something hangs on its objects
  TRI_BREAK_TICKET TRI_SWIFT(ticket),              ///< a block with a ticket of a span that is not lent
  TRI_BREAK_TICKET_FREED TRI_SWIFT(ticketFreed),   ///< an F bit in a block with a ticket
  TRI_BREAK_GROUP_OWNER TRI_SWIFT(groupOwner),     ///< the last group of a span belongs to a mutator that never had it
  TRI_BREAK_FREED_PLACE TRI_SWIFT(freedPlace),     ///< where a class was freed last, with another span's name on it
  TRI_BREAK_SPAN_LIST TRI_SWIFT(spanList),         ///< a span whose successor on its class's list is itself
  TRI_BREAK_SPAN_LISTED TRI_SWIFT(spanListed),     ///< a span on a list that does not know of it
} tri_break;
void tri_testing_break(tri_heap *heap, tri_break what);
/// The files of control groups are looked for below this directory, as of now; NULL: where they are.
void tri_testing_set_cgroup_root(const char *TRI_NULLABLE root);
/// What they say; 0: no limit, no quota.
uint64_t tri_testing_cgroup_memory_bytes(void);
uint64_t tri_testing_cgroup_cpu_permille(void);
uint32_t tri_testing_cpu_count(void);
/// The collector thread's share of a CPU, whether mutators want them all, and the rest that it takes
/// (mutator/share.h).
uint32_t tri_testing_share_permille(uint32_t cpus, int64_t loan_objects, int64_t pool_objects);
bool tri_testing_fills_cpus(tri_heap *heap, uint32_t cpus);
uint64_t tri_testing_share_due_ns(uint32_t permille, uint64_t wall_ns, uint64_t cpu_ns);
/// Where a mutator is taken to run, as if it had noted that (mutator/placement.h); and the collector thread, as if on
/// CPU `own`, + 1 each: about to rest, how many mutators it asks to step aside; and after the rest.
void tri_testing_set_cpu(tri_mutator *mutator, uint32_t cpu);
uint32_t tri_testing_cpu(tri_mutator *mutator);
uint32_t tri_testing_spread(tri_heap *heap, uint32_t own);
void tri_testing_end_rest(tri_heap *heap);
/// What it does after one: the calling thread goes on on another CPU.
void tri_testing_change_cpu(void);
/// Asking for a background cycle, taking the request, waiting for the cycle's end (heap/trigger.h).
bool tri_testing_ask_for_cycle(tri_heap *heap);
bool tri_testing_take_request(tri_heap *heap);
void tri_testing_await_cycle(tri_heap *heap, uint64_t most_ns);
/// What a full cycle begins with, between cycles and beside mutators (collect/remember.h).
void tri_testing_forget_marks(tri_heap *heap);
/// What the first touch of a huge page may take (space/huge_pages.h).
void tri_testing_set_huge_page_patience_ns(tri_heap *heap, uint64_t ns);
/// Reads the container's limit again although it is not time.
void tri_testing_refresh_limits(tri_heap *heap);
/// Steps of the collector's own, out of their order.
void tri_testing_look_at_ephemerons(tri_heap *heap);
void tri_testing_sweep_ties(tri_heap *heap, const void *object);
/// The size-class table.
uint32_t tri_testing_span_bytes(uint32_t size_class);
uint64_t tri_testing_layout_mask(const tri_layout_description *description, uint64_t first_word);

TRI_END_NONNULL
TRI_EXTERN_C_END
#endif
