// Grey queue: the objects known to be reachable and not yet scanned, where threads share them.
//
// A white object has its M bit clear. A grey one has it set and an item here, in a marker's stack or in the
// batch it works on. A black one has it set and no item. Items are byte offsets from the heap's start, as objects
// are 16-byte aligned; TRI_GREY_SLICE in the low bits means "go on scanning inside a long object from here", with
// TRI_GREY_PART "but not into the next part of it", which is an item of its own.
//
// Invariants  `workers` counts threads that may hold items not visible here; marking is complete when there
//             is no chunk and no worker. Chunks are filled by one thread and drained by one thread.
// Callers     markers, barrier flushes, root scans. Not here: scanning (mark.h).
#ifndef TRI_COLLECT_GREY_QUEUE_H
#define TRI_COLLECT_GREY_QUEUE_H

#include "span/object.h"

typedef uint64_t tri_grey_item;
enum {
  TRI_GREY_SLICE = 1,
  TRI_GREY_PART = 2,
  TRI_GREY_TAGS = 15,
  // 4 KiB chunks: larger amortises the lock, smaller shares sooner.
  TRI_GREY_CHUNK_ITEMS = 509,
  // The first of a heap come one by one and stay; what a wide graph needs beyond them, tens of megabytes where an array
  // refers to millions of objects, comes in slabs of 256 KiB, which go back.
  TRI_GREY_SLAB_CHUNKS = 64,
};

typedef struct tri_grey_chunk {
  struct tri_grey_chunk *next;
  struct tri_grey_slab *slab; // [const] it is part of; NULL for one of the first
  uint64_t count;
  tri_grey_item items[TRI_GREY_CHUNK_ITEMS];
} tri_grey_chunk;
_Static_assert(sizeof(tri_grey_chunk) == 4096, "a chunk is one page");

typedef struct tri_grey_slab {
  struct tri_grey_slab *next; // of those that go back
  uint32_t unused;            // [lock:scavenge] of its chunks, while they are counted; 0 otherwise
  tri_grey_chunk chunks[TRI_GREY_SLAB_CHUNKS];
} tri_grey_slab;

typedef struct tri_grey_queue {
  tri_lock lock;
  pthread_cond_t changed; // chunks came, or the last worker left
  tri_meta *meta;         // [const]
  tri_grey_chunk *chunks; // [lock]
  tri_grey_chunk *unused; // [lock]
  uint32_t unused_count;  // [lock; atomic read]
  uint32_t single_chunks; // [lock] made one by one
  tri_grey_slab *slab;    // [lock] the one whose chunks are being handed out for the first time
  uint32_t slab_next;     // [lock] its next one
  union {
    struct {
      uint32_t chunk_count; // [lock; atomic read] waiting chunks
      uint32_t workers;     // [lock; atomic read]
    };
    uint64_t busy; // [atomic read] both
  };
  uint32_t overflowed; // [atomic] items were dropped: something marked was not scanned
  uint32_t hungry;     // [lock; atomic read] workers waiting for a chunk: the others donate
  // [atomic] 1: in this cycle a thread that cannot wait found nothing while a worker held what there is. From then on
  // workers leave a chunk here: one that gets no processor holds on to what it has.
  uint32_t asked;
} tri_grey_queue;

void tri_grey_init(tri_grey_queue *queue, tri_meta *meta);
void tri_grey_destroy(tri_grey_queue *queue);
/// An empty chunk to fill, or NULL when memory is refused. The caller then drops the items it has no room for, which
/// stay marked: the stop of mark termination finds them again (tri_mark_recover).
tri_grey_chunk *tri_grey_chunk_take_empty(tri_grey_queue *queue);
/// Shares a filled chunk (an empty one is kept for reuse).
void tri_grey_share(tri_grey_queue *queue, tri_grey_chunk *chunk);
/// Adds an item to the chunk that the caller fills, sharing it when it is full.
void tri_grey_push(tri_grey_queue *queue, tri_grey_chunk **chunk, tri_grey_item item);
void tri_grey_chunk_recycle(tri_grey_queue *queue, tri_grey_chunk *chunk);

/// Gives slabs none of whose chunks is in use back to the system; bytes given back. Holds the scavenge lock, so that
/// one thread counts at a time. Costs a cache miss for every unused chunk.
uint64_t tri_grey_release_unused(tri_grey_queue *queue);
/// Whether that is worth it.
static inline bool tri_grey_has_much_unused(const tri_grey_queue *queue) {
  return tri_load_relaxed(&queue->unused_count) >= 4 * TRI_GREY_SLAB_CHUNKS;
}

void tri_grey_worker_begin(tri_grey_queue *queue);
void tri_grey_worker_end(tri_grey_queue *queue);
/// A chunk of work for a worker, or NULL. With `wait` it returns NULL only when no chunk and no other
/// worker is left; the caller stays a worker.
tri_grey_chunk *tri_grey_take(tri_grey_queue *queue, bool wait);
static inline bool tri_grey_wanted(const tri_grey_queue *queue) {
  return tri_load_relaxed(&queue->hungry) + tri_load_relaxed(&queue->asked) > tri_load_relaxed(&queue->chunk_count);
}
/// Until the mark is over, workers leave something for those who cannot wait.
static inline void tri_grey_ask(tri_grey_queue *queue) {
  tri_store_relaxed(&queue->asked, 1u);
}
static inline void tri_grey_ask_no_more(tri_grey_queue *queue) {
  tri_store_relaxed(&queue->asked, 0u);
}
/// In a forked child, or when a mark is given up: nothing is grey, and nobody works.
void tri_grey_renew(tri_grey_queue *queue);
/// No chunk and no worker. One load of both: a worker that shares its last chunk and ends is seen in one or the other.
static inline bool tri_grey_is_empty(const tri_grey_queue *queue) {
  return tri_load_acquire(&queue->busy) == 0;
}
static inline bool tri_grey_has_overflowed(const tri_grey_queue *queue) {
  return tri_load_relaxed(&queue->overflowed) != 0;
}

#endif
