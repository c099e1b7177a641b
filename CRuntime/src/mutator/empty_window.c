// Empty window: what the inline paths call when theirs has no slot left.
//
// What a program that frees explicitly does all the time comes first: a slot that it freed a moment ago, and that is
// still in the cache, from a magazine. For a lone mutator without a frame, for one beside others with one call.
#include <string.h>

#include "mutator/alloc.h"
#include "mutator/magazine.h"
#include "mutator/refill.h"

typedef enum tri_refill_kind {
  TRI_REFILL_TYPE,
  TRI_REFILL_ZEROED,
  TRI_REFILL_UNINITIALIZED,
  TRI_REFILL_LEAF,
  TRI_REFILL_LEAF_ZEROED,
} tri_refill_kind;

static __attribute__((noinline)) void *tri_refill_type_slow(tri_mutator *mutator, uint64_t window) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  uint32_t id = (uint32_t)window / 2;
  TRI_CHECK(id && id < tri_load_acquire(&full->world->collect.spans.class_count),
            "allocating a type that was not made for this heap");
  uintptr_t kept = tri_magazine_take(full, id);
  if (kept) return (void *)kept;
  tri_status status;
  tri_span_class *class = tri_spans_class_by_id(&full->world->collect.spans, id);
  return (void *)tri_refill_and_pop(full, class, (uint32_t)window, &status);
}

// An object of a slot from a magazine, or the long way where there was none.
static inline __attribute__((always_inline)) void *tri_refill_with(tri_mutator *mutator, uint64_t window_offset,
                                                                   tri_layout *layout, size_t bytes,
                                                                   tri_refill_kind kind, uintptr_t kept) {
  switch (kind) {
  case TRI_REFILL_TYPE:
    return kept ? (void *)kept : tri_refill_type_slow(mutator, window_offset / sizeof(struct tri_window));
  case TRI_REFILL_LEAF: return kept ? (void *)kept : tri_alloc_leaf_slow(mutator, bytes);
  case TRI_REFILL_UNINITIALIZED:
    return kept ? tri_zero_references(kept, layout, tri_size_class_bytes(tri_size_class(bytes)))
                : tri_alloc_uninitialized_slow(mutator, layout, bytes);
  case TRI_REFILL_ZEROED:
    if (!kept) return tri_alloc_slow(mutator, layout, bytes);
    break;
  case TRI_REFILL_LEAF_ZEROED:
    if (!kept) return tri_alloc_leaf_zeroed_slow(mutator, bytes);
    break;
  }
  tri_slot_zero(kept, tri_size_class_bytes(tri_size_class(bytes)));
  return (void *)kept;
}

// The mutator asked for its liberty, and leaves.
static inline __attribute__((always_inline)) void *tri_refill_at_liberty(tri_mutator *mutator, uint64_t window_offset,
                                                                         tri_layout *layout, size_t bytes,
                                                                         tri_refill_kind kind, tri_liberty liberty) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  uintptr_t kept = liberty == TRI_LIBERTY_NONE ? 0 : tri_magazine_take_at_liberty(full, window_offset, liberty);
  tri_lone_leave(full);
  return tri_refill_with(mutator, window_offset, layout, bytes, kind, kept);
}

static __attribute__((noinline)) void *tri_refill_unquietly(tri_mutator *mutator, uint64_t window_offset,
                                                            tri_layout *layout, size_t bytes, tri_refill_kind kind) {
  return tri_refill_at_liberty(mutator, window_offset, layout, bytes, kind, TRI_LIBERTY_NONE);
}

// Beside others. A function for each kind: together they would take a frame, and a jump by the kind.
typedef void *tri_refill_beside_others(tri_mutator *mutator, uint64_t window_offset, tri_layout *layout, size_t bytes);
#define TRI_REFILL_BESIDE_OTHERS(name, kind)                                                                           \
  static __attribute__((noinline)) void *name(tri_mutator *mutator, uint64_t window_offset, tri_layout *layout,        \
                                              size_t bytes) {                                                          \
    return tri_refill_at_liberty(mutator, window_offset, layout, bytes, kind, TRI_LIBERTY_OWN_GROUPS);                 \
  }
TRI_REFILL_BESIDE_OTHERS(tri_refill_type_beside_others, TRI_REFILL_TYPE)
TRI_REFILL_BESIDE_OTHERS(tri_refill_zeroed_beside_others, TRI_REFILL_ZEROED)
TRI_REFILL_BESIDE_OTHERS(tri_refill_uninitialized_beside_others, TRI_REFILL_UNINITIALIZED)
TRI_REFILL_BESIDE_OTHERS(tri_refill_leaf_beside_others, TRI_REFILL_LEAF)
TRI_REFILL_BESIDE_OTHERS(tri_refill_leaf_zeroed_beside_others, TRI_REFILL_LEAF_ZEROED)

static inline __attribute__((always_inline)) void *tri_refill_from_magazine(tri_mutator *mutator,
                                                                            uint64_t window_offset, tri_layout *layout,
                                                                            size_t bytes, tri_refill_kind kind,
                                                                            tri_refill_beside_others *beside_others) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  // What is in a magazine is young: whether marks are kept makes no difference.
  uint64_t unquiet = tri_liberty_ask(full, &full->world->collect) & (TRI_UNQUIET_KEEPS_MARKS - 1);
  if (__builtin_expect(!unquiet, 1))
    return tri_refill_at_liberty(mutator, window_offset, layout, bytes, kind, TRI_LIBERTY_ALL);
  if (__builtin_expect(unquiet == TRI_UNQUIET_BY_GROUPS, 1))
    return beside_others(mutator, window_offset, layout, bytes);
  return tri_refill_unquietly(mutator, window_offset, layout, bytes, kind);
}

static inline uint64_t tri_window_offset(tri_mutator *mutator, const struct tri_window *window) {
  return (uint64_t)((const char *)window - (const char *)tri_mutator_window(mutator, 0));
}

void *tri_refill_type(tri_mutator *mutator, tri_type type) {
  return tri_refill_from_magazine(mutator, type.window * sizeof(struct tri_window), NULL, 0, TRI_REFILL_TYPE,
                                  tri_refill_type_beside_others);
}
void *tri_refill_zeroed(tri_mutator *mutator, const struct tri_window *window, tri_layout *layout, size_t bytes) {
  return tri_refill_from_magazine(mutator, tri_window_offset(mutator, window), layout, bytes, TRI_REFILL_ZEROED,
                                  tri_refill_zeroed_beside_others);
}
void *tri_refill_uninitialized(tri_mutator *mutator, const struct tri_window *window, tri_layout *layout,
                               size_t bytes) {
  return tri_refill_from_magazine(mutator, tri_window_offset(mutator, window), layout, bytes, TRI_REFILL_UNINITIALIZED,
                                  tri_refill_uninitialized_beside_others);
}
void *tri_refill_leaf(tri_mutator *mutator, const struct tri_window *window, size_t bytes) {
  return tri_refill_from_magazine(mutator, tri_window_offset(mutator, window), NULL, bytes, TRI_REFILL_LEAF,
                                  tri_refill_leaf_beside_others);
}
void *tri_refill_leaf_zeroed(tri_mutator *mutator, const struct tri_window *window, size_t bytes) {
  return tri_refill_from_magazine(mutator, tri_window_offset(mutator, window), NULL, bytes, TRI_REFILL_LEAF_ZEROED,
                                  tri_refill_leaf_zeroed_beside_others);
}
