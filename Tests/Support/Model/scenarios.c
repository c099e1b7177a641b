#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE // pthread_barrier_t, usleep
#endif
#include "scenarios.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tricolor.h"
#include "tricolor_runtime.h"
#include "tricolor_testing.h"

enum { SCENARIO_SECONDS = 50 };

static void scenario_expect(bool holds, const char *sentence) {
  if (holds) return;
  fprintf(stderr, "scenario: %s\n", sentence);
  abort();
}

static void scenario_thread(pthread_t *thread, void *(*function)(void *), void *context) {
  scenario_expect(pthread_create(thread, NULL, function, context) == 0, "the system refuses a thread");
}

static tri_options scenario_options(void) {
  tri_options options;
  tri_options_init(&options);
  options.reservation_bytes = UINT64_C(256) << 20;
  options.growth_percent = TRI_GROWTH_OFF;
  options.mark_workers = 1;
  options.read_environment = 0;
  return options;
}

static tri_heap *scenario_heap(void) {
  tri_heap *heap;
  tri_options options = scenario_options();
  alarm(SCENARIO_SECONDS);
  scenario_expect(tri_heap_create(&options, &heap) == TRI_OK, "no heap");
  return heap;
}

static tri_mutator *scenario_attach(tri_heap *heap, uint32_t flags) {
  tri_mutator *mutator;
  scenario_expect(tri_attach(heap, flags, &mutator) == TRI_OK, "a thread cannot attach");
  return mutator;
}

static void scenario_detach(tri_mutator *mutator) {
  scenario_expect(tri_detach(mutator) == TRI_OK, "a thread cannot detach");
}

static bool scenario_is_alive(tri_heap *heap, const void *object) {
  return tri_object_start(heap, object) == object;
}

// ---- Heaps whose cycles are taken step by step ----

static void stepped_run_cycle(void *context, tri_mode mode, bool triggered) {
  (void)context;
  (void)triggered;
  (void)mode;
}
static void stepped_sweep_finished(void *context) {
  (void)context;
}

static tri_heap *stepped_heap(void) {
  tri_heap *heap;
  tri_options options = scenario_options();
  const tri_front front = {NULL, stepped_run_cycle, stepped_sweep_finished};
  alarm(SCENARIO_SECONDS);
  scenario_expect(tri_heap_open(&options, &front, &heap) == TRI_OK, "no heap");
  return heap;
}

static void stepped_leave_marking(tri_heap *heap) {
  tri_cycle_assert_marking_complete(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_OFF);
  tri_cycle_begin_sweep(heap);
  tri_cycle_start_world(heap);
  tri_cycle_sweep_all(heap);
  tri_cycle_end(heap);
}

static void stepped_forced_cycle(tri_heap *heap) {
  tri_cycle_begin(heap, TRI_MODE_FORCE_BLOCK);
  tri_cycle_finish_sweep(heap);
  tri_cycle_stop_world(heap);
  tri_cycle_reset_scan_state(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK_TERMINATION);
  tri_cycle_mark_stopped(heap);
  stepped_leave_marking(heap);
}

// Marks are kept from now on, and every cycle that may be a minor one is.
static void stepped_keep_marks(tri_heap *heap) {
  const tri_pacing pacing = {.trigger_bytes = INT64_MAX,
                             .urgent_bytes = INT64_MAX,
                             .hold_bytes = INT64_MAX,
                             .account_bytes = 32 << 10,
                             .minor = true,
                             .keep_marks = true};
  tri_pacing_set(heap, &pacing);
  tri_cycle_begin(heap, TRI_MODE_FORCE_BLOCK);
  tri_cycle_finish_sweep(heap);
  tri_cycle_choose_generation(heap, false);
  tri_cycle_stop_world(heap);
  tri_cycle_reset_scan_state(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK_TERMINATION);
  tri_cycle_mark_stopped(heap);
  stepped_leave_marking(heap);
}

static void stepped_mark_to_the_end(tri_heap *heap) {
  for (uint32_t attempt = 0;; attempt++) {
    tri_cycle_mark_concurrently(heap);
    tri_cycle_stop_world(heap);
    if (tri_cycle_try_finish_marking(heap, attempt)) return;
    tri_cycle_start_world(heap);
  }
}

// ---- A cycle between whose two first acknowledgements something happens ----

// The early thread acknowledges the barrier at once and acts; then the late one, which made the gap, acts without a
// barrier; then it polls, and the cycle takes its course.
enum { GAP_EARLY_ATTACHED = 1, GAP_MARKING, GAP_EARLY_ACTED, GAP_CYCLE_OVER };

typedef struct gap {
  tri_heap *heap;
  bool minor;
  atomic_int step;
  tri_mutator *late;
  void (*early_acts)(struct gap *gap, tri_mutator *early);
  void **holder;
  pthread_t early_thread, collector;
} gap;

static void gap_await(gap *gap, int step, tri_mutator *polling) {
  while (atomic_load(&gap->step) < step) {
    if (polling) tri_safepoint(polling);
    sched_yield();
  }
}

static void *gap_early_main(void *context) {
  gap *gap = context;
  tri_mutator *early = scenario_attach(gap->heap, TRI_ATTACH_PRECISE);
  atomic_store(&gap->step, GAP_EARLY_ATTACHED);
  gap_await(gap, GAP_MARKING, NULL);
  while (!tri_testing_barrier_is_on(early)) tri_safepoint(early);
  gap->early_acts(gap, early);
  atomic_store(&gap->step, GAP_EARLY_ACTED);
  gap_await(gap, GAP_CYCLE_OVER, early);
  scenario_detach(early);
  return NULL;
}

static void *gap_collector_main(void *context) {
  gap *gap = context;
  tri_heap *heap = gap->heap;
  tri_cycle_begin(heap, TRI_MODE_BACKGROUND);
  tri_cycle_finish_sweep(heap);
  scenario_expect(tri_cycle_choose_generation(heap, gap->minor) == gap->minor, "the cycle is of the wrong kind");
  tri_cycle_clear_pools(heap, false);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK);
  atomic_store(&gap->step, GAP_MARKING);
  tri_cycle_enable_barrier(heap);
  tri_cycle_scan_roots(heap);
  stepped_mark_to_the_end(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK_TERMINATION);
  tri_cycle_checkmark(heap);
  tri_cycle_verify(heap);
  stepped_leave_marking(heap);
  atomic_store(&gap->step, GAP_CYCLE_OVER);
  return NULL;
}

// Returns inside the gap: this thread, the late one, has not acknowledged.
static void gap_enter(gap *gap) {
  scenario_thread(&gap->early_thread, gap_early_main, gap);
  gap_await(gap, GAP_EARLY_ATTACHED, NULL);
  scenario_thread(&gap->collector, gap_collector_main, gap);
  gap_await(gap, GAP_EARLY_ACTED, NULL);
  scenario_expect(!tri_testing_barrier_is_on(gap->late), "the late thread has a barrier already");
}

static void gap_leave(gap *gap) {
  gap_await(gap, GAP_CYCLE_OVER, gap->late);
  pthread_join(gap->collector, NULL);
  pthread_join(gap->early_thread, NULL);
}

static void gap_open(gap *gap) {
  gap->heap = stepped_heap();
  gap->late = scenario_attach(gap->heap, TRI_ATTACH_PRECISE);
}

static void gap_close(gap *gap) {
  scenario_detach(gap->late);
  scenario_expect(tri_heap_close(gap->heap) == TRI_OK, "the heap does not close");
}

// An object of references that a handle keeps.
static void **gap_root(gap *gap, size_t bytes) {
  void **object = tri_alloc(gap->late, tri_layout_references(gap->heap), bytes);
  scenario_expect(object && tri_handle_make(gap->late, object), "no memory");
  return object;
}

static void gap_publish_a_fresh_object(gap *gap, tri_mutator *early) {
  void *fresh = tri_alloc(early, tri_layout_references(gap->heap), 16);
  tri_store(early, gap->holder, gap->holder, fresh);
}

bool scenario_object_moved_before_the_barrier_survives(void) {
  gap gap = {.early_acts = gap_publish_a_fresh_object};
  gap_open(&gap);
  gap.holder = gap_root(&gap, 16);
  void **origin = gap_root(&gap, 16), *moved = tri_alloc(gap.late, tri_layout_references(gap.heap), 16);
  tri_store(gap.late, origin, origin, moved);
  gap_enter(&gap);
  void **fresh = __atomic_load_n(gap.holder, __ATOMIC_ACQUIRE);
  tri_store(gap.late, fresh, fresh, moved);
  tri_store(gap.late, origin, origin, NULL);
  gap_leave(&gap);
  scenario_expect(gap.holder[0] == fresh && scenario_is_alive(gap.heap, fresh), "the fresh object is lost");
  scenario_expect(fresh[0] == moved && scenario_is_alive(gap.heap, moved), "the object it refers to is lost");
  gap_close(&gap);
  return true;
}

// ---- The same in a minor cycle ----

enum { GAP_MANY_STORES = 2000, GAP_OLD_WORDS = 8 };

// The young object that the holder holds is marked here, as the buffer overflows.
static void gap_store_often(gap *gap, tri_mutator *early) {
  void *young = gap->holder[1];
  for (int store = 0; store < GAP_MANY_STORES; store++) tri_store(early, gap->holder, &gap->holder[2], young);
  tri_store(early, gap->holder, &gap->holder[2], NULL);
  scenario_expect(tri_testing_is_marked(gap->heap, young), "the buffer is not flushed");
  tri_store(early, gap->holder, &gap->holder[3], tri_alloc(early, tri_layout_references(gap->heap), 16));
}

// While its barrier still logs, the late thread hides young objects in old ones: in a few ways.
static void gap_hide_in_old_objects(gap *gap, void **old, void **young) {
  tri_mutator *late = gap->late;
  tri_layout *references = tri_layout_references(gap->heap);
  // One that is marked already, in an object that is written down only by the next store.
  tri_store(late, old, &old[0], gap->holder[1]);
  tri_store(late, gap->holder, &gap->holder[1], NULL);
  // One that only the marked one refers to.
  tri_store(late, old[0], old[0], tri_alloc(late, references, 32));
  tri_copy(late, old, &old[1], young, 3);
  tri_clear(late, young, young, 3);
  tri_store(late, old, &old[4], tri_alloc(late, references, 100000));
}

static void gap_expect_old_object_kept(gap *gap, void **old) {
  for (int word = 0; word < 5; word++) {
    scenario_expect(old[word] && scenario_is_alive(gap->heap, old[word]), "what an old object refers to is lost");
    scenario_expect(tri_testing_is_marked(gap->heap, old[word]), "what survives is not old");
  }
  scenario_expect(scenario_is_alive(gap->heap, *(void **)old[0]), "what hangs off a marked object is lost");
  scenario_expect(scenario_is_alive(gap->heap, gap->holder[3]), "what the early thread stored is lost");
  scenario_expect(tri_testing_is_marked(gap->heap, old), "an object that was written down is not old again");
}

static bool gap_play_minor(bool detaches) {
  gap gap = {.early_acts = gap_store_often, .minor = true};
  gap_open(&gap);
  gap.holder = gap_root(&gap, 8 * GAP_OLD_WORDS);
  void **old = gap_root(&gap, 8 * GAP_OLD_WORDS);
  stepped_keep_marks(gap.heap);
  void **young = gap_root(&gap, 8 * GAP_OLD_WORDS);
  for (int word = 0; word < 3; word++)
    tri_store(gap.late, young, &young[word], tri_alloc(gap.late, tri_layout_references(gap.heap), 48));
  tri_store(gap.late, gap.holder, &gap.holder[1], tri_alloc(gap.late, tri_layout_references(gap.heap), 16));
  gap_enter(&gap);
  gap_hide_in_old_objects(&gap, old, young);
  if (detaches) {
    scenario_detach(gap.late);
    gap.late = scenario_attach(gap.heap, TRI_ATTACH_PRECISE);
  }
  gap_leave(&gap);
  gap_expect_old_object_kept(&gap, old);
  gap_close(&gap);
  return true;
}

bool scenario_old_object_stored_into_before_the_barrier_remembers(void) {
  return gap_play_minor(false) && gap_play_minor(true);
}

// ---- A stale word and a slot that waits ----

enum { GAP_STALE_BYTES = 256, GAP_LARGE = 4, GAP_LARGE_BYTES = 40000, GAP_FILLER_BYTES = 48 };

static void *gap_stale_word;

static void gap_add_a_stale_word(gap *gap, tri_mutator *early) {
  (void)early;
  scenario_expect(tri_root_add_range(gap->heap, &gap_stale_word, 1, TRI_ROOT_CONSERVATIVE) == TRI_OK, "no root");
}

// A slot that waits in the late thread's window and still refers to where large objects were, which may be the middle
// of something else.
static void *gap_stale_slot(gap *gap) {
  tri_layout *references = tri_layout_references(gap->heap);
  void *large[GAP_LARGE], **stale = tri_alloc(gap->late, references, GAP_STALE_BYTES);
  for (int index = 0; index < GAP_LARGE; index++) {
    large[index] = tri_alloc(gap->late, references, GAP_LARGE_BYTES);
    tri_store(gap->late, stale, &stale[index], large[index]);
  }
  tri_free(gap->late, stale);
  for (int index = 0; index < GAP_LARGE; index++) tri_free(gap->late, large[index]);
  for (int count = 0; count < GAP_LARGE * GAP_LARGE_BYTES / GAP_FILLER_BYTES; count++) gap_root(gap, GAP_FILLER_BYTES);
  return stale;
}

bool scenario_waiting_slot_is_not_scanned(void) {
  gap gap = {.early_acts = gap_add_a_stale_word};
  gap_open(&gap);
  gap_stale_word = gap_stale_slot(&gap);
  gap_enter(&gap);
  gap_leave(&gap);
  scenario_expect(tri_root_remove_range(gap.heap, &gap_stale_word) == TRI_OK, "no root");
  gap_close(&gap);
  return true;
}

static void gap_drop_the_large_object(gap *gap, tri_mutator *early) {
  tri_store(early, gap->holder, gap->holder, NULL);
  scenario_expect(tri_testing_barrier_words(early) != 0, "the overwritten reference is not recorded");
}

// An object that is born with a mark is not scanned, and its child is lost.
static void gap_expect_large_objects_are_scanned(gap *gap) {
  enum { COUNT = 4, BYTES = 100000 };
  void **large[COUNT];
  for (int index = 0; index < COUNT; index++) {
    large[index] = gap_root(gap, BYTES);
    tri_store(gap->late, large[index], large[index], tri_alloc(gap->late, tri_layout_references(gap->heap), 64));
  }
  stepped_forced_cycle(gap->heap);
  for (int index = 0; index < COUNT; index++)
    scenario_expect(scenario_is_alive(gap->heap, large[index][0]), "what a new large object refers to is lost");
}

bool scenario_free_before_the_barrier_leaves_no_mark(void) {
  gap gap = {.early_acts = gap_drop_the_large_object};
  gap_open(&gap);
  gap.holder = gap_root(&gap, 16);
  void *large = tri_alloc(gap.late, tri_layout_references(gap.heap), 100000);
  tri_store(gap.late, gap.holder, gap.holder, large);
  gap_enter(&gap);
  tri_free(gap.late, large);
  gap_leave(&gap);
  scenario_expect(!scenario_is_alive(gap.heap, large), "the freed object is still there");
  stepped_forced_cycle(gap.heap); // while its pages are free: the two bitmaps change places
  gap_expect_large_objects_are_scanned(&gap);
  gap_close(&gap);
  return true;
}

// ---- The shortcut of explicit free ----

enum { SHORTCUT_SLOTS = 64, SHORTCUT_LEAF_BYTES = 64, SHORTCUT_OTHER_BYTES = 128 };

// The window of the leaves ends empty, and was the last one freed into.
static uintptr_t shortcut_use_up_a_window(tri_mutator *mutator) {
  void *first = NULL, *leaf = NULL;
  for (int slot = 0; slot < SHORTCUT_SLOTS; slot++) {
    leaf = tri_alloc_leaf_uninitialized(mutator, SHORTCUT_LEAF_BYTES);
    if (!first) first = leaf;
  }
  tri_free(mutator, leaf);
  scenario_expect(tri_alloc_leaf_uninitialized(mutator, SHORTCUT_LEAF_BYTES) == leaf, "the slot is not given again");
  return (uintptr_t)first;
}

static void *shortcut_other_object_in(tri_mutator *mutator, tri_layout *layout, uintptr_t window) {
  for (int tries = 0; tries < 10000; tries++) {
    void *object = tri_alloc(mutator, layout, SHORTCUT_OTHER_BYTES);
    if ((uintptr_t)object - window < (uintptr_t)SHORTCUT_SLOTS * SHORTCUT_LEAF_BYTES) return object;
  }
  scenario_expect(false, "the memory of the dead leaves is not used again");
  return NULL;
}

bool scenario_free_returns_a_slot_to_its_own_class(void) {
  tri_heap *heap = stepped_heap();
  tri_mutator *mutator = scenario_attach(heap, TRI_ATTACH_PRECISE);
  uintptr_t window = shortcut_use_up_a_window(mutator);
  stepped_forced_cycle(heap); // all are dead: their span is anyone's
  tri_free(mutator, shortcut_other_object_in(mutator, tri_layout_references(heap), window));
  for (int leaves = 0; leaves < SHORTCUT_SLOTS; leaves++) {
    void *leaf = tri_alloc_leaf_uninitialized(mutator, SHORTCUT_LEAF_BYTES);
    scenario_expect(tri_object_layout(heap, leaf) == tri_layout_leaf(heap), "a leaf is given a slot of references");
    scenario_expect(tri_object_bytes(heap, leaf) == SHORTCUT_LEAF_BYTES, "a leaf is given a slot of another size");
  }
  scenario_detach(mutator);
  return tri_heap_close(heap) == TRI_OK;
}

// ---- Hand-over ----

enum { HANDOVER_OBJECTS = 200000, HANDOVER_RING = 32 };

typedef struct handover {
  tri_heap *heap;
  _Atomic(void *) ring[HANDOVER_RING];
} handover;

static void *handover_free_main(void *context) {
  handover *between = context;
  tri_mutator *mutator = scenario_attach(between->heap, TRI_ATTACH_PRECISE);
  for (int taken = 0; taken < HANDOVER_OBJECTS; taken++) {
    void *object;
    while (!(object = atomic_exchange(&between->ring[taken % HANDOVER_RING], NULL))) sched_yield();
    tri_free(mutator, object);
  }
  scenario_detach(mutator);
  return NULL;
}

// The owner gets on with its window while the other thread looks at it.
static void handover_step(tri_step_point point) {
  if (point == TRI_STEP_LOOK)
    for (volatile int spin = 0; spin < 300; spin++) continue;
}

bool scenario_handed_over_objects_are_freed_once(void) {
  tri_testing_set_step_hook(handover_step);
  handover between = {.heap = stepped_heap()};
  tri_mutator *mutator = scenario_attach(between.heap, TRI_ATTACH_PRECISE);
  pthread_t thread;
  scenario_thread(&thread, handover_free_main, &between);
  for (int given = 0; given < HANDOVER_OBJECTS; given++) {
    void *object = tri_alloc_leaf_uninitialized(mutator, 64);
    while (atomic_load(&between.ring[given % HANDOVER_RING])) sched_yield();
    atomic_store(&between.ring[given % HANDOVER_RING], object);
  }
  tri_blocking_begin(mutator);
  pthread_join(thread, NULL);
  tri_blocking_end(mutator);
  scenario_detach(mutator);
  return tri_heap_close(between.heap) == TRI_OK;
}

// ---- Two heaps ----

enum { CROSSWISE_ROUNDS = 3000 };

typedef struct crosswise {
  tri_heap *heaps[2];
  pthread_barrier_t both_attached;
  atomic_int next;
} crosswise;

static void *crosswise_main(void *context) {
  crosswise *two = context;
  int mine = atomic_fetch_add(&two->next, 1);
  tri_mutator *first = scenario_attach(two->heaps[0], 0), *second = scenario_attach(two->heaps[1], 0);
  pthread_barrier_wait(&two->both_attached);
  for (int round = 0; round < CROSSWISE_ROUNDS; round++) tri_collect(two->heaps[mine], TRI_MODE_FORCE);
  scenario_detach(second);
  scenario_detach(first);
  return NULL;
}

bool scenario_two_heaps_collected_crosswise_end(void) {
  crosswise two = {.heaps = {scenario_heap(), scenario_heap()}};
  pthread_t threads[2];
  pthread_barrier_init(&two.both_attached, NULL, 2);
  for (int index = 0; index < 2; index++) scenario_thread(&threads[index], crosswise_main, &two);
  for (int index = 0; index < 2; index++) pthread_join(threads[index], NULL);
  pthread_barrier_destroy(&two.both_attached);
  return tri_heap_destroy(two.heaps[0]) == TRI_OK && tri_heap_destroy(two.heaps[1]) == TRI_OK;
}

// ---- Destroy callbacks ----

enum { OWNERS = 1000, OWNERS_CALLBACK_MS = 50 };

typedef struct owners {
  tri_heap *heap;
  atomic_bool sweeping;
  atomic_int destroyed;
} owners;

typedef struct owner {
  tri_handle *handle;
} owner;

// The first callback takes its time, so that the next cycle has begun when it gives its handle back.
static void owner_destroy(void *object, size_t bytes, void *context) {
  (void)bytes;
  owners *all = context;
  if (!atomic_exchange(&all->sweeping, true)) usleep(OWNERS_CALLBACK_MS * 1000);
  tri_handle_free_any_thread(all->heap, ((owner *)object)->handle);
  atomic_fetch_add(&all->destroyed, 1);
}

static void owners_allocate(owners *all, tri_mutator *mutator) {
  const tri_layout_description description = {.form = TRI_LAYOUT_LEAF, .destroy = owner_destroy, .context = all};
  tri_layout *layout;
  scenario_expect(tri_layout_make(all->heap, &description, &layout) == TRI_OK, "no layout");
  for (int index = 0; index < OWNERS; index++) {
    owner *object = tri_alloc(mutator, layout, sizeof *object);
    object->handle = tri_handle_make(mutator, NULL);
  }
}

bool scenario_destroy_callback_may_free_a_handle(void) {
  owners all = {.heap = scenario_heap()};
  tri_mutator *mutator = scenario_attach(all.heap, TRI_ATTACH_PRECISE);
  owners_allocate(&all, mutator);
  tri_collect(all.heap, TRI_MODE_FORCE);
  while (!atomic_load(&all.sweeping)) sched_yield(); // the collector thread is
  tri_collect(all.heap, TRI_MODE_FORCE);
  scenario_detach(mutator);
  scenario_expect(tri_heap_destroy(all.heap) == TRI_OK, "the heap is not destroyed");
  scenario_expect(atomic_load(&all.destroyed) == OWNERS, "an owner was not destroyed exactly once");
  return true;
}

// ---- Callee-saved registers ----

#if defined(__x86_64__)
static void *held_collector_main(void *context) {
  tri_collect(context, TRI_MODE_FORCE_BLOCK);
  return NULL;
}

// Called by the entries below while their thread is blocked.
__attribute__((used, noinline)) void scenario_collect_beside(tri_heap *heap) {
  pthread_t collector;
  scenario_thread(&collector, held_collector_main, heap);
  pthread_join(collector, NULL);
}

// Blocks while the complement of `hidden` is in the register and in no other place, and answers `hidden` again from
// what the register holds afterwards. Not C, since no compiler promises to leave a value where it is, and a debug build
// would keep it on the stack.
typedef uintptr_t scenario_hold(tri_mutator *mutator, uintptr_t hidden, tri_heap *heap);
#define SCENARIO_HOLD(name, held)                                                                                      \
  scenario_hold name;                                                                                                  \
  __asm__(".text\n"                                                                                                    \
          ".p2align 4\n"                                                                                               \
          ".type " #name ", @function\n" #name ":\n"                                                                   \
          ".cfi_startproc\n"                                                                                           \
          "pushq %" held "\n"                                                                                          \
          "pushq %rdi\n"                                                                                               \
          "pushq %rdx\n"                                                                                               \
          ".cfi_adjust_cfa_offset 24\n"                                                                                \
          "movq %rsi, %" held "\n"                                                                                     \
          "notq %" held "\n"                                                                                           \
          "call tri_blocking_begin@PLT\n"                                                                              \
          "movq (%rsp), %rdi\n"                                                                                        \
          "call scenario_collect_beside@PLT\n"                                                                         \
          "movq 8(%rsp), %rdi\n"                                                                                       \
          "call tri_blocking_end@PLT\n"                                                                                \
          "movq %" held ", %rax\n"                                                                                     \
          "notq %rax\n"                                                                                                \
          "addq $16, %rsp\n"                                                                                           \
          "popq %" held "\n"                                                                                           \
          ".cfi_adjust_cfa_offset -24\n"                                                                               \
          "ret\n"                                                                                                      \
          ".cfi_endproc\n"                                                                                             \
          ".size " #name ", . - " #name "\n")

SCENARIO_HOLD(scenario_hold_in_rbx, "rbx");
SCENARIO_HOLD(scenario_hold_in_rbp, "rbp");
SCENARIO_HOLD(scenario_hold_in_r12, "r12");
SCENARIO_HOLD(scenario_hold_in_r13, "r13");
SCENARIO_HOLD(scenario_hold_in_r14, "r14");
SCENARIO_HOLD(scenario_hold_in_r15, "r15");

// Frames that see an address are gone when the thread blocks; what stays in others is its complement.
__attribute__((noinline)) static uintptr_t held_allocate(tri_mutator *mutator, tri_heap *heap) {
  return ~(uintptr_t)tri_alloc(mutator, tri_layout_leaf(heap), 64);
}

__attribute__((noinline)) static bool held_is_alive(tri_heap *heap, uintptr_t hidden) {
  return scenario_is_alive(heap, (void *)~hidden);
}

static void *held_main(void *context) {
  scenario_hold *const holds[] = {scenario_hold_in_rbx, scenario_hold_in_rbp, scenario_hold_in_r12,
                                  scenario_hold_in_r13, scenario_hold_in_r14, scenario_hold_in_r15};
  tri_heap *heap = context;
  tri_mutator *mutator = scenario_attach(heap, 0);
  // None of the objects below is the first of the heap: where the heap is mapped right behind this thread's stack, its
  // beginning is the stack's end, which the thread library keeps above the stack, and is taken for a reference.
  tri_handle_make(mutator, tri_alloc(mutator, tri_layout_leaf(heap), 64));
  // Held nowhere, it dies: otherwise what follows shows nothing.
  uintptr_t hidden = held_allocate(mutator, heap);
  scenario_hold_in_rbx(mutator, ~(uintptr_t)0, heap);
  scenario_expect(!held_is_alive(heap, hidden), "an object that nobody holds is kept");
  for (size_t index = 0; index < sizeof holds / sizeof *holds; index++) {
    hidden = holds[index](mutator, held_allocate(mutator, heap), heap);
    scenario_expect(held_is_alive(heap, hidden), "an object that a blocked thread held in a register is lost");
  }
  scenario_detach(mutator);
  return NULL;
}

bool scenario_blocked_registers_are_roots(void) {
  tri_heap *heap = scenario_heap();
  pthread_t thread; // a thread whose stack nobody else has written on
  scenario_thread(&thread, held_main, heap);
  pthread_join(thread, NULL);
  return tri_heap_destroy(heap) == TRI_OK;
}
#else
bool scenario_blocked_registers_are_roots(void) {
  return true;
}
#endif

// ---- Weak references ----

static tri_weak *scenario_weak(tri_mutator *mutator, void *object) {
  tri_weak *weak;
  scenario_expect(tri_weak_make(mutator, object, &weak) == TRI_OK, "no weak reference");
  return weak;
}

static void scenario_no_cleanup(void *context) {
  (*(int *)context)++;
}

// From a forced cycle everything but its sweep.
static void stepped_cycle_without_sweep(tri_heap *heap) {
  tri_cycle_begin(heap, TRI_MODE_FORCE);
  tri_cycle_finish_sweep(heap);
  tri_cycle_stop_world(heap);
  tri_cycle_reset_scan_state(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK_TERMINATION);
  tri_cycle_mark_stopped(heap);
  tri_cycle_assert_marking_complete(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_OFF);
  tri_cycle_begin_sweep(heap);
  tri_cycle_start_world(heap);
  tri_cycle_end(heap);
}

// A thread is held when it passes one step point for the first time, until it is let go.
enum { HOLD_WAITS = 0, HOLD_HELD, HOLD_GONE };
static struct {
  tri_step_point point;
  atomic_int step;
} hold;

static void hold_step(tri_step_point point) {
  int waits = HOLD_WAITS;
  if (point != hold.point || !atomic_compare_exchange_strong(&hold.step, &waits, HOLD_HELD)) return;
  while (atomic_load(&hold.step) != HOLD_GONE) sched_yield();
}

static void hold_at(tri_step_point point) {
  hold.point = point;
  atomic_store(&hold.step, HOLD_WAITS);
  tri_testing_set_step_hook(hold_step);
}

static void hold_await(void) {
  while (atomic_load(&hold.step) != HOLD_HELD) sched_yield();
}

static void hold_let_go(void) {
  atomic_store(&hold.step, HOLD_GONE);
}

typedef struct weak_reader {
  tri_heap *heap;
  const tri_weak *weak;
  void *answer;
  atomic_int step; // 1: attached; 2: may load; 3: has loaded
} weak_reader;

static void *weak_reader_main(void *context) {
  weak_reader *reader = context;
  tri_mutator *mutator = scenario_attach(reader->heap, TRI_ATTACH_PRECISE);
  tri_blocking_begin(mutator);
  atomic_store(&reader->step, 1);
  while (atomic_load(&reader->step) < 2) sched_yield();
  tri_blocking_end(mutator);
  reader->answer = tri_weak_get(mutator, reader->weak);
  atomic_store(&reader->step, 3);
  scenario_detach(mutator);
  return NULL;
}

enum { WEAK_BYTES = 64, WEAK_MANY = 5000 };

static void weak_play_reuse(tri_step_point point) {
  pthread_t thread;
  tri_heap *heap = stepped_heap();
  tri_mutator *mutator = scenario_attach(heap, TRI_ATTACH_PRECISE);
  void *object = tri_alloc_leaf(mutator, WEAK_BYTES), *again = NULL;
  weak_reader reader = {.heap = heap, .weak = scenario_weak(mutator, object)};
  scenario_thread(&thread, weak_reader_main, &reader);
  while (atomic_load(&reader.step) < 1) sched_yield();
  stepped_cycle_without_sweep(heap);
  hold_at(point);
  atomic_store(&reader.step, 2);
  hold_await();
  for (int count = 0; again != object && count < WEAK_MANY; count++) again = tri_alloc_leaf(mutator, WEAK_BYTES);
  scenario_expect(again == object, "the slot of the dead object is not used again");
  hold_let_go();
  pthread_join(thread, NULL);
  tri_testing_set_step_hook(NULL);
  scenario_expect(!reader.answer, "a weak load answers the object that lives where its own did");
  scenario_detach(mutator);
  scenario_expect(tri_heap_close(heap) == TRI_OK, "the heap does not close");
}

bool scenario_weak_load_does_not_answer_the_next_object(void) {
  weak_play_reuse(TRI_STEP_WEAK_LOAD);
  weak_play_reuse(TRI_STEP_WEAK_LOAD_UNSWEPT);
  return true;
}

static void *weak_sweeper_main(void *heap) {
  tri_cycle_sweep_all(heap);
  return NULL;
}

bool scenario_weak_references_of_a_span_about_to_be_swept(void) {
  pthread_t thread;
  int runs = 0;
  tri_heap *heap = stepped_heap();
  tri_mutator *mutator = scenario_attach(heap, TRI_ATTACH_PRECISE);
  void *live = tri_alloc_leaf(mutator, WEAK_BYTES), *freed = tri_alloc_leaf(mutator, WEAK_BYTES),
       *dead = tri_alloc_leaf(mutator, WEAK_BYTES);
  scenario_expect(tri_handle_make(mutator, live) && tri_handle_make(mutator, freed), "no handle");
  tri_weak *weak_live = scenario_weak(mutator, live), *weak_freed = scenario_weak(mutator, freed),
           *weak_dead = scenario_weak(mutator, dead);
  tri_cleanup_add(mutator, freed, scenario_no_cleanup, &runs, NULL);
  tri_cleanup_add(mutator, dead, scenario_no_cleanup, &runs, NULL);
  stepped_cycle_without_sweep(heap);
  hold_at(TRI_STEP_TIES_SWEEP);
  scenario_thread(&thread, weak_sweeper_main, heap);
  hold_await();
  scenario_expect(tri_weak_get(mutator, weak_live) == live, "a live object is not answered");
  scenario_expect(!tri_weak_get(mutator, weak_dead), "a dead object is answered before its span is swept");
  tri_weak *second = scenario_weak(mutator, live);
  tri_cleanup_add(mutator, live, scenario_no_cleanup, &runs, NULL);
  tri_free(mutator, freed);
  scenario_expect(!tri_weak_get(mutator, weak_freed), "a freed object is answered");
  tri_weak_free(heap, weak_dead);
  hold_let_go();
  pthread_join(thread, NULL);
  tri_testing_set_step_hook(NULL);
  scenario_expect(tri_weak_get(mutator, weak_live) == live && tri_weak_get(mutator, second) == live,
                  "the sweep clears what refers to a live object");
  tri_testing_verify(heap);
  scenario_detach(mutator);
  scenario_expect(tri_heap_close(heap) == TRI_OK, "the heap does not close");
  scenario_expect(runs == 3, "a cleanup did not run once");
  return true;
}

// The collector tells, in its step, that it has found nothing grey and wants the world to stop.
static atomic_int weak_stop_wanted;
static void weak_stop_step(tri_step_point point) {
  if (point != TRI_STEP_STOP_REQUEST) return;
  int none = 0;
  if (!atomic_compare_exchange_strong(&weak_stop_wanted, &none, 1)) return;
  while (atomic_load(&weak_stop_wanted) != 2) sched_yield();
}

static void *weak_cycle_main(void *context) {
  tri_heap *heap = context;
  tri_cycle_begin(heap, TRI_MODE_BACKGROUND);
  tri_cycle_finish_sweep(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK);
  tri_cycle_enable_barrier(heap);
  tri_cycle_scan_roots(heap);
  stepped_mark_to_the_end(heap);
  tri_cycle_set_phase(heap, TRI_PHASE_MARK_TERMINATION);
  tri_cycle_checkmark(heap);
  tri_cycle_verify(heap);
  stepped_leave_marking(heap);
  atomic_store(&weak_stop_wanted, 3);
  return NULL;
}

bool scenario_weak_load_just_before_the_final_stop(void) {
  pthread_t collector;
  tri_heap *heap = stepped_heap();
  tri_mutator *mutator = scenario_attach(heap, TRI_ATTACH_PRECISE);
  tri_layout *references = tri_layout_references(heap);
  void **object = tri_alloc(mutator, references, WEAK_BYTES), *value = tri_alloc(mutator, references, WEAK_BYTES);
  tri_ephemeron *ephemeron;
  tri_weak *weak = scenario_weak(mutator, object);
  scenario_expect(tri_ephemeron_make(mutator, object, value, &ephemeron) == TRI_OK, "no ephemeron");
  tri_handle *handle = tri_handle_make(mutator, NULL);
  atomic_store(&weak_stop_wanted, 0);
  tri_testing_set_step_hook(weak_stop_step);
  scenario_thread(&collector, weak_cycle_main, heap);
  while (atomic_load(&weak_stop_wanted) != 1) tri_safepoint(mutator);
  scenario_expect(!tri_testing_is_marked(heap, object), "the object is marked without a reference to it");
  void *loaded = tri_weak_get(mutator, weak);
  scenario_expect(loaded == object, "the object is not answered while marking");
  tri_handle_set(mutator, handle, loaded);
  atomic_store(&weak_stop_wanted, 2);
  while (atomic_load(&weak_stop_wanted) != 3) tri_safepoint(mutator);
  pthread_join(collector, NULL);
  tri_testing_set_step_hook(NULL);
  scenario_expect(scenario_is_alive(heap, object), "what was loaded just before the stop is lost");
  scenario_expect(tri_ephemeron_value(mutator, ephemeron) == value && scenario_is_alive(heap, value),
                  "the value of a key that the stop found is lost");
  scenario_detach(mutator);
  scenario_expect(tri_heap_close(heap) == TRI_OK, "the heap does not close");
  return true;
}

bool scenario_weak_load_before_the_barrier_survives(void) {
  gap gap = {.early_acts = gap_publish_a_fresh_object};
  gap_open(&gap);
  gap.holder = gap_root(&gap, 16);
  tri_weak *weak = scenario_weak(gap.late, tri_alloc(gap.late, tri_layout_references(gap.heap), 16));
  gap_enter(&gap);
  void **fresh = __atomic_load_n(gap.holder, __ATOMIC_ACQUIRE), *moved = tri_weak_get(gap.late, weak);
  scenario_expect(moved, "the object is not answered before the barrier");
  tri_store(gap.late, fresh, fresh, moved);
  gap_leave(&gap);
  scenario_expect(fresh[0] == moved && scenario_is_alive(gap.heap, moved), "what a weak load answered is lost");
  scenario_expect(tri_weak_get(gap.late, weak) == moved, "the weak reference to a live object is cleared");
  gap_close(&gap);
  return true;
}
