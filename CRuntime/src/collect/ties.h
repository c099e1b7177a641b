// Ties: what hangs on objects without keeping them alive: weak references, keys of ephemerons, cleanups.
//
// A tie is a record of 16 bytes in a table of the heap. Those of 16 neighbouring slots of a span are a list; a span
// with ties says so in its duties, so that others cost nothing.
//
//   unused -> tied                 [tri_tie_add]
//   tied -> unused                 [the holder let go; or the object ended]
//   tied -> cancelled -> unused    [the holder let go, and the record is far down its list: whoever walks that takes it
//                                   out, at the latest when half of the span's records are cancelled]
//   tied -> pending -> unused      [a cleanup whose object ended; tri_ties_take_pending]
//
// An object ends when the sweep of its span finds it dead, or in tri_free(), or when its heap is closed. Then its weak
// references and ephemerons are cleared and its cleanups wait to be run.
//
// Invariants  a tied object is allocated. Ties end before the object's destroy callback runs and before its slot or
//             pages are used again: a span is listed, or retired, after tri_ties_sweep().
//             In a list weak references come first; there is one for each slot at most. So what is added, removed or
//             looked for is among the first, or cancelled without a look: no operation grows with the ties of its
//             object. A cell's object is cleared under the lock only, so under it a cell that is not cleared names an
//             object whose span tells whether it is alive (tri_tie_target).
// Callers     adding and removing: any thread; ending: the sweeper, tri_free(), the heap.
// Not here    how ephemerons keep values alive (ephemerons.h), who runs cleanups (heap/cleanups.c).
#ifndef TRI_COLLECT_TIES_H
#define TRI_COLLECT_TIES_H

#include "span/object.h"
#include "tricolor_api.h"

struct tri_collect;

typedef enum tri_tie_kind {
  TRI_TIE_NONE,      // unused, pending, or in a list: a cleanup that was cancelled
  TRI_TIE_WEAK,      // payload: the tri_weak
  TRI_TIE_EPHEMERON, // payload: the tri_ephemeron; cancelled if that says that it is unused
  TRI_TIE_CLEANUP,   // payload: the context; where function is 0, the tri_tie_call
} tri_tie_kind;

enum {
  TRI_TIE_BUCKET_LOG2 = 4, // slots of a list: larger makes freeing slower, smaller takes more memory for heads
  TRI_TIE_BUCKET_SLOTS = 1 << TRI_TIE_BUCKET_LOG2,
  TRI_TIE_CHUNK_LOG2 = 11, // records that are made at once: 32 KiB
  TRI_TIE_CHUNK_RECORDS = 1 << TRI_TIE_CHUNK_LOG2,
  TRI_TIE_RECORDS_MAX = (1 << 28) - TRI_TIE_CHUNK_RECORDS,
  TRI_TIE_FUNCTIONS = 63,  // beyond them a cleanup has its function beside it
  TRI_TIE_SPANS_LOG2 = 10, // spans of a page of the table of spans
  TRI_TIE_NEAR = 32,       // records that are looked through for one to be removed: smaller leaves more cancelled ones
  TRI_TIE_CANCELLED_MIN = 64,  // of a span, before they are looked for
  TRI_TIE_SWEPT_AT_ONCE = 256, // records a sweep looks at under one lock
  TRI_TIE_NEXT_MASK = (1 << 28) - 1,
  TRI_TIE_SERIAL_MASK = (1 << 24) - 1,
};

/// Word `index` of the table; 0 is nobody. [lock:ties]
typedef struct tri_tie {
  uint32_t next : 28; // of the same list, or of the pending or unused ones
  uint32_t slot : 4;  // of its bucket
  uint32_t kind : 2;
  uint32_t function : 6; // cleanups: of the heap's table, from 1
  uint32_t serial : 24;  // goes up whenever the record is used again: a stale tri_cleanup is known by it
  uint64_t payload;
} tri_tie;
_Static_assert(sizeof(tri_tie) == 16, "a tie is 16 bytes");

/// A weak reference. All weak references to one object are one cell.
struct tri_weak {
  uintptr_t object; // [lock:ties; atomic read] 0: the object ended. In an unused cell the next of these
  uint64_t count;   // [lock:ties] how often it was made and not freed
};

/// An ephemeron. [lock:ties; atomic read]
struct tri_ephemeron {
  uintptr_t key;   // 0: it ended; TRI_EPHEMERON_UNUSED
  uintptr_t value; // of an unused one the next of these
};
#define TRI_EPHEMERON_UNUSED ((uintptr_t)1)

/// A cleanup as it is to be run.
typedef struct tri_tie_call {
  tri_cleanup_function *function;
  void *context;
} tri_tie_call;

enum { TRI_EPHEMERON_BLOCK_CELLS = 255 };
typedef struct tri_ephemeron_block {
  struct tri_ephemeron_block *next;
  uint64_t padding;
  struct tri_ephemeron cells[TRI_EPHEMERON_BLOCK_CELLS];
} tri_ephemeron_block;
_Static_assert(sizeof(tri_ephemeron_block) == 4096, "a block is one page");

typedef struct tri_span_ties {
  uint32_t *heads;    // by bucket; NULL: none
  uint32_t count;     // of records in its lists
  uint32_t cancelled; // of those
} tri_span_ties;

typedef struct tri_ties {
  tri_lock lock;
  tri_tie **chunks; // [lock] and all below
  uint32_t chunk_count, chunk_capacity;
  uint32_t unused;        // records, linked by next
  uint32_t tied;          // records that hang on objects
  uint32_t cleanups;      // of those
  uint32_t pending_first; // cleanups to be run, in the order in which their objects ended
  uint32_t pending_last;
  uint64_t pending;      // [lock; atomic read]
  tri_span_ties **spans; // by span index; pages of it are made when needed
  tri_span_ties forever; // of the empty object, which never ends
  uint32_t forever_head;
  tri_cleanup_function *functions[TRI_TIE_FUNCTIONS + 1];
  uint32_t function_count;
  struct tri_weak *unused_weak;
  struct tri_ephemeron *unused_ephemerons;
  tri_ephemeron_block *ephemeron_blocks;
  uint64_t ephemerons;      // [lock; atomic read] that have a key
  uint64_t marks_looked_at; // [cycle lock] marked_objects when a cycle last looked at all ephemerons
  uint32_t unserved;        // [atomic] cleanups wait, and nobody could be had to run them
  // Called without locks when cleanups came to wait where none did, or while they are unserved. [const]
  void (*cleanups_pending)(struct tri_collect *collect);
} tri_ties;

void tri_ties_init(tri_ties *ties);
void tri_ties_destroy(tri_ties *ties);

/// Ties something to an object. 0, and nothing changed, when memory is refused. Holds the lock.
uint32_t tri_tie_add_locked(struct tri_collect *collect, const tri_object_place *place, tri_tie_kind kind,
                            uint32_t function, uint64_t payload);
/// The object's weak cell, or NULL. Holds the lock.
struct tri_weak *tri_tie_weak_of_locked(struct tri_collect *collect, const tri_object_place *place);
/// Unties the object's weak cell; false if it is not there. Holds the lock.
bool tri_tie_remove_weak_locked(struct tri_collect *collect, uintptr_t object, const struct tri_weak *cell);
/// Unties a cell from its key and recycles it; false, and nothing changed, if it is seen not to be there. Holds the
/// lock.
bool tri_tie_remove_ephemeron_locked(struct tri_collect *collect, struct tri_ephemeron *cell);
/// The tie of a cleanup that was added to this object as this record with this serial and neither ended nor was
/// cancelled; or NULL. Holds the lock.
const tri_tie *tri_tie_cleanup_locked(struct tri_collect *collect, uintptr_t object, uint32_t record, uint32_t serial);
/// Unties it. Holds the lock.
void tri_tie_remove_cleanup_locked(struct tri_collect *collect, uintptr_t object, uint32_t record);
tri_tie *tri_tie_at(const tri_ties *ties, uint32_t record);

/// Cells; NULL when memory is refused. Hold the lock.
struct tri_weak *tri_weak_take_unused_locked(struct tri_collect *collect);
void tri_weak_recycle_locked(tri_ties *ties, struct tri_weak *cell);
struct tri_ephemeron *tri_ephemeron_take_unused_locked(struct tri_collect *collect);
void tri_ephemeron_recycle_locked(tri_ties *ties, struct tri_ephemeron *cell);
/// The number of a cleanup's function and what its record carries; false when memory is refused. Holds the lock.
bool tri_tie_pack_call_locked(struct tri_collect *collect, const tri_tie_call *call, uint32_t *out_function,
                              uint64_t *out_payload);
/// What it packed; to be unpacked once. Holds the lock.
tri_tie_call tri_tie_unpack_call_locked(struct tri_collect *collect, uint32_t function, uint64_t payload);

/// What a cell's word refers to, or 0 if that has ended: between the stop of mark termination and the sweep of its span
/// an object without a mark has ended although its cell does not say so yet. The caller is a running mutator: no stop
/// comes in between.
uintptr_t tri_tie_target(struct tri_collect *collect, const uintptr_t *place);

/// The same for whoever holds the lock.
uintptr_t tri_tie_target_locked(const struct tri_collect *collect, const uintptr_t *place);

/// Phase off, by the sweeper of the span: ends the ties of what is dead.
void tri_ties_sweep(struct tri_collect *collect, tri_span *span);
/// Explicit free: ends the ties of one object.
void tri_ties_end_object(struct tri_collect *collect, const tri_object_place *place);
/// The heap is being closed: ends all. False if there were none.
bool tri_ties_end_all(struct tri_collect *collect);

/// Takes up to `max` cleanups that wait.
uint32_t tri_ties_take_pending(struct tri_collect *collect, tri_tie_call *out_calls, uint32_t max);

/// The values of the ephemerons whose key this object is. Takes the lock, and calls under it.
void tri_ties_each_value(struct tri_collect *collect, uintptr_t object, void (*each)(void *context, uintptr_t value),
                         void *context);
/// The header's invariants, as code; traps.
void tri_ties_check(struct tri_collect *collect);
/// Makes the count of a span with ties wrong.
void tri_ties_break_count_testing(struct tri_collect *collect, const tri_span *span);

static inline bool tri_span_has_ties(const tri_span *span) {
  return (tri_load_acquire(&span->duties) & TRI_SPAN_HAS_TIES) != 0;
}

#endif
