#include "mutator/roots.h"

#include <string.h>

#include "base/callback.h"
#include "mutator/stopping.h"
#include "mutator/store.h"
#include "mutator/thread_mutators.h"
#include "mutator/world.h"

void tri_roots_init(tri_roots *roots, tri_meta *meta) {
  memset(roots, 0, sizeof *roots);
  roots->meta = meta;
  tri_lock_init(&roots->lock, TRI_RANK_ROOTS);
}

// The tables themselves go with the heap's metadata.
void tri_roots_destroy(tri_roots *roots) {
  tri_lock_destroy(&roots->lock);
}

bool tri_roots_any_plain(tri_roots *roots) {
  tri_lock_acquire(&roots->lock);
  bool any = roots->plain_count != 0;
  tri_lock_release(&roots->lock);
  return any;
}

// ---- Walking ----

typedef struct tri_root_walk {
  tri_each_word *each;
  void *context;
  bool plain_only;
} tri_root_walk;

static tri_word_kind tri_root_word_kind(const tri_root_range *range) {
  return range->flags & TRI_ROOT_CONSERVATIVE ? TRI_WORD_AMBIGUOUS : TRI_WORD_PRECISE;
}

static void tri_walk_ranges(const tri_roots *roots, const tri_root_walk *walk) {
  for (size_t index = 0; index < roots->range_count; index++) {
    const tri_root_range *range = &roots->ranges[index];
    if (walk->plain_only && !(range->flags & TRI_ROOT_PLAIN)) continue;
    for (size_t word = 0; word < range->count; word++)
      walk->each(walk->context, tri_load_relaxed(&range->words[word]), tri_root_word_kind(range));
  }
}

static void tri_walk_callbacks(const tri_roots *roots, const tri_root_walk *walk) {
  tri_visitor visitor = {.each = walk->each, .context = walk->context};
  for (size_t index = 0; index < roots->callback_count; index++) {
    const tri_root_callback *callback = &roots->callbacks[index];
    if (walk->plain_only && !(callback->flags & TRI_ROOT_PLAIN)) continue;
    tri_callback_begin();
    callback->function(&visitor, callback->context);
    tri_callback_end();
  }
}

static void tri_walk_handles(const tri_roots *roots, const tri_root_walk *walk) {
  for (const tri_handle_block *block = roots->handle_blocks; block; block = block->next)
    for (int index = 0; index < TRI_HANDLE_BLOCK_HANDLES; index++)
      walk->each(walk->context, (uintptr_t)tri_load_relaxed(&block->handles[index].object), TRI_WORD_PRECISE);
}

static void tri_walk_pools(const tri_roots *roots, const tri_root_walk *walk) {
  for (const struct tri_pool *pool = roots->pools; pool; pool = pool->next) {
    for (size_t index = 0; index < pool->count; index++)
      walk->each(walk->context, (uintptr_t)pool->slots[index], TRI_WORD_PRECISE);
    for (size_t index = 0; index < pool->victim_count; index++)
      walk->each(walk->context, (uintptr_t)pool->victims[index], TRI_WORD_PRECISE);
  }
}

static void tri_roots_walk(tri_roots *roots, const tri_root_walk *walk) {
  tri_lock_acquire(&roots->lock);
  tri_walk_ranges(roots, walk);
  tri_walk_callbacks(roots, walk);
  if (!walk->plain_only) {
    tri_walk_handles(roots, walk);
    tri_walk_pools(roots, walk);
  }
  tri_lock_release(&roots->lock);
}

typedef struct tri_root_shading {
  tri_collect *collect;
  tri_grey_chunk *chunk;
} tri_root_shading;

static void tri_root_shade_word(void *context, uintptr_t word, tri_word_kind kind) {
  tri_root_shading *shading = context;
  tri_shade_word(shading->collect, word, kind, &shading->chunk);
}

void tri_roots_shade(tri_roots *roots, tri_collect *collect, bool plain_only) {
  tri_root_shading shading = {collect, NULL};
  const tri_root_walk walk = {tri_root_shade_word, &shading, plain_only};
  tri_roots_walk(roots, &walk);
  if (shading.chunk) tri_grey_share(&collect->grey, shading.chunk);
}

void tri_roots_each(tri_roots *roots, tri_each_word *each, void *context) {
  const tri_root_walk walk = {each, context, false};
  tri_roots_walk(roots, &walk);
}

// ---- Registering ----

// Room for one more entry; false when memory is refused.
static bool tri_table_reserve(tri_meta *meta, void **table, size_t count, size_t *capacity, size_t entry_bytes) {
  if (count < *capacity) return true;
  size_t grown = *capacity ? 2 * *capacity : 16;
  void *moved = tri_meta_grow(meta, *table, *capacity * entry_bytes, grown * entry_bytes);
  if (!moved) return false;
  *table = moved;
  *capacity = grown;
  return true;
}

// A root that appears in the middle of marking was not scanned with the others, and one that disappears may not
// have been yet: shade what it holds now. What is stored into it later comes from a stack or the heap, which the
// barrier covers.
static void tri_roots_shade_locked(tri_world *world, const tri_root_range *range, const tri_root_callback *callback) {
  if (tri_load_relaxed(&world->collect.phase) == TRI_PHASE_OFF) return;
  tri_root_shading shading = {&world->collect, NULL};
  if (range)
    for (size_t word = 0; word < range->count; word++)
      tri_root_shade_word(&shading, range->words[word], tri_root_word_kind(range));
  if (callback) {
    tri_visitor visitor = {.collect = &world->collect, .chunk = &shading.chunk};
    tri_callback_begin();
    callback->function(&visitor, callback->context);
    tri_callback_end();
  }
  if (shading.chunk) tri_grey_share(&world->collect.grey, shading.chunk);
}

// A cycle decides when it begins whether stores shade new values for plain roots, so none may become plain in the
// middle of one. Until then the new root is an ordinary one: it holds what it holds, and its owner is waiting here.
static void tri_roots_make_plain(tri_world *world, const void *words, tri_root_function *function, void *context) {
  tri_roots *roots = &world->roots;
  bool excluded = world->exclude_cycles(world);
  tri_lock_acquire(&roots->lock);
  uint32_t *flags = NULL;
  for (size_t index = 0; words && index < roots->range_count; index++)
    if (roots->ranges[index].words == words) flags = &roots->ranges[index].flags;
  for (size_t index = 0; function && index < roots->callback_count; index++)
    if (roots->callbacks[index].function == function && roots->callbacks[index].context == context)
      flags = &roots->callbacks[index].flags;
  if (flags && !(*flags & TRI_ROOT_PLAIN)) {
    *flags |= TRI_ROOT_PLAIN;
    roots->plain_count++;
  }
  tri_lock_release(&roots->lock);
  if (excluded) world->allow_cycles(world);
}

tri_status tri_root_add_range(tri_heap *heap, void *words, size_t count, uint32_t flags) {
  tri_world *world = tri_world_of_heap(heap);
  tri_roots *roots = &world->roots;
  tri_status status = TRI_OK;
  if (flags & TRI_ROOT_CONSERVATIVE) {
    tri_store_relaxed(&world->collect.spans.any_words, 1u);
    tri_collect_note(&world->collect.keeps_seen);
  }
  bool locked = tri_world_keep_running(world);
  tri_lock_acquire(&roots->lock);
  void *table = roots->ranges;
  if (tri_table_reserve(roots->meta, &table, roots->range_count, &roots->range_capacity, sizeof *roots->ranges)) {
    roots->ranges = table;
    roots->ranges[roots->range_count] = (tri_root_range){words, count, flags & ~(uint32_t)TRI_ROOT_PLAIN};
    tri_roots_shade_locked(world, &roots->ranges[roots->range_count++], NULL);
  } else {
    status = TRI_OUT_OF_MEMORY;
  }
  tri_lock_release(&roots->lock);
  if (locked) tri_lock_release(&world->lock);
  if (status == TRI_OK && (flags & TRI_ROOT_PLAIN)) tri_roots_make_plain(world, words, NULL, NULL);
  return status;
}

tri_status tri_root_remove_range(tri_heap *heap, void *words) {
  tri_world *world = tri_world_of_heap(heap);
  tri_roots *roots = &world->roots;
  tri_status status = TRI_NOT_FOUND;
  bool locked = tri_world_keep_running(world);
  tri_lock_acquire(&roots->lock);
  for (size_t index = 0; index < roots->range_count && status != TRI_OK; index++) {
    if (roots->ranges[index].words != words) continue;
    tri_roots_shade_locked(world, &roots->ranges[index], NULL);
    roots->plain_count -= (roots->ranges[index].flags & TRI_ROOT_PLAIN) != 0;
    roots->ranges[index] = roots->ranges[--roots->range_count];
    status = TRI_OK;
  }
  tri_lock_release(&roots->lock);
  if (locked) tri_lock_release(&world->lock);
  return status;
}

tri_status tri_root_add_callback(tri_heap *heap, tri_root_function *function, void *context, uint32_t flags) {
  tri_world *world = tri_world_of_heap(heap);
  tri_roots *roots = &world->roots;
  tri_status status = TRI_OK;
  tri_store_relaxed(&world->collect.spans.any_words, 1u); // it may use tri_visit_conservative()
  tri_collect_note(&world->collect.keeps_seen);
  bool locked = tri_world_keep_running(world);
  tri_lock_acquire(&roots->lock);
  void *table = roots->callbacks;
  if (tri_table_reserve(roots->meta, &table, roots->callback_count, &roots->callback_capacity,
                        sizeof *roots->callbacks)) {
    roots->callbacks = table;
    roots->callbacks[roots->callback_count] = (tri_root_callback){function, context, flags & ~(uint32_t)TRI_ROOT_PLAIN};
    tri_roots_shade_locked(world, NULL, &roots->callbacks[roots->callback_count++]);
  } else {
    status = TRI_OUT_OF_MEMORY;
  }
  tri_lock_release(&roots->lock);
  if (locked) tri_lock_release(&world->lock);
  if (status == TRI_OK && (flags & TRI_ROOT_PLAIN)) tri_roots_make_plain(world, NULL, function, context);
  return status;
}

tri_status tri_root_remove_callback(tri_heap *heap, tri_root_function *function, void *context) {
  tri_world *world = tri_world_of_heap(heap);
  tri_roots *roots = &world->roots;
  tri_status status = TRI_NOT_FOUND;
  bool locked = tri_world_keep_running(world);
  tri_lock_acquire(&roots->lock);
  for (size_t index = 0; index < roots->callback_count && status != TRI_OK; index++) {
    if (roots->callbacks[index].function != function || roots->callbacks[index].context != context) continue;
    tri_roots_shade_locked(world, NULL, &roots->callbacks[index]);
    roots->plain_count -= (roots->callbacks[index].flags & TRI_ROOT_PLAIN) != 0;
    roots->callbacks[index] = roots->callbacks[--roots->callback_count];
    status = TRI_OK;
  }
  tri_lock_release(&roots->lock);
  if (locked) tri_lock_release(&world->lock);
  return status;
}

// ---- Handles ----

static bool tri_handles_grow_locked(tri_roots *roots) {
  tri_handle_block *block = tri_meta_allocate(roots->meta, sizeof *block);
  if (!block) return false;
  for (int index = TRI_HANDLE_BLOCK_HANDLES - 1; index >= 0; index--) {
    block->handles[index].next = roots->free_handles;
    roots->free_handles = &block->handles[index];
  }
  block->next = roots->handle_blocks;
  roots->handle_blocks = block;
  return true;
}

tri_handle *tri_handle_make(tri_mutator *mutator, void *object) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_assert_owner(full, "making a handle");
  tri_roots *roots = &full->world->roots;
  tri_lock_acquire(&roots->lock);
  tri_handle *handle = NULL;
  if (roots->free_handles || tri_handles_grow_locked(roots)) {
    handle = roots->free_handles;
    roots->free_handles = handle->next;
    roots->handle_count++;
  }
  tri_lock_release(&roots->lock);
  if (handle) tri_root_store(mutator, &handle->object, object);
  return handle;
}

void *tri_handle_get(const tri_handle *handle) {
  return tri_load_acquire(&handle->object);
}

void tri_handle_set(tri_mutator *mutator, tri_handle *handle, void *object) {
  if (TRI_CHECKS) tri_assert_owner(tri_mutator_of(mutator), "setting a handle");
  tri_root_store(mutator, &handle->object, object);
}

static void tri_handle_recycle(tri_roots *roots, tri_handle *handle) {
  tri_lock_acquire(&roots->lock);
  handle->next = roots->free_handles;
  roots->free_handles = handle;
  roots->handle_count--;
  tri_lock_release(&roots->lock);
}

void tri_handle_free(tri_mutator *mutator, tri_handle *handle) {
  tri_assert_owner(tri_mutator_of(mutator), "freeing a handle");
  tri_root_store(mutator, &handle->object, NULL);
  tri_handle_recycle(&tri_mutator_of(mutator)->world->roots, handle);
}

void tri_handle_free_any_thread(tri_heap *heap, tri_handle *handle) {
  tri_world *world = tri_world_of_heap(heap);
  tri_mutator_full *mutator = tri_world_current_mutator(world);
  if (mutator && tri_mutator_is_usable(mutator)) {
    tri_handle_free(&mutator->fast, handle);
    return;
  }
  // No mutator to record the deletion: shade it here.
  bool locked = tri_world_keep_running(world);
  if (tri_phase_barrier_is_on(tri_load_relaxed(&world->collect.phase))) {
    tri_grey_chunk *chunk = NULL;
    tri_shade(&world->collect, (uintptr_t)tri_load_relaxed(&handle->object), &chunk);
    if (chunk) tri_grey_share(&world->collect.grey, chunk);
  }
  tri_store_release(&handle->object, NULL);
  if (locked) tri_lock_release(&world->lock);
  tri_handle_recycle(&world->roots, handle);
}

// ---- Pools ----

tri_status tri_pool_make(tri_heap *heap, uint32_t flags, tri_pool **out_pool) {
  tri_roots *roots = &tri_world_of_heap(heap)->roots;
  struct tri_pool *pool = tri_meta_allocate(roots->meta, sizeof *pool);
  if (!pool) return TRI_OUT_OF_MEMORY;
  pool->flags = flags;
  tri_lock_acquire(&roots->lock);
  pool->next = roots->pools;
  if (pool->next) pool->next->previous = pool;
  tri_store_release(&roots->pools, pool);
  tri_lock_release(&roots->lock);
  *out_pool = pool;
  return TRI_OK;
}

void tri_pool_put(tri_mutator *mutator, tri_pool *pool, void *object) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_assert_owner(full, "putting into a pool");
  tri_roots *roots = &full->world->roots;
  tri_lock_acquire(&roots->lock);
  void *table = pool->slots;
  if (tri_table_reserve(roots->meta, &table, pool->count, &pool->capacity, sizeof *pool->slots)) {
    pool->slots = table;
    pool->slots[pool->count] = NULL;
    tri_root_store(mutator, &pool->slots[pool->count], object);
    pool->count++;
  }
  tri_lock_release(&roots->lock);
}

static void *tri_pool_take_last(tri_mutator *mutator, void **slots, size_t *count) {
  if (*count == 0) return NULL;
  void **last = &slots[--*count];
  return tri_swap(mutator, last, last, NULL);
}

void *tri_pool_take(tri_mutator *mutator, tri_pool *pool) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_assert_owner(full, "taking from a pool");
  tri_roots *roots = &full->world->roots;
  tri_lock_acquire(&roots->lock);
  void *object = tri_pool_take_last(mutator, pool->slots, &pool->count);
  if (!object) object = tri_pool_take_last(mutator, pool->victims, &pool->victim_count);
  tri_lock_release(&roots->lock);
  return object;
}

size_t tri_pool_count(tri_pool *pool) {
  return tri_load_relaxed(&pool->count) + tri_load_relaxed(&pool->victim_count);
}

void tri_pool_free(tri_heap *heap, tri_pool *pool) {
  tri_world *world = tri_world_of_heap(heap);
  tri_roots *roots = &world->roots;
  // What the pool holds is deleted from the roots; while marking that is a deletion like any other.
  bool locked = tri_world_keep_running(world);
  tri_lock_acquire(&roots->lock);
  const tri_root_range held = {(uintptr_t *)(void *)pool->slots, pool->count, 0};
  const tri_root_range victims = {(uintptr_t *)(void *)pool->victims, pool->victim_count, 0};
  tri_roots_shade_locked(world, &held, NULL);
  tri_roots_shade_locked(world, &victims, NULL);
  if (pool->previous)
    pool->previous->next = pool->next;
  else
    tri_store_release(&roots->pools, pool->next);
  if (pool->next) pool->next->previous = pool->previous;
  tri_meta_free(roots->meta, pool->slots, pool->capacity * sizeof *pool->slots);
  tri_meta_free(roots->meta, pool->victims, pool->victim_capacity * sizeof *pool->victims);
  tri_meta_free(roots->meta, pool, sizeof *pool);
  tri_lock_release(&roots->lock);
  if (locked) tri_lock_release(&world->lock);
}

static void tri_pool_clear_locked(struct tri_pool *pool, bool drop_victims) {
  if (!(pool->flags & TRI_POOL_VICTIM)) {
    pool->count = 0;
    return;
  }
  void **emptied = pool->victims;
  size_t emptied_capacity = pool->victim_capacity;
  pool->victims = pool->slots;
  pool->victim_count = drop_victims ? 0 : pool->count;
  pool->victim_capacity = pool->capacity;
  pool->slots = emptied;
  pool->count = 0;
  pool->capacity = emptied_capacity;
}

void tri_roots_clear_pools(tri_roots *roots, bool drop_victims) {
  if (!tri_load_acquire(&roots->pools)) return;
  tri_lock_acquire(&roots->lock);
  for (struct tri_pool *pool = roots->pools; pool; pool = pool->next) tri_pool_clear_locked(pool, drop_victims);
  tri_lock_release(&roots->lock);
}
