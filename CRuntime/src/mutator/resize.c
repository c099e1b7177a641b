// Resizing in place: the slot is large enough already, or a large object takes the free pages behind it.
#include <string.h>

#include "base/step.h"
#include "collect/sweep.h"
#include "mutator/alloc.h"

// What a marker may look at must be zero before it is part of the object.
static void tri_resize_zero_tail(const struct tri_layout *layout, const tri_span *span, uint64_t from, uint64_t to) {
  if (tri_layout_has_references_beyond(layout, from)) memset((void *)(span->start + from), 0, to - from);
}

static bool tri_resize_take_pages(tri_mutator_full *mutator, tri_span *span, uint64_t pages) {
  tri_world *world = mutator->world;
  tri_spans *spans = &world->collect.spans;
  uint64_t first = tri_span_first_page(spans, span), had = span->page_count, more = pages - had;
  if (!tri_pages_extend(&spans->space, first, had, more, tri_load_relaxed(&world->limit_bytes))) return false;
  tri_span_extend(spans, span, pages);
  mutator->unaccounted_bytes += (int64_t)(more << TRI_PAGE_LOG2);
  tri_mutator_account(mutator);
  return true;
}

static bool tri_resize_large(tri_mutator_full *mutator, tri_span *span, uint64_t bytes) {
  tri_collect *collect = &mutator->world->collect;
  uint64_t had = span->object_bytes, wanted = tri_align_up(bytes, TRI_GRANULE_BYTES);
  uint64_t pages = tri_align_up(wanted, TRI_PAGE_BYTES) >> TRI_PAGE_LOG2;
  if (wanted <= had) return true;
  // It looks at the page count.
  tri_sweep_large_object(collect, span);
  if (pages > span->page_count && !tri_resize_take_pages(mutator, span, pages)) return false;
  tri_resize_zero_tail(tri_span_layout(&collect->spans, span), span, had, wanted);
  tri_store_release(&span->object_bytes, wanted);
  return true;
}

bool tri_resize(tri_mutator *mutator, void *object, size_t bytes) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_assert_owner(full, "resizing");
  const tri_spans *spans = &full->world->collect.spans;
  TRI_CHECK(tri_load_relaxed(&full->world->collect.phase) != TRI_PHASE_MARK_TERMINATION,
            "resizing %p in phase markTermination", object);
  if (object == tri_empty_object()) return bytes == 0;
  tri_object_place place = tri_object_at(spans, (uintptr_t)object);
  TRI_CHECK(object && place.start == (uintptr_t)object,
            "resizing %p, which is not the start of a live object of this heap", object);
  if (place.span->state == TRI_SPAN_SMALL) return bytes <= place.span->slot_bytes;
  return bytes <= TRI_OBJECT_BYTES_MAX && tri_resize_large(full, place.span, bytes);
}
