#include "heap/fork.h"

#include <unistd.h>

#include "base/callback.h"
#include "collect/remember.h"
#include "collect/sweep.h"
#include "heap/heap.h"
#include "mutator/assist.h"
#include "mutator/attach.h"
#include "mutator/stopping.h"
#include "mutator/thread_mutators.h"
#include "space/registry.h"

enum {
  TRI_FORK_PATIENCE_US = 20000, // how long the worlds stand still for a callback that may be waiting for one of them
  TRI_FORK_POLL_US = 50,
  TRI_FORK_WARNING_MS = 1000,
  TRI_FORK_NEXT_WARNING_MS = 10000,
};

// Held from the prepare handler to the end of the others. Above every other lock.
static pthread_mutex_t tri_fork_lock = PTHREAD_MUTEX_INITIALIZER;
static tri_heap *tri_fork_heaps; // in address order
static bool tri_fork_is_handled;

void tri_fork_prepare(void);

// ---- The list ----

static void tri_fork_list_add(tri_heap *heap) {
  tri_heap **link = &tri_fork_heaps;
  while (*link && (uintptr_t)*link < (uintptr_t)heap) link = &(*link)->next_heap;
  heap->next_heap = *link;
  *link = heap;
}

static void tri_fork_list_remove(const tri_heap *heap) {
  tri_heap **link = &tri_fork_heaps;
  while (*link && *link != heap) link = &(*link)->next_heap;
  if (*link) *link = heap->next_heap;
}

static void tri_fork_parent(void);
static void tri_fork_child(void);

// A fork on another thread may hold the lock while it waits for this thread's mutators.
static void tri_fork_wait_for_lock(void *unused, uintptr_t stack_pointer) {
  (void)unused;
  tri_thread_others_block(NULL, stack_pointer, NULL);
  pthread_mutex_lock(&tri_fork_lock);
}

bool tri_fork_add_heap(tri_heap *heap) {
  tri_thread_with_stack(tri_fork_wait_for_lock, NULL);
  if (!tri_fork_is_handled)
    tri_fork_is_handled = pthread_atfork(tri_fork_prepare, tri_fork_parent, tri_fork_child) == 0;
  bool handled = tri_fork_is_handled;
  if (handled) tri_fork_list_add(heap);
  pthread_mutex_unlock(&tri_fork_lock);
  tri_thread_others_unblock();
  return handled;
}

void tri_fork_remove_heap(tri_heap *heap) {
  tri_thread_with_stack(tri_fork_wait_for_lock, NULL);
  tri_fork_list_remove(heap);
  pthread_mutex_unlock(&tri_fork_lock);
  tri_thread_others_unblock();
}

// ---- Locks ----

// Everything that is tried has to succeed before this moment.
static bool tri_fork_try(tri_lock *lock, uint64_t until_ns) {
  while (!tri_lock_try(lock)) {
    if (tri_clock_ns() >= until_ns) return false;
    usleep(TRI_FORK_POLL_US);
  }
  return true;
}

typedef bool tri_fork_lock_function(tri_lock *lock, void *context);

static bool tri_fork_each_class_lock(tri_spans *spans, tri_fork_lock_function *each, void *context) {
  uint32_t end = tri_load_acquire(&spans->class_count);
  for (uint32_t id = 1; id < end; id++)
    if (!each(&tri_spans_class_by_id(spans, id)->lock, context)) return false;
  return true;
}

// All locks of a heap that have this rank, but not the cycle lock, which a fork neither takes nor waits for.
static bool tri_fork_each_lock(tri_heap *heap, tri_lock_rank rank, tri_fork_lock_function *each, void *context) {
  tri_collect *collect = &heap->world.collect;
  tri_space *space = &collect->spans.space;
  switch (rank) {
  case TRI_RANK_CYCLE: return true;
  case TRI_RANK_WORLD: return each(&heap->world.lock, context);
  case TRI_RANK_HELPERS:
    return each(&heap->helpers.lock, context) && each(&heap->collector.lock, context) &&
           each(&heap->cleanups.lock, context);
  case TRI_RANK_SWEEP: return each(&collect->sweep_lock, context);
  case TRI_RANK_ROOTS:
    return each(&heap->world.roots.lock, context) && each(&heap->world.fibers_lock, context) &&
           each(&heap->hooks_lock, context);
  case TRI_RANK_LIMITS: return each(&heap->limits.lock, context);
  case TRI_RANK_LAYOUTS: return each(&collect->spans.layouts_lock, context);
  case TRI_RANK_CLASS: return tri_fork_each_class_lock(&collect->spans, each, context);
  case TRI_RANK_SCAVENGE: return each(&space->scavenge_lock, context);
  case TRI_RANK_PAGES: return each(&space->pages_lock, context);
  case TRI_RANK_TIES: return each(&collect->ties.lock, context);
  case TRI_RANK_GREY: return each(&collect->grey.lock, context);
  case TRI_RANK_META: return each(&space->meta.lock, context);
  case TRI_RANK_STOPS: return each(&heap->world.stops.lock, context);
  }
  return true;
}

static bool tri_fork_take(tri_lock *lock, void *context) {
  lock->held_by_fork = tri_fork_try(lock, *(const uint64_t *)context);
  return lock->held_by_fork;
}

static bool tri_fork_give(tri_lock *lock, void *unused) {
  (void)unused;
  if (!lock->held_by_fork) return true;
  lock->held_by_fork = false;
  tri_lock_release(lock);
  return true;
}

static bool tri_fork_renew(tri_lock *lock, void *unused) {
  (void)unused;
  tri_lock_init(lock, lock->rank);
  return true;
}

static bool tri_fork_each_lock_of_all(tri_fork_lock_function *each, void *context) {
  for (tri_lock_rank rank = TRI_RANK_WORLD; rank <= TRI_RANK_STOPS; rank++)
    for (tri_heap *heap = tri_fork_heaps; heap; heap = heap->next_heap)
      if (!tri_fork_each_lock(heap, rank, each, context)) return false;
  return true;
}

static void tri_fork_give_locks(void) {
  tri_fork_each_lock_of_all(tri_fork_give, NULL);
}

// ---- Prepare ----

// Whoever runs a cycle, and is in none of those: the steps of one by hand, from a test.
static void tri_fork_refuse_cycles(void) {
  for (const tri_heap *heap = tri_fork_heaps; heap; heap = heap->next_heap)
    TRI_CHECK(tri_load_relaxed(&heap->cycle_owner) != tri_thread_token(),
              "fork from inside a cycle of this thread's own");
}

static bool tri_fork_close_sweep(tri_heap *heap, uint64_t until_ns) {
  tri_sweep_close(&heap->world.collect);
  while (tri_sweep_is_under_way(&heap->world.collect)) {
    if (tri_clock_ns() >= until_ns) return false;
    usleep(TRI_FORK_POLL_US);
  }
  return true;
}

static void tri_fork_start_worlds(void) {
  for (tri_heap *heap = tri_fork_heaps; heap; heap = heap->next_heap) {
    tri_sweep_open(&heap->world.collect);
    tri_world_start_after_fork(&heap->world);
  }
}

// Everything stands still and every lock is held; false, and nothing is, if something would not finish.
static bool tri_fork_try_to_hold(void) {
  for (tri_heap *heap = tri_fork_heaps; heap; heap = heap->next_heap)
    tri_world_stop_for_fork(&heap->world, &heap->cycle_owner);
  uint64_t until_ns = tri_clock_ns() + (uint64_t)TRI_FORK_PATIENCE_US * 1000;
  bool still = true;
  for (tri_heap *heap = tri_fork_heaps; heap && still; heap = heap->next_heap)
    still = tri_fork_close_sweep(heap, until_ns);
  if (still && tri_fork_each_lock_of_all(tri_fork_take, &until_ns)) return true;
  tri_fork_give_locks();
  tri_fork_start_worlds();
  return false;
}

void tri_fork_prepare_saved(void *unused, uintptr_t unused_too, const tri_registers *saved);
void tri_fork_prepare_saved(void *unused, uintptr_t unused_too, const tri_registers *saved) {
  (void)unused;
  (void)unused_too;
  tri_thread_assert_not_interrupted("fork");
  // Before any lock: another thread's fork may be waiting for this very callback.
  TRI_CHECK(!tri_thread_in_callback, "fork from a callback of the heap (hook, trace, destroy or root function, or "
                                     "cleanup): fork when it has returned");
  tri_thread_others_block(NULL, tri_registers_stack_pointer(saved), saved);
  pthread_mutex_lock(&tri_fork_lock);
  tri_fork_refuse_cycles();
  uint64_t began_ns = tri_clock_ns(), warning_ms = TRI_FORK_WARNING_MS;
  while (!tri_fork_try_to_hold()) {
    uint64_t waited_ms = (tri_clock_ns() - began_ns) / 1000000;
    if (waited_ms >= warning_ms) {
      tri_report("fork waits since %llu ms for a callback of the heap (trace, destroy or root function) to return",
                 (unsigned long long)waited_ms);
      warning_ms = waited_ms + TRI_FORK_NEXT_WARNING_MS;
    }
    usleep(1000);
  }
  tri_registry_hold();
}

// ---- Parent ----

static void tri_fork_parent(void) {
  tri_registry_let_go();
  tri_fork_give_locks();
  tri_fork_start_worlds();
  pthread_mutex_unlock(&tri_fork_lock);
  tri_thread_others_unblock();
}

// ---- Child ----

// The heap's own threads are not here: whoever wants one starts it. A moment asked for (tick) is kept.
static void tri_heap_forget_threads(tri_heap *heap) {
  tri_helpers *helpers = &heap->helpers;
  tri_condition_init(&helpers->wake);
  tri_condition_init(&helpers->done);
  for (uint32_t index = 0; index < helpers->started; index++) tri_marker_destroy(&helpers->markers[index]);
  helpers->started = helpers->invited = helpers->busy = 0;
  tri_collector_thread *collector = &heap->collector;
  tri_condition_init(&collector->wake);
  collector->started = false;
  collector->cycle_wanted = collector->sweep_wanted = false;
  // Cleanups that the parent's thread had taken are the parent's.
  tri_cleanup_thread *cleanups = &heap->cleanups;
  tri_condition_init(&cleanups->wake);
  cleanups->started = cleanups->wanted = false;
  cleanups->token = 0;
  tri_store_relaxed(&heap->world.collect.ties.unserved, 1u);
  // So is an event that another thread was handing over.
  tri_store_relaxed(&heap->limits.deliverer, (uintptr_t)0);
  tri_store_relaxed(&heap->world.cycle_wanted, 0u);
}

// A cycle that another thread was running. What is old stays so if there was none, or if its marks are in use: then a
// sweep is under way. At any other moment of a cycle they may be half forgotten.
static void tri_heap_abandon_cycle(tri_heap *heap) {
  tri_collect *collect = &heap->world.collect;
  bool any = tri_load_relaxed(&heap->cycle_owner) != 0;
  tri_lock_init(&heap->cycle_lock, TRI_RANK_CYCLE);
  tri_store_relaxed(&heap->cycle_owner, (uintptr_t)0);
  tri_store_relaxed(&heap->cycle_running, 0u);
  if (tri_load_relaxed(&collect->phase) != TRI_PHASE_OFF) {
    TRI_CHECK(any, "a fork found phase %s and no cycle", tri_phase_name(tri_load_relaxed(&collect->phase)));
    heap->front.abandon_cycle(heap->front.context);
    tri_cycle_forget_marks(heap);
    if (heap->cycle.minor) tri_store_relaxed(&heap->cycles_minor, heap->cycles_minor - 1);
  } else if (any && collect->marks_kept && !tri_sweep_is_running(collect)) {
    tri_cycle_forget_marks(heap);
  }
  // A thread that was about to stop the world may have been replacing this.
  if (any) heap->world.stops.arrivals = NULL;
  if (any) heap->world.stops.arrival_room = heap->world.stops.arrival_count = 0;
  tri_assist_forget(&heap->world);
  heap->marker.depth = heap->marker.edge_count = heap->marker.slice_count = 0;
}

// The place for whatever else a heap has that does not outlive its process: threads of its own above all. Locks that
// are not in tri_fork_each_lock() are made anew here.
void tri_heap_after_fork_in_child(tri_heap *heap) {
  tri_collect *collect = &heap->world.collect;
  tri_condition_init(&heap->world.arrived);
  tri_condition_init(&heap->world.resumed);
  tri_condition_init(&heap->world.cycle_over);
  tri_condition_init(&collect->sweep_done);
  tri_grey_renew(&collect->grey);
  tri_heap_forget_threads(heap);
  tri_heap_abandon_cycle(heap);
  tri_store_relaxed(&collect->sweepers, 0u); // one that found it closed may have been counted
  tri_sweep_open(collect);
  tri_world_keep_only_caller(&heap->world);
  tri_world_start_after_fork(&heap->world);
}

static void tri_fork_child(void) {
  tri_registry_let_go();
  tri_lock_forget_held();
  tri_process_barrier_after_fork();
  pthread_mutex_init(&tri_fork_lock, NULL);
  tri_fork_each_lock_of_all(tri_fork_renew, NULL);
  for (tri_heap *heap = tri_fork_heaps; heap; heap = heap->next_heap) tri_heap_after_fork_in_child(heap);
  tri_thread_others_unblock();
}
