// Roots: what marking starts from, besides the mutators themselves.
//
// Invariants  a barriered root is stored to with tri_root_store; if any plain one exists when a cycle begins,
//             that cycle shades new values and scans stacks and roots again in its final stop.
// Callers     registering: any thread. Scanning: the collector. All under the roots lock, which no safepoint
//             interrupts.
// Not here    native stacks of mutators (scan.h).
#ifndef TRI_MUTATOR_ROOTS_H
#define TRI_MUTATOR_ROOTS_H

#include "collect/shade.h"
#include "tricolor_api.h"

typedef struct tri_root_range {
  uintptr_t *words;
  size_t count;
  uint32_t flags;
} tri_root_range;
typedef struct tri_root_callback {
  tri_root_function *function;
  void *context;
  uint32_t flags;
} tri_root_callback;

struct tri_handle {
  void *object;            // [root] NULL when free
  struct tri_handle *next; // [lock:roots] next free one
};
enum { TRI_HANDLE_BLOCK_HANDLES = 255 };
typedef struct tri_handle_block {
  struct tri_handle_block *next;
  uint64_t padding;
  struct tri_handle handles[TRI_HANDLE_BLOCK_HANDLES];
} tri_handle_block;

struct tri_pool {
  struct tri_pool *next, *previous; // [lock:roots]
  uint32_t flags;                   // [const]
  void **slots;                     // [lock:roots]
  size_t count, capacity;
  void **victims; // [lock:roots] what the last cycle took out of `slots`
  size_t victim_count, victim_capacity;
};

typedef struct tri_roots {
  tri_lock lock;
  tri_meta *meta; // [const]
  tri_root_range *ranges;
  size_t range_count, range_capacity;
  tri_root_callback *callbacks;
  size_t callback_count, callback_capacity;
  size_t plain_count; // ranges and callbacks that are plain
  tri_handle_block *handle_blocks;
  struct tri_handle *free_handles;
  size_t handle_count;
  struct tri_pool *pools;
} tri_roots;

void tri_roots_init(tri_roots *roots, tri_meta *meta);
void tri_roots_destroy(tri_roots *roots);
bool tri_roots_any_plain(tri_roots *roots);
/// Shades everything the roots hold; with `plain_only` only what plain roots hold.
void tri_roots_shade(tri_roots *roots, tri_collect *collect, bool plain_only);
/// Hands every root word to a checker.
void tri_roots_each(tri_roots *roots, tri_each_word *each, void *context);
/// Empties every pool (S4). Phase off.
void tri_roots_clear_pools(tri_roots *roots, bool drop_victims);

#endif
