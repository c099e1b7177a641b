// Mutator: one thread's attachment to one heap: its windows, its barrier buffer, how it is stopped.
//
//   running -> blocked            [tri_blocking_begin]   counts as stopped, may not touch the heap
//   blocked -> running            [tri_blocking_end]
//   blocked -> held -> blocked    [the collector, while it works on the mutator or stops the world]
//   running -> parked -> running  [tri_safepoint_slow, during a stop]
//   held -> running               [its thread, under the world lock, once the stop it was held for is over]
//
// A stop's end touches no mutator: `stopping` is no more, and each that runs again makes up for what it slept through
// (tri_mutator_follow). So one that is parked, or held by a stop that is over, may be behind; a running or blocked one
// never is.
//
// Invariants  only the owner writes windows, buffer and scopes, except that the collector may while the owner is
//             parked or held. A mutator is one mapping: header, then windows (tricolor_fast.h).
// Not here    the list of mutators (world.h), and how they are stopped (states.h, stopping.h).
#ifndef TRI_MUTATOR_MUTATOR_H
#define TRI_MUTATOR_MUTATOR_H

#include <stddef.h>

#include "collect/barrier.h"
#include "collect/mark.h"
#include "collect/remember.h"
#include "mutator/window.h"
#include "os/thread.h"

typedef enum tri_mutator_state {
  TRI_MUTATOR_RUNNING = 0,
  TRI_MUTATOR_BLOCKED = 1,
  TRI_MUTATOR_HELD = 2,
  TRI_MUTATOR_PARKED = 3,
} tri_mutator_state;

enum {
  TRI_WINDOW_LIST_END = UINT16_MAX, // as loaded_next, an index that no window has; 0 there means "not loaded"
};
_Static_assert(2 * (int)TRI_SPAN_CLASS_MAX + 1 < (int)TRI_WINDOW_LIST_END, "every window's index fits");

/// Bits of tri_mutator.request.
enum {
  TRI_REQUEST_STOP = 1,
  TRI_REQUEST_HANDSHAKE = 2,
  TRI_REQUEST_STEP_ASIDE = 4, // placement.h
};

struct tri_world;
struct tri_mutator_full;
typedef void tri_handshake_function(struct tri_mutator_full *mutator, void *context);

typedef struct tri_operand_stack {
  struct tri_operand_stack *next;
  void *base;
  void **top;
} tri_operand_stack;

/// Where the last explicit free of a class put a slot back (mutator/free.c). A stale one fails the comparison with its
/// window.
typedef struct tri_free_place {
  uintptr_t base;
  uint32_t bytes; // of the group
  uint32_t slot_bytes;
  uint32_t slot_inverse;
  bool zeroed;
  struct tri_window *window;
  struct tri_magazine *magazine; // of its class, or of another that has the same place
  tri_span *span;
} tri_free_place;

enum { TRI_FREE_PLACES = 32 }; // found by class modulo this

enum { TRI_SCOPE_BLOCK_SLOTS = 126 };
typedef struct tri_scope_block {
  struct tri_scope_block *previous;
  struct tri_scope_block *next;
  void *slots[TRI_SCOPE_BLOCK_SLOTS];
} tri_scope_block;

typedef struct tri_mutator_full {
  struct tri_mutator fast; // first: the public pointer is this one
  struct tri_world *world; // [const]
  uintptr_t thread_token;  // [const] who may use it
  uint64_t thread_id;      // [const] for messages

  // Setting a mutator aside and taking it back touches these: one cache line, and a thread may have thousands.
  uintptr_t stack_pointer; // [owner; read while stopped] everything of the stack above it is live
  tri_registers registers; // [owner; read while stopped] of a blocked mutator
  uint32_t state;          // [atomic] tri_mutator_state
  bool stack_grey;         // [owner; collector while stopped] not yet scanned in this cycle
  bool allocates_black;    // [owner; collector while stopped] refills and large objects set M
  union {
    uint16_t aside; // both of these at once
    struct {
      bool blocking; // [owner] inside a blocking region
      bool away;     // [owner] set aside while its thread waits for, or collects, another heap
    };
  };

  tri_stack_bounds stack; // [owner; read while stopped] that it runs on
  bool precise;           // [const] the native stack is not scanned
  // These two outlive an attachment, as others may look at them at any time.
  uint16_t number;                          // [const] where the heap keeps it (world.h); 0: it has no number
  uint32_t lone_busy;                       // [atomic] between tri_lone_enter() and tri_lone_leave()
  struct tri_mutator_full *next, *previous; // [lock:world]
  tri_handshake_function *handshake;        // [lock:world] what to do at the next safepoint; NULL when done
  void *handshake_context;                  // [lock:world]
  bool handshake_running;                   // [lock:world] the owner is at it
  bool awaited;                             // [lock:world] by the stop that is wanted
  uint32_t cpu;                             // [owner; atomic read] where it last allocated while marking, + 1; or 0
  struct tri_mutator_full *next_unsettled;  // [stw] of world.unsettled
  uint64_t marking_ends;                    // [owner; collector while stopped] of the world, as far as it followed
  const char *busy; // [owner] what must not be interrupted by a signal handler that does the like; NULL: nothing

  uint32_t logged_stores;     // [owner; collector while stopped] since they were last added to the heap's
  tri_grey_chunk *remembered; // [owner; collector while stopped] old objects it stored into since the last cycle
  uint16_t loaded_windows;    // [owner; collector while stopped] linked by loaded_next; TRI_WINDOW_LIST_END ends

  struct tri_fiber *fiber; // [owner; read while stopped] that it runs on; NULL: its thread's native stack
  struct {
    tri_stack_bounds bounds; // [const]
    uintptr_t stack_pointer; // [owner; read while stopped] while it runs on a fiber
    tri_registers registers; // [owner; read while stopped] likewise
  } native;
  tri_scope_block *scopes;                      // [owner; read while stopped] innermost block
  size_t scope_depth;                           // slots in use, over all blocks
  size_t scope_open;                            // scopes open
  tri_operand_stack *operand_stacks;            // [owner; read while stopped]
  tri_marker marker;                            // [owner] for assists; stack is NULL until the first one
  int64_t assist_credit;                        // [owner] objects marked ahead of what allocation owes
  uint32_t refills_since_stress;                // [owner]
  tri_free_place last_freed;                    // [owner] of all classes, or of one that was freed by turns with others
  tri_free_place freed_places[TRI_FREE_PLACES]; // [owner] of each class
  uint8_t whole_groups;                         // [owner] how far nearly all that it loaded lately were (refill.c)
  bool magazines_used;                          // [owner; collector while stopped] some magazine belongs to a class
  bool magazines_touched;                       // [owner] since it was attached
  uint64_t pages_in_hand_first, pages_in_hand;  // [owner] taken for a large object that is not there yet
  uint64_t freed_bytes;           // [owner; relaxed read] explicitly, but for what went back into a window
  uint64_t put_back_bytes;        // [owner; relaxed read] what did: it was never counted as allocated
  uint64_t accounted_freed_bytes; // [owner] of freed_bytes, what is in the heap's counters
  int64_t unaccounted_bytes;      // [owner] allocated and not yet in the heap's counters; negative after a drop
  int64_t early_until_bytes;      // [owner; collector while stopped] below that the trigger is not reached yet
  int64_t sweep_debt_bytes;       // [owner] allocated beside a sweep, and no unit swept for it yet
  tri_barrier_buffer barrier;     // last: a page that is not touched before much is recorded
} tri_mutator_full;
_Static_assert(offsetof(tri_mutator_full, stack_pointer) == TRI_CACHE_LINE_BYTES &&
                   offsetof(tri_mutator_full, away) == 2 * TRI_CACHE_LINE_BYTES - 1,
               "what setting aside touches is one cache line");

/// Whether its thread may use it now.
#define tri_mutator_is_usable(mutator) (!(mutator)->aside)

static inline tri_mutator_full *tri_mutator_of(tri_mutator *mutator) {
  return (tri_mutator_full *)(void *)mutator;
}

_Noreturn void tri_report_owner(const tri_mutator_full *mutator, const char *what) __attribute__((cold, noinline));
/// Whether the calling thread owns it and may use it now.
static inline bool tri_mutator_is_callers(const tri_mutator_full *mutator) {
  return mutator->thread_token == tri_thread_token() && tri_mutator_is_usable(mutator);
}

/// Traps with a sentence unless the calling thread owns the mutator and is not in a blocking region.
static inline void tri_assert_owner(const tri_mutator_full *mutator, const char *what) {
  if (__builtin_expect(!tri_mutator_is_callers(mutator), 0)) tri_report_owner(mutator, what);
}

_Noreturn void tri_report_interrupted(const tri_mutator_full *mutator, const char *what)
    __attribute__((cold, noinline));
/// Traps with a sentence in a signal handler that interrupted a slow path of this thread: its locks are held, or its
/// thread counts as stopped. Slow paths only, as the mark is a store at each of them.
static inline void tri_assert_not_interrupted(const tri_mutator_full *mutator, const char *what) {
  if (__builtin_expect(mutator->busy != NULL, 0)) tri_report_interrupted(mutator, what);
}
/// Around what a signal handler must find nothing of. The volatile stores stay where they are.
static inline void tri_mutator_set_busy(tri_mutator_full *mutator, const char *busy) {
  *(const char *volatile *)&mutator->busy = busy;
}

/// Derives the mutator's barrier from the phase, this cycle's policy and the colour of its stack: the one place that
/// does (S5). The owner, or the collector while it is stopped.
void tri_mutator_set_barrier(tri_mutator_full *mutator, bool marking, bool stack_grey);
/// From now until marking is over, what this mutator allocates is black; so are the slots that wait in its windows.
/// Only once every mutator's barrier is on: an unbarriered store into a black object would hide what it stores. The
/// owner, or the collector while it is stopped.
void tri_mutator_blacken(tri_mutator_full *mutator);

enum {
  TRI_MUTATOR_WINDOW_COUNT = 2 * (TRI_SPAN_CLASS_MAX + 2),
  // Behind the windows, in the same mapping (magazine.h).
  TRI_MUTATOR_MAGAZINES_OFFSET = TRI_MUTATOR_WINDOWS_OFFSET + TRI_MUTATOR_WINDOW_COUNT * (int)sizeof(struct tri_window),
};

static inline tri_free_place *tri_mutator_free_place(tri_mutator_full *mutator, uint32_t class_id) {
  return &mutator->freed_places[class_id % TRI_FREE_PLACES];
}

/// Makes up for the ends of marking that it stood still for: barrier off, what it allocates white, the map of the old
/// objects the one of now. The owner under the world lock, or the collector while it is stopped.
void tri_mutator_follow(tri_mutator_full *mutator);
/// Whether a stop has nothing to see to here: nothing recorded, nothing loaded, nothing uncounted, the stack black.
/// While the owner is stopped.
bool tri_mutator_is_settled(const tri_mutator_full *mutator);

/// Maps and initialises a mutator for the calling thread, or takes one that was retired; NULL when memory is refused.
tri_mutator_full *tri_mutator_make(struct tri_world *world, bool precise);
/// A mutator's mapping stays with its heap: a free on another thread may be looking at its windows. Holds the world's
/// lock.
void tri_mutator_retire_locked(tri_mutator_full *mutator);
void tri_mutator_unmap(tri_mutator_full *mutator);

/// Hands over every loaded window. While the owner is stopped, or by the owner.
void tri_mutator_each_window(const tri_mutator_full *mutator,
                             void (*each)(void *context, const struct tri_window *window), void *context);
/// What waits in them: counted as allocated, and free. By the owner.
uint64_t tri_mutator_waiting_bytes(const tri_mutator_full *mutator);
/// What waits in windows goes back to its spans, neither allocated nor marked, for the sweep to find. Any allocation
/// then reaches the slow path. By the owner, or with the world `stopped` and nobody marking.
void tri_mutator_drop_windows(tri_mutator_full *mutator, bool stopped);
/// The same before the stop that would do it, where markers do not mind: a stop then does not grow with the number of
/// threads. By the owner on its way there, or by the collector while it is held.
void tri_mutator_lay_down(tri_mutator_full *mutator);
/// Moves what the mutator counted by itself to the heap's counters. Owner.
void tri_mutator_account(tri_mutator_full *mutator);
/// Leaves the slots of all windows to their classes' next refill.
void tri_mutator_orphan_windows(tri_mutator_full *mutator);
/// Marks the slots of a window, or of an orphan.
void tri_window_mark(void *collect, const struct tri_window *window);
/// Takes the waiting slots of a window, or of an orphan, out of A and M; how many bytes that is. By the owner, or with
/// the world `stopped` and nobody marking.
uint64_t tri_window_give_back(tri_collect *collect, const struct tri_window *window, bool stopped);

#endif
