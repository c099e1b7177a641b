// Cleanups that are due are run here: by a thread of the heap's own, started when the first is due, or by whoever asks.
// Always without locks, so that one that blocks delays those behind it and nothing else.
#include "base/callback.h"
#include "heap/heap.h"
#include "mutator/thread_mutators.h"

enum {
  TRI_CLEANUPS_BATCH = 32, // taken at once: larger means fewer locks, smaller leaves fewer behind one that blocks
};

static size_t tri_cleanups_run_batch(tri_heap *heap, size_t max) {
  tri_tie_call calls[TRI_CLEANUPS_BATCH];
  uint32_t wanted = max < TRI_CLEANUPS_BATCH ? (uint32_t)max : TRI_CLEANUPS_BATCH;
  uint32_t count = tri_ties_take_pending(&heap->world.collect, calls, wanted);
  tri_callback_begin();
  for (uint32_t index = 0; index < count; index++) calls[index].function(calls[index].context);
  tri_callback_end();
  return count;
}

size_t tri_cleanups_run(tri_heap *heap, size_t max) {
  size_t total = 0, count;
  while (total < max && (count = tri_cleanups_run_batch(heap, max - total))) total += count;
  return total;
}

size_t tri_cleanups_due(tri_heap *heap) {
  return tri_load_relaxed(&heap->world.collect.ties.pending);
}

// ---- The thread ----

static void *tri_cleanup_main(void *context) {
  tri_heap *heap = context;
  tri_cleanup_thread *thread = &heap->cleanups;
  tri_lock_acquire(&thread->lock);
  thread->token = tri_thread_token();
  while (!thread->quit) {
    if (!thread->wanted) {
      tri_lock_wait(&thread->lock, &thread->wake, 0);
      continue;
    }
    thread->wanted = false;
    tri_lock_release(&thread->lock);
    while (!tri_load_relaxed(&thread->quit) && tri_cleanups_run_batch(heap, TRI_CLEANUPS_BATCH)) {
    }
    tri_lock_acquire(&thread->lock);
  }
  tri_lock_release(&thread->lock);
  return NULL;
}

// Refused: the next cleanup that is due asks again.
static void tri_cleanups_pending(tri_collect *collect) {
  tri_heap *heap = (tri_heap *)(void *)collect;
  tri_cleanup_thread *thread = &heap->cleanups;
  if (heap->options.manual_cleanups) return;
  tri_lock_acquire(&thread->lock);
  if (!thread->started && !thread->quit) thread->started = tri_thread_start(tri_cleanup_main, heap, &thread->thread);
  tri_store_relaxed(&collect->ties.unserved, thread->started ? 0u : 1u);
  thread->wanted = true;
  pthread_cond_broadcast(&thread->wake);
  tri_lock_release(&thread->lock);
}

void tri_cleanups_init(tri_heap *heap) {
  tri_lock_init(&heap->cleanups.lock, TRI_RANK_HELPERS);
  tri_condition_init(&heap->cleanups.wake);
  heap->world.collect.ties.cleanups_pending = tri_cleanups_pending;
}

// A cleanup that is running may be waiting for a stop of another heap, which this thread is attached to.
static void tri_cleanup_thread_join(void *context, uintptr_t stack_pointer) {
  tri_heap *heap = context;
  tri_thread_others_block(NULL, stack_pointer, NULL);
  tri_thread_join(&heap->cleanups.thread);
  tri_thread_others_unblock();
}

// What it has taken it runs first.
static void tri_cleanup_thread_stop(tri_heap *heap) {
  tri_cleanup_thread *thread = &heap->cleanups;
  tri_lock_acquire(&thread->lock);
  bool started = thread->started;
  TRI_CHECK(!started || thread->token != tri_thread_token(), "a heap is destroyed by one of its own cleanups");
  tri_store_relaxed(&thread->quit, true);
  pthread_cond_broadcast(&thread->wake);
  tri_lock_release(&thread->lock);
  if (started) tri_thread_with_stack(tri_cleanup_thread_join, heap);
  // A sweep on the collector thread may be asking for cleanups to be run.
  tri_lock_acquire(&thread->lock);
  thread->started = false;
  thread->token = 0;
  tri_lock_release(&thread->lock);
}

// Under the lock: a thread that is detaching is done with the heap when it lets go of it.
static bool tri_heap_is_attached(tri_heap *heap) {
  tri_lock_acquire(&heap->world.lock);
  bool attached = heap->world.mutator_count != 0;
  tri_lock_release(&heap->world.lock);
  return attached;
}

bool tri_cleanups_close(tri_heap *heap) {
  tri_cleanup_thread_stop(heap);
  if (!tri_heap_is_attached(heap)) return true;
  tri_lock_acquire(&heap->cleanups.lock);
  tri_store_relaxed(&heap->cleanups.quit, false);
  tri_lock_release(&heap->cleanups.lock);
  if (tri_cleanups_due(heap)) tri_cleanups_pending(&heap->world.collect);
  return false;
}

void tri_cleanups_run_all(tri_heap *heap) {
  tri_collect *collect = &heap->world.collect;
  do {
    tri_sweep_finish(collect);
    tri_cleanups_run(heap, SIZE_MAX);
  } while (tri_ties_end_all(collect) || tri_cleanups_due(heap));
  TRI_CHECK(!tri_heap_is_attached(heap), "a cleanup left its thread attached to the heap that is being destroyed");
}

void tri_cleanups_destroy(tri_heap *heap) {
  pthread_cond_destroy(&heap->cleanups.wake);
  tri_lock_destroy(&heap->cleanups.lock);
}
