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

tri_grey_chunk *tri_grey_chunk_take_empty(tri_grey_queue *queue) {
  tri_lock_acquire(&queue->lock);
  tri_grey_chunk *chunk = queue->unused;
  if (chunk) queue->unused = chunk->next;
  tri_lock_release(&queue->lock);
  if (!chunk) chunk = tri_meta_allocate(queue->meta, sizeof *chunk);
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
  chunk->next = queue->unused;
  queue->unused = chunk;
  tri_lock_release(&queue->lock);
}

void tri_grey_share(tri_grey_queue *queue, tri_grey_chunk *chunk) {
  if (chunk->count == 0) {
    tri_grey_chunk_recycle(queue, chunk);
    return;
  }
  tri_lock_acquire(&queue->lock);
  chunk->next = queue->chunks;
  queue->chunks = chunk;
  tri_store_relaxed(&queue->chunk_count, queue->chunk_count + 1);
  pthread_cond_broadcast(&queue->changed);
  tri_lock_release(&queue->lock);
}

void tri_grey_worker_begin(tri_grey_queue *queue) {
  tri_lock_acquire(&queue->lock);
  queue->workers++;
  tri_lock_release(&queue->lock);
}

void tri_grey_worker_end(tri_grey_queue *queue) {
  tri_lock_acquire(&queue->lock);
  TRI_CHECK(queue->workers > 0, "a marking worker ended that never began");
  queue->workers--;
  pthread_cond_broadcast(&queue->changed);
  tri_lock_release(&queue->lock);
}

tri_grey_chunk *tri_grey_take(tri_grey_queue *queue, bool wait) {
  tri_lock_acquire(&queue->lock);
  if (wait && !queue->chunks) {
    // Not a worker while waiting: the last one to run dry ends the wait of all.
    queue->workers--;
    if (queue->workers == 0) pthread_cond_broadcast(&queue->changed);
    tri_store_relaxed(&queue->hungry, queue->hungry + 1);
    while (!queue->chunks && queue->workers > 0) tri_lock_wait(&queue->lock, &queue->changed, 0);
    tri_store_relaxed(&queue->hungry, queue->hungry - 1);
    queue->workers++;
  }
  tri_grey_chunk *chunk = queue->chunks;
  if (chunk) {
    queue->chunks = chunk->next;
    tri_store_relaxed(&queue->chunk_count, queue->chunk_count - 1);
  }
  tri_lock_release(&queue->lock);
  return chunk;
}

void tri_grey_renew(tri_grey_queue *queue) {
  tri_condition_init(&queue->changed);
  tri_lock_acquire(&queue->lock);
  for (tri_grey_chunk *chunk = queue->chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    chunk->next = queue->unused;
    queue->unused = chunk;
  }
  queue->chunks = NULL;
  queue->workers = 0;
  tri_store_relaxed(&queue->chunk_count, 0u);
  tri_store_relaxed(&queue->overflowed, 0u);
  tri_store_relaxed(&queue->hungry, 0u);
  tri_lock_release(&queue->lock);
}

bool tri_grey_is_empty(tri_grey_queue *queue) {
  tri_lock_acquire(&queue->lock);
  bool empty = !queue->chunks && queue->workers == 0;
  tri_lock_release(&queue->lock);
  return empty;
}
