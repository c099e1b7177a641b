// Marking: grey to black.
//
// A marker works in batches of 16, in a pipeline: it tests and sets the mark words that the references in batch N - 1
// lead to, which were prefetched when those were read; then it scans batch N, which arrived meanwhile, reading
// references, and prefetches the objects of batch N + 1. With fewer than four items there is nothing to overlap, and it
// goes object by object. Measured in research/prototype.md, E2: either stage alone gives half of what both do.
//
// References are collected in one of two ways. *Near*: those that follow each other and lead into one mark word (a tree
// in allocation order, an array filled in a loop) are one run: they share the prefetch, the instruction that sets them
// and the look at the layout. *Far*: each is an edge of its own, in half the instructions; a lone marker visits them
// without a branch, as nobody can predict whether the end of one was marked. Arrays are always read the near way; for
// other objects each batch votes. Among neighbours a lone marker needs no batches either, as the processor fetches them
// ahead: it goes object by object, like a plain loop with a stack.
//
// Garbage that is scanned, as a stale word keeps it or as it is old, may refer to what was freed explicitly since:
// where that is possible (tri_collect_doubts) references are taken for words of which A has to confirm that they lead
// to an object. A bit of M where nothing is would say, two cycles later, that an object there is marked.
//
// Invariants  an object is pushed exactly once: by whoever set its M bit. Everything beyond mark_limit_bytes
//             was allocated in this cycle and is black. A marker outside a call holds no items.
// Callers     the collector, helpers, assisting mutators; one marker per thread, inside worker_begin/end.
// Its parts   marking/: what the loops read (view), the stack, references to marks (edges), objects to references
//             (scan), and the loops (batches, one_by_one); mark.c chooses one.
// Not here    shading from outside a marker (shade.h), where roots are (mutator/roots.h), when marking is complete
// (heap/cycle.h).
#ifndef TRI_COLLECT_MARK_H
#define TRI_COLLECT_MARK_H

#include "collect/shade.h"

enum {
  TRI_MARK_BATCH = 16,       // 8 to 32 measured equal but for trees, which 16 suits best
  TRI_MARK_SLICE_WORDS = 64, // longer objects are scanned in slices of this
  // What hungry workers get of a long object: some 30 us of work each. Smaller shares sooner, larger costs fewer items.
  TRI_MARK_PART_WORDS = 4096,
  TRI_MARK_PART_CHUNKS = 64, // at most, so that the parts of one object do not fill memory
  TRI_MARK_EDGES = TRI_MARK_BATCH * TRI_MARK_SLICE_WORDS,
  TRI_MARK_STACK_ITEMS = 16384, // 128 KiB; what is above goes to shared chunks
  TRI_MARK_DONATE_ITEMS = 64,   // from this depth on, work is given to hungry workers
  TRI_MARK_ENOUGH_ITEMS = 64,   // from this depth on, the rest of an array comes after its objects
  TRI_MARK_APART_BYTES = 128,   // processors fetch lines in pairs: nobody else's fields lie in a marker's
  TRI_MARK_VOTES = 4,           // batches that have to agree before references are collected in the other way
  TRI_MARK_SHALLOW_ITEMS = 4,   // below this depth there is no pipeline
  TRI_MARK_PLAIN_OBJECTS = 192, // a vote of those that are scanned one by one, and what is scanned at a time
  TRI_MARK_PLAIN_STREAK = 8 * TRI_MARK_PLAIN_OBJECTS, // what is scanned without a vote, at most
};

/// What references that follow each other lead to: bits of a word of M.
typedef struct tri_mark_run {
  uint64_t word, bits;
} tri_mark_run;

typedef struct tri_marker {
  _Alignas(TRI_MARK_APART_BYTES) tri_collect *collect;
  tri_grey_item *stack; // TRI_MARK_STACK_ITEMS
  uint64_t *edges;      // TRI_MARK_EDGES: where references lead to, as offsets
  tri_mark_run *runs;   // TRI_MARK_EDGES, from 1: the same where they are neighbours
  uint32_t depth;
  uint32_t edge_count, run_count;
  bool near;                                // references are collected as runs
  uint32_t votes_to_change;                 // batches in a row for which the other way would be better
  uint32_t plain_streak, plain_until_vote;  // objects between the last vote and the next, and what is left of them
  uint32_t plain_objects, plain_neighbours; // of the vote that is under way
  uint32_t slice_count;
  tri_grey_item slices[TRI_MARK_BATCH]; // what is left of the long objects among those just scanned
  uint64_t marked_objects;
} tri_marker;

/// false when memory is refused.
bool tri_marker_init(tri_marker *marker, tri_collect *collect);
void tri_marker_destroy(tri_marker *marker);

/// Scans until the marker and the shared queue are empty, or about `budget_objects` are scanned; what is left
/// then is shared. With `wait` it also waits for the other workers' work. Returns the objects scanned.
/// The caller has called tri_grey_worker_begin().
uint64_t tri_marker_run(tri_marker *marker, uint64_t budget_objects, bool wait);

/// After each portion of about so many objects the marker asks whether it goes on.
typedef struct tri_mark_pace {
  uint64_t portion_objects;
  bool (*goes_on)(struct tri_mark_pace *pace, uint64_t scanned_objects); // in this portion
} tri_mark_pace;
/// The same, in portions. A portion ends after the batch that fills it: at most TRI_MARK_BATCH objects more, but for a
/// list, which goes on for 256.
uint64_t tri_marker_run_paced(tri_marker *marker, uint64_t budget_objects, bool wait, tri_mark_pace *pace);

/// The same for the one worker of a world that is stopped: it marks without locked instructions. Checked: the phase is
/// markTermination and no other worker has begun. Whoever wakes helpers does it between two runs.
uint64_t tri_marker_run_alone(tri_marker *marker, uint64_t budget_objects);

/// World stopped, windows dropped, after memory for grey objects was refused: scans every marked object again, as often
/// as it takes. Linear in the heap for each round, but a mark that ends is worth a long pause. Each round marks at
/// least one more object, or is the last.
void tri_mark_recover(tri_marker *marker);

/// The words of an object of `bytes` bytes that its layout says hold references, or may. The slow, simple way:
/// for checkmark, verification and chains of ephemerons.
void tri_layout_each_reference(const struct tri_layout *layout, const void *object, uint64_t bytes, tri_each_word *each,
                               void *context);

#endif
