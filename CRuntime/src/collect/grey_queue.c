#include "collect/grey_queue.h"

#include <string.h>

void tri_grey_init(tri_grey_queue *queue, tri_meta *meta) {
  memset(queue, 0, sizeof *queue);
  queue->meta = meta;
  tri_lock_init(&queue->lock, TRI_RANK_GREY);
  tri_condition_init(&queue->changed);
}

void tri_grey_destroy(tri_grey_queue *queue) {
  pthread_cond_destroy(&queue->changed);
  tri_lock_destroy(&queue->lock);
}

static tri_grey_chunk *tri_grey_pop_unused_locked(tri_grey_queue *queue) {
  tri_grey_chunk *chunk = queue->unused;
  if (!chunk) return NULL;
  queue->unused = chunk->next;
  tri_store_relaxed(&queue->unused_count, queue->unused_count - 1);
  return chunk;
}

static void tri_grey_push_unused_locked(tri_grey_queue *queue, tri_grey_chunk *chunk) {
  chunk->next = queue->unused;
  queue->unused = chunk;
  tri_store_relaxed(&queue->unused_count, queue->unused_count + 1);
}

static tri_grey_chunk *tri_grey_carve_locked(tri_grey_queue *queue) {
  if (!queue->slab || queue->slab_next == TRI_GREY_SLAB_CHUNKS) {
    queue->slab = tri_meta_allocate(queue->meta, sizeof *queue->slab);
    queue->slab_next = 0;
  }
  if (!queue->slab) return NULL;
  tri_grey_chunk *chunk = &queue->slab->chunks[queue->slab_next++];
  chunk->slab = queue->slab;
  return chunk;
}

static tri_grey_chunk *tri_grey_make_chunk_locked(tri_grey_queue *queue) {
  if (queue->single_chunks == TRI_GREY_SLAB_CHUNKS) return tri_grey_carve_locked(queue);
  tri_grey_chunk *chunk = tri_meta_allocate(queue->meta, sizeof *chunk);
  if (chunk) queue->single_chunks++;
  return chunk;
}

tri_grey_chunk *tri_grey_chunk_take_empty(tri_grey_queue *queue) {
  tri_lock_acquire(&queue->lock);
  tri_grey_chunk *chunk = tri_grey_pop_unused_locked(queue);
  if (!chunk) chunk = tri_grey_make_chunk_locked(queue);
  tri_lock_release(&queue->lock);
  if (!chunk) {
    tri_store_relaxed(&queue->overflowed, 1u);
    return NULL;
  }
  chunk->next = NULL;
  chunk->count = 0;
  return chunk;
}

void tri_grey_chunk_recycle(tri_grey_queue *queue, tri_grey_chunk *chunk) {
  tri_lock_acquire(&queue->lock);
  tri_grey_push_unused_locked(queue, chunk);
  tri_lock_release(&queue->lock);
}

// ---- Giving back ----

static tri_grey_chunk *tri_grey_take_unused(tri_grey_queue *queue) {
  tri_lock_acquire(&queue->lock);
  tri_grey_chunk *chunks = queue->unused;
  queue->unused = NULL;
  tri_store_relaxed(&queue->unused_count, 0u);
  // Its last chunks were never handed out, so it is not all unused; unless the next one begins a new slab anyway.
  if (queue->slab_next == TRI_GREY_SLAB_CHUNKS) queue->slab = NULL;
  tri_lock_release(&queue->lock);
  return chunks;
}

// Puts back what is in use in part; the slabs that are not, as a list.
static tri_grey_slab *tri_grey_sort_out(tri_grey_queue *queue, tri_grey_chunk *chunks) {
  tri_grey_slab *idle = NULL;
  for (tri_grey_chunk *chunk = chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    tri_grey_slab *slab = chunk->slab;
    if (slab && slab->unused == TRI_GREY_SLAB_CHUNKS) {
      if (chunk != slab->chunks) continue; // once per slab
      slab->next = idle;
      idle = slab;
    } else {
      tri_grey_chunk_recycle(queue, chunk);
    }
  }
  return idle;
}

uint64_t tri_grey_release_unused(tri_grey_queue *queue) {
  tri_grey_chunk *chunks = tri_grey_take_unused(queue), *chunk;
  for (chunk = chunks; chunk; chunk = chunk->next)
    if (chunk->slab) chunk->slab->unused++;
  // Whoever counts next begins at 0. A slab that is whole keeps its count: it is not looked at again.
  for (chunk = chunks; chunk; chunk = chunk->next)
    if (chunk->slab && chunk->slab->unused < TRI_GREY_SLAB_CHUNKS) chunk->slab->unused = 0;
  uint64_t bytes = 0;
  for (tri_grey_slab *slab = tri_grey_sort_out(queue, chunks), *next; slab; slab = next) {
    next = slab->next;
    bytes += sizeof *slab;
    tri_meta_free(queue->meta, slab, sizeof *slab);
  }
  return bytes;
}

void tri_grey_share(tri_grey_queue *queue, tri_grey_chunk *chunk) {
  if (chunk->count == 0) {
    tri_grey_chunk_recycle(queue, chunk);
    return;
  }
  tri_lock_acquire(&queue->lock);
  chunk->next = queue->chunks;
  queue->chunks = chunk;
  tri_store_release(&queue->chunk_count, queue->chunk_count + 1);
  pthread_cond_broadcast(&queue->changed);
  tri_lock_release(&queue->lock);
}

void tri_grey_push(tri_grey_queue *queue, tri_grey_chunk **chunk, tri_grey_item item) {
  if (*chunk && (*chunk)->count == TRI_GREY_CHUNK_ITEMS) {
    tri_grey_share(queue, *chunk);
    *chunk = NULL;
  }
  if (!*chunk) *chunk = tri_grey_chunk_take_empty(queue);
  if (!*chunk) return;
  (*chunk)->items[(*chunk)->count++] = item;
}

void tri_grey_worker_begin(tri_grey_queue *queue) {
  tri_lock_acquire(&queue->lock);
  tri_store_release(&queue->workers, queue->workers + 1);
  tri_lock_release(&queue->lock);
}

void tri_grey_worker_end(tri_grey_queue *queue) {
  tri_lock_acquire(&queue->lock);
  TRI_CHECK(queue->workers > 0, "a marking worker ended that never began");
  tri_store_release(&queue->workers, queue->workers - 1);
  pthread_cond_broadcast(&queue->changed);
  tri_lock_release(&queue->lock);
}

tri_grey_chunk *tri_grey_take(tri_grey_queue *queue, bool wait) {
  tri_lock_acquire(&queue->lock);
  if (wait && !queue->chunks) {
    // Not a worker while waiting: the last one to run dry ends the wait of all.
    tri_store_release(&queue->workers, queue->workers - 1);
    if (queue->workers == 0) pthread_cond_broadcast(&queue->changed);
    tri_store_relaxed(&queue->hungry, queue->hungry + 1);
    while (!queue->chunks && queue->workers > 0) tri_lock_wait(&queue->lock, &queue->changed, 0);
    tri_store_relaxed(&queue->hungry, queue->hungry - 1);
    tri_store_release(&queue->workers, queue->workers + 1);
  }
  tri_grey_chunk *chunk = queue->chunks;
  if (chunk) {
    queue->chunks = chunk->next;
    tri_store_release(&queue->chunk_count, queue->chunk_count - 1);
  }
  tri_lock_release(&queue->lock);
  return chunk;
}

void tri_grey_renew(tri_grey_queue *queue) {
  tri_condition_init(&queue->changed);
  tri_lock_acquire(&queue->lock);
  for (tri_grey_chunk *chunk = queue->chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    tri_grey_push_unused_locked(queue, chunk);
  }
  queue->chunks = NULL;
  tri_store_relaxed(&queue->workers, 0u);
  tri_store_relaxed(&queue->chunk_count, 0u);
  tri_store_relaxed(&queue->overflowed, 0u);
  tri_store_relaxed(&queue->hungry, 0u);
  tri_grey_ask_no_more(queue);
  tri_lock_release(&queue->lock);
}
