// Shadow: the model's own picture of the heap, in malloc memory, and who plays on it.
//
// The shadow graph holds, for every object, its id, its kind, its address (objects do not move) and its edges. Threads
// own disjoint graphs in one heap and hand whole graphs to each other; what they share without a lock is in the commons
// (commons.h).
//
// Invariants  incoming == edges, root slots and ephemeron values that lead here.
//             A shadow outlives its object: destroy callbacks and cleanups get at it until the heap is gone.
// Callers     the model's other files. Every function and type here belongs to one thread but model_shared.
// Not here    making objects (objects.h), comparing heap and shadow (compare.h), a thread's program (model.c).
#ifndef TRICOLOR_MODEL_SHADOW_H
#define TRICOLOR_MODEL_SHADOW_H

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE // pthread_barrier_t
#endif
#include <pthread.h>

#include "commons.h"
#include "model.h"
#include "random.h"
#include "tricolor.h"

typedef enum model_kind {
  MODEL_PAIR,        // 16 bytes: id, one reference
  MODEL_NODE,        // 48 bytes: id, three references at odd places
  MODEL_WIDE,        // 512 bytes, references in the first and the last word
  MODEL_ARRAY,       // references only; element 0 is a leaf that carries the id
  MODEL_RECORDS,     // prefix of two words, then records of three words with one reference each
  MODEL_CUSTOM,      // traced by a function
  MODEL_WORDS,       // conservative
  MODEL_OWNER,       // leaf with a destroy callback
  MODEL_OWNING_NODE, // references and a destroy callback
  MODEL_LEAF,        // any size, uninitialised
  MODEL_KINDS,
} model_kind;

typedef struct model_shadow {
  uint64_t id;
  model_kind kind;
  void *object;
  size_t bytes;
  uint32_t edge_count;
  struct model_shadow **edges;
  struct model_shadow *next; // all of this thread's
  uint32_t incoming;         // edges and root slots that lead here
  uint32_t seen;             // verification round
  uint32_t destroyed;
  bool freed;
  bool pruned;           // its edges are forgotten: nothing reaches it, or will
  bool tied;             // something hangs on it: it stays with its thread
  uint32_t cleanups;     // added and not cancelled
  uint32_t cleanups_run; // atomic
} model_shadow;

enum { MODEL_ROOTS = 128, MODEL_MAILBOXES = 8, MODEL_TIES = 48 };

// A weak reference; the shadow outlives the object.
typedef struct model_weak {
  tri_weak *weak; // NULL: none
  model_shadow *shadow;
} model_weak;

typedef struct model_ephemeron {
  tri_ephemeron *ephemeron; // NULL: none
  model_shadow *key, *value;
} model_ephemeron;

typedef struct model_cleanup {
  tri_cleanup cleanup;
  model_shadow *shadow; // NULL: none, or it is not remembered
} model_cleanup;

typedef struct model_shared {
  model_options options;
  tri_heap *heap;
  tri_layout *layouts[MODEL_KINDS];
  tri_type pair, node, wide, owning_node;
  pthread_barrier_t tables_made;
  pthread_mutex_t mail_lock;
  void *mail_words[MODEL_MAILBOXES]; // a barriered root range
  model_shadow *mail[MODEL_MAILBOXES];
  commons commons;
  pthread_mutex_t result_lock;
  model_result result;
} model_shared;

typedef struct model_thread {
  model_shared *shared;
  uint64_t random;
  tri_mutator *mutator;
  tri_handle *table_handle;
  void **table; // a reference array of the heap
  model_shadow *roots[MODEL_ROOTS];
  model_shadow *all;
  model_weak weak[MODEL_TIES];
  model_ephemeron ephemerons[MODEL_TIES];
  model_cleanup cleanups[MODEL_TIES];
  uint64_t next_id;
  uint32_t round;
  model_result result;
} model_thread;

/// Says what differs and at which object, if any, with the seed; aborts.
_Noreturn void model_fail(const model_thread *thread, const char *what, const model_shadow *shadow);

static inline uint32_t model_below(model_thread *thread, uint32_t limit) {
  return random_below(&thread->random, limit);
}

/// Where a reference of the object is in memory, by its kind.
void **model_slot(const model_shadow *shadow, uint32_t edge);
uint64_t *model_id_place(const model_shadow *shadow);
/// Of the shadow graph only.
void model_set_edge(model_shadow **place, model_shadow *value);
/// In both.
void model_set_root(model_thread *thread, uint32_t slot, model_shadow *value);
/// A reachable object, or NULL: a walk of a few random steps from a random root.
model_shadow *model_pick(model_thread *thread);

#endif
