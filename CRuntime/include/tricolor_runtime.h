// What the Swift Collector drives: a heap's creation, and the steps of a cycle, each asserting its phase.
// Not for embedders; they use tri_collect() or Heap.gc().
#ifndef TRICOLOR_RUNTIME_H
#define TRICOLOR_RUNTIME_H

#include "tricolor_types.h"

TRI_EXTERN_C_BEGIN
TRI_BEGIN_NONNULL

/// How C calls up. Both are called without locks of the embedder's kind held; `context` is the front's own.
typedef struct tri_front {
  void *TRI_NULLABLE context;
  /// Run a whole cycle on this thread: the collector thread, or an allocating thread. `triggered`: because of the
  /// trigger, so that a minor one will do.
  void (*run_cycle)(void *TRI_NULLABLE context, tri_mode mode, bool triggered);
  /// A sweep ended: live bytes are known, the next trigger can be set with tri_pacing_set().
  void (*sweep_finished)(void *TRI_NULLABLE context);
  /// Free memory went back to the system: a goal that counted on it being there is to be lowered.
  void (*memory_given_back)(void *TRI_NULLABLE context);
  /// Limits changed by themselves (a container's): the trigger is to be set again.
  void (*limits_changed)(void *TRI_NULLABLE context);
  /// In a forked child, in phase mark: the thread that ran the cycle is not there. Moves to phase off by the move that
  /// is called abandoned.
  void (*abandon_cycle)(void *TRI_NULLABLE context);
} tri_front;

/// Makes the C half. The front must stay valid until tri_heap_close().
tri_status tri_heap_open(const tri_options *options, const tri_front *front,
                         tri_heap *TRI_NULLABLE *TRI_NONNULL out_heap);
/// Errors: TRI_MUTATORS_ATTACHED.
tri_status tri_heap_close(tri_heap *heap);
void *TRI_NULLABLE tri_heap_front_context(tri_heap *heap);
/// The options as they are in force: defaults, the embedder's, then the environment.
const tri_options *tri_heap_options(tri_heap *heap);
void tri_statistics_read(tri_heap *heap, tri_statistics *out_statistics);
/// Checks and completes options: TRI_BAD_OPTIONS with a line on standard error naming the one that is not understood.
tri_status tri_options_resolve(const tri_options *TRI_NULLABLE given, tri_options *out_options);

// MARK: The steps of a cycle, in the order gc() takes them

/// Waits for the cycle lock; the caller's mutator stays attached and counts as stopped while it waits.
void tri_cycle_begin(tri_heap *heap, tri_mode mode);
/// Phase off, nothing left to sweep: whether the cycle is a minor one, which marks from what is not old. Only one that
/// allocation triggered is. A full one forgets what is old.
bool tri_cycle_choose_generation(tri_heap *heap, bool triggered);
/// S3.
void tri_cycle_finish_sweep(tri_heap *heap);
/// The C pools (S4).
void tri_cycle_clear_pools(tri_heap *heap, bool drop_victims);
/// The hooks that ask for a stop, or those that do not; whether any ask for one (S4).
void tri_cycle_run_hooks(tri_heap *heap, tri_mode mode, bool needing_stop);
bool tri_cycle_any_hook_needs_stop(tri_heap *heap);
tri_phase tri_cycle_phase(tri_heap *heap);
/// The one setter. Asserts what the move implies for the world and derives the barrier of stopped mutators; which
/// moves are legal is the Swift Phase's to say.
void tri_cycle_set_phase(tri_heap *heap, tri_phase phase);
/// Reports an illegal move and stops the process.
_Noreturn void tri_cycle_illegal_move(tri_phase phase, const char *event);
/// Any broken expectation of the front: one line, then abort.
_Noreturn void tri_cycle_fail(tri_heap *TRI_NULLABLE heap, const char *sentence);

/// Phase mark: every mutator acknowledges the barrier and blackens its windows; the snapshot of S12 follows. In a minor
/// cycle what was remembered is grey then.
void tri_cycle_enable_barrier(tri_heap *heap);
/// Phase mark: every stack at its owner's safepoint, then all roots.
void tri_cycle_scan_roots(tri_heap *heap);
/// Phase mark, world running: marks until a round of handshakes finds nothing grey.
void tri_cycle_mark_concurrently(tri_heap *heap);
void tri_cycle_stop_world(tri_heap *heap);
void tri_cycle_start_world(tri_heap *heap);
/// Phase mark, world stopped: flushes what is left and marks it within a budget. False: more is grey than a stop
/// should mark; start the world and mark on. `attempt` counts from 0; the budget grows with it.
bool tri_cycle_try_finish_marking(tri_heap *heap, uint32_t attempt);
/// World stopped: forget that any stack was scanned (S9).
void tri_cycle_reset_scan_state(tri_heap *heap);
/// Phase markTermination of a forced cycle: everything from the roots, by all workers.
void tri_cycle_mark_stopped(tri_heap *heap);
/// Phase markTermination: no chunk, no buffer, no worker holds anything grey (S13); fatal otherwise.
void tri_cycle_assert_marking_complete(tri_heap *heap);
/// Phase markTermination, if wanted: the second mark (S10).
void tri_cycle_checkmark(tri_heap *heap);
/// World stopped, if wanted: structure checks.
void tri_cycle_verify(tri_heap *heap);
/// Phase off, world still stopped: marks become the allocation map; the snapshot for sweeping (S12).
void tri_cycle_begin_sweep(tri_heap *heap);
/// Phase off: sweeps everything (forceBlock, and the collector thread after a background cycle) ...
void tri_cycle_sweep_all(tri_heap *heap);
/// ... or leaves it to the collector thread and to allocation.
void tri_cycle_sweep_in_background(tri_heap *heap);
/// Records times; traps unless the phase is off (S8). Releases the cycle lock.
void tri_cycle_end(tri_heap *heap);
/// The collector's own pointer writes go through the barrier too (S5).
void tri_cycle_store(tri_heap *heap, void *slot, void *TRI_NULLABLE value);
uint64_t tri_monotonic_ns(void);
/// The trace line of the cycle that is about to end (S11).
void tri_cycle_print_trace(tri_heap *heap);

/// What the pacer computes from.
typedef struct tri_pacing_input {
  uint64_t live_bytes, live_objects;      ///< found by the last sweep
  uint64_t touched_bytes;                 ///< heap memory written and not given back
  uint64_t allocated_while_marking_bytes; ///< in the last cycle
  uint64_t mark_cpu_ns;                   ///< of the last cycle, all workers
  uint64_t marked_objects;                ///< of the last cycle
  uint64_t freed_bytes;                   ///< by the last sweep
  uint64_t logged_stores;                 ///< into old objects, before the last cycle
  bool minor;                             ///< the last cycle was one
  bool marks_kept;                        ///< the next one can be
  bool can_keep_marks;                    ///< nothing forbids minor cycles: policy, layouts
  uint64_t cache_bytes;                   ///< level 2 cache of one core; 0 if unknown
  uint32_t mutators;                      ///< attached now
  uint64_t mark_wall_ns;                  ///< of the last cycle, from the beginning of marking to the end of the stop
  uint64_t metadata_bytes;                ///< the collector's own tables
  uint64_t external_bytes;                ///< outside the heap, dying with objects in it
  uint64_t used_bytes;                    ///< heap pages in use
  uint64_t now_ns;                        ///< monotonic
  /// Totals, where there is a limit; else 0: marking, assists and sweeping by all threads, and CPU time of the process.
  uint64_t collector_cpu_ns, process_cpu_ns;
  uint64_t allocated_bytes; ///< ever
  bool allocation_failed;   ///< at the hard limit, since the limit was last found kept
} tri_pacing_input;
void tri_pacing_read(tri_heap *heap, tri_pacing_input *out_input);

/// When the next cycle starts, how allocating threads help, and whether a lone mutator runs it itself.
typedef struct tri_pacing {
  int64_t trigger_bytes;
  /// Allocation at which the cycle should long be over: an allocating thread then begins it itself if nobody has, and
  /// otherwise lets the collector have the processor.
  int64_t urgent_bytes;
  /// Allocation at which a limit is reached, and allocating threads wait, for a bounded time each, until the cycle that
  /// is under way has ended; INT64_MAX where there is no limit.
  int64_t hold_bytes;
  uint64_t goal_bytes;
  /// Larger means fewer shared writes, smaller a more exact trigger: each mutator may overshoot by this much.
  int64_t account_bytes;
  uint32_t assist_objects_per_mib;
  int64_t assist_loan_objects; ///< how far marking may be behind before allocating threads help
  bool inline_cycles;
  bool minor;          ///< the next cycle, if allocation triggers it
  bool keep_marks;     ///< the next cycle ends with marks kept
  bool limit_exceeded; ///< a limit cannot be kept, or not at a reasonable price
} tri_pacing;
void tri_pacing_set(tri_heap *heap, const tri_pacing *pacing);
/// Limits as the pacer is to see them: 0 for none.
void tri_limits_read(tri_heap *heap, uint64_t *out_soft_bytes, uint64_t *out_hard_bytes);
/// Checks and sets what tri_heap_set_limits() says; the pacing lock is held.
tri_status tri_limits_set_locked(tri_heap *heap, uint64_t soft_limit_bytes, uint64_t limit_bytes);
/// Delivers events that are waiting. No lock is held, and the world runs.
void tri_events_deliver(tri_heap *heap);
/// Between these no sweep ends, so the front's pacing state belongs to the caller. sweep_finished() runs inside them.
void tri_pacing_lock(tri_heap *heap);
void tri_pacing_unlock(tri_heap *heap);

TRI_END_NONNULL
TRI_EXTERN_C_END
#endif
