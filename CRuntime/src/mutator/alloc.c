#include "mutator/alloc.h"

#include <string.h>

#include "mutator/gate.h"
#include "mutator/magazine.h"
#include "mutator/refill.h"

void *tri_allocate_small(tri_mutator_full *mutator, tri_span_class *class, bool uninitialized, tri_status *out_status) {
  uint32_t slot_bytes = class->info->slot_bytes;
  bool ahead = !uninitialized && slot_bytes <= TRI_ZERO_AHEAD_BYTES_MAX;
  uint32_t index = 2 * class->id + (ahead ? TRI_WINDOW_ZEROED : 0);
  struct tri_window *window = tri_mutator_window(&mutator->fast, index);
  *out_status = TRI_OK;
  uintptr_t object = tri_window_has_any(window) ? tri_window_take(window, slot_bytes)
                                                : tri_refill_and_pop(mutator, class, index, out_status);
  if (object && !uninitialized && !ahead) memset((void *)object, 0, slot_bytes);
  return (void *)object;
}

static const char tri_empty_bytes[TRI_GRANULE_BYTES] __attribute__((aligned(16)));

void *tri_empty_object(void) {
  return (void *)(uintptr_t)tri_empty_bytes;
}

static void *tri_allocate_empty(tri_mutator_full *mutator) {
  tri_allocation_check_phase(mutator);
  tri_assert_owner(mutator, "allocating");
  return tri_empty_object();
}

// The smallest size class that holds `bytes` with slots at multiples of `alignment`; spans start at blocks.
static uint32_t tri_aligned_size_class(uint64_t bytes, uint64_t alignment) {
  uint32_t size_class = tri_size_class(tri_align_up(bytes, alignment));
  while (tri_size_class_bytes(size_class) % alignment != 0) size_class++;
  return size_class;
}

tri_status tri_allocate(tri_mutator *mutator, tri_layout *layout, size_t bytes, size_t alignment, void **out_object) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  if (!tri_is_power_of_two(alignment) || alignment > TRI_ALIGNMENT_MAX) return TRI_BAD_ALIGNMENT;
  if (bytes > TRI_OBJECT_BYTES_MAX || bytes > mutator->heap_bytes) return TRI_TOO_LARGE;
  void *object;
  tri_status status = TRI_OK;
  if (bytes == 0) {
    object = tri_allocate_empty(full);
  } else if (bytes <= TRI_SMALL_BYTES_MAX && alignment <= TRI_SMALL_BYTES_MAX) {
    alignment = alignment < TRI_GRANULE_BYTES ? TRI_GRANULE_BYTES : alignment;
    tri_span_class *class =
        tri_spans_class(&full->world->collect.spans, layout, tri_aligned_size_class(bytes, alignment), &status);
    object = class ? tri_allocate_small(full, class, false, &status) : NULL;
  } else {
    object = tri_allocate_large(full, layout, bytes, alignment, false, &status);
  }
  if (object) *out_object = object;
  return status;
}

tri_status tri_allocate_array(tri_mutator *mutator, tri_layout *layout, size_t count, size_t element_bytes,
                              void **out_object) {
  size_t bytes;
  if (__builtin_mul_overflow(count, element_bytes, &bytes)) return TRI_TOO_LARGE;
  return tri_allocate(mutator, layout, bytes, TRI_GRANULE_BYTES, out_object);
}

void *tri_alloc_slow(tri_mutator *mutator, tri_layout *layout, size_t bytes) {
  void *object = NULL;
  if (bytes - 1 < TRI_SMALL_BYTES_MAX) {
    uint32_t size_class = tri_size_class(bytes);
    uintptr_t kept =
        tri_magazine_take(tri_mutator_of(mutator), tri_load_acquire(&layout->window_of_class[size_class]) / 2);
    if (kept) {
      tri_slot_zero(kept, tri_size_class_bytes(size_class));
      return (void *)kept;
    }
  }
  tri_allocate(mutator, layout, bytes, TRI_GRANULE_BYTES, &object);
  return object;
}

void *tri_alloc_uninitialized_slow(tri_mutator *mutator, tri_layout *layout, size_t bytes) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_status status = TRI_OK;
  if (bytes == 0 || bytes > TRI_OBJECT_BYTES_MAX || bytes > mutator->heap_bytes)
    return tri_alloc_slow(mutator, layout, bytes);
  if (bytes > TRI_SMALL_BYTES_MAX) return tri_allocate_large(full, layout, bytes, TRI_GRANULE_BYTES, true, &status);
  uint32_t size_class = tri_size_class(bytes);
  uintptr_t object = tri_magazine_take(full, tri_load_acquire(&layout->window_of_class[size_class]) / 2);
  if (!object) {
    tri_span_class *class = tri_spans_class(&full->world->collect.spans, layout, size_class, &status);
    object = class ? (uintptr_t)tri_allocate_small(full, class, true, &status) : 0;
  }
  return object ? tri_zero_references(object, layout, tri_size_class_bytes(size_class)) : NULL;
}

void *tri_alloc_leaf_slow(tri_mutator *mutator, size_t bytes) {
  return tri_alloc_uninitialized_slow(mutator, tri_mutator_of(mutator)->world->collect.spans.leaf, bytes);
}

void *tri_alloc_leaf_zeroed_slow(tri_mutator *mutator, size_t bytes) {
  return tri_alloc_slow(mutator, tri_mutator_of(mutator)->world->collect.spans.leaf, bytes);
}

tri_status tri_type_make(tri_heap *heap, tri_layout *layout, size_t bytes, tri_type *out_type) {
  if (bytes == 0 || bytes < 8 * (size_t)layout->description.prefix_words) return TRI_BAD_LAYOUT;
  if (bytes > TRI_SMALL_BYTES_MAX) return TRI_TOO_LARGE;
  tri_status status = TRI_OK;
  tri_span_class *class =
      tri_spans_class(&tri_world_of_heap(heap)->collect.spans, layout, tri_size_class(bytes), &status);
  if (class) *out_type = (tri_type){2 * class->id, (uint32_t)bytes};
  return status;
}

tri_status tri_layout_make(tri_heap *heap, const tri_layout_description *description, tri_layout **out_layout) {
  return tri_spans_intern_layout(&tri_world_of_heap(heap)->collect.spans, description, out_layout);
}
tri_layout *tri_layout_leaf(tri_heap *heap) {
  return tri_world_of_heap(heap)->collect.spans.leaf;
}
tri_layout *tri_layout_references(tri_heap *heap) {
  return tri_world_of_heap(heap)->collect.spans.references;
}
tri_layout *tri_layout_conservative(tri_heap *heap) {
  return tri_world_of_heap(heap)->collect.spans.conservative;
}
