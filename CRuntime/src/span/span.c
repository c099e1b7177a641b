#include "span/span.h"

#include "os/vm.h"
#include "span/ticket.h"

enum {
  TRI_CLASS_TABLE_ENTRIES = TRI_SPAN_CLASS_MAX + 2,
  TRI_CLASS_TABLE_BYTES = TRI_CLASS_TABLE_ENTRIES * 8, // of each of three
};
_Static_assert((int)TRI_SPAN_CLASS_MAX < (int)TRI_ENTRY_MIXED, "class ids and the mixed mark differ");

static bool tri_spans_tables_init(tri_spans *spans) {
  // Zero pages until used: a small heap touches one page of each.
  char *tables = tri_vm_map(3 * TRI_CLASS_TABLE_BYTES);
  if (!tables) return false;
  spans->classes = (void *)tables;
  spans->layouts = (void *)(tables + TRI_CLASS_TABLE_BYTES);
  spans->scan_masks = (void *)(tables + 2 * TRI_CLASS_TABLE_BYTES);
  return true;
}

static void tri_spans_tables_destroy(tri_spans *spans) {
  if (spans->classes) tri_vm_release(spans->classes, 3 * TRI_CLASS_TABLE_BYTES);
}

static tri_status tri_spans_make_standard_layouts(tri_spans *spans) {
  const tri_layout_description leaf = {.form = TRI_LAYOUT_LEAF};
  const tri_layout_description references = {.form = TRI_LAYOUT_REFERENCES};
  const tri_layout_description conservative = {.form = TRI_LAYOUT_CONSERVATIVE};
  tri_status status = tri_spans_intern_layout(spans, &leaf, &spans->leaf);
  if (status == TRI_OK) status = tri_spans_intern_layout(spans, &references, &spans->references);
  if (status == TRI_OK) status = tri_spans_intern_layout(spans, &conservative, &spans->conservative);
  // The inline leaf path knows that leaf class c has id 1 + c.
  for (uint32_t size_class = 0; status == TRI_OK && size_class < TRI_SIZE_CLASS_COUNT; size_class++) {
    tri_span_class *class = tri_spans_class(spans, spans->leaf, size_class, &status);
    TRI_ASSERT(!class || class->id == 1 + size_class);
  }
  return status;
}

tri_status tri_spans_init(tri_spans *spans, uint64_t reservation_bytes, uint32_t huge_pages) {
  tri_status status = tri_space_init(&spans->space, reservation_bytes, huge_pages);
  if (status != TRI_OK) return status;
  tri_lock_init(&spans->layouts_lock, TRI_RANK_LAYOUTS);
  spans->class_count = 1;
  spans->layout_count = 1;
  spans->sweep_generation = 1;
  spans->ticket_tag = tri_ticket_tag(1);
  spans->tag_value = 1; // with mask 0: no word is an immediate
  if (!tri_spans_tables_init(spans))
    status = TRI_OUT_OF_MEMORY;
  else
    status = tri_spans_make_standard_layouts(spans);
  if (status != TRI_OK) tri_spans_destroy(spans);
  return status;
}

void tri_spans_destroy(tri_spans *spans) {
  for (uint32_t id = 1; spans->classes && id < spans->class_count; id++) tri_lock_destroy(&spans->classes[id]->lock);
  tri_spans_tables_destroy(spans);
  tri_lock_destroy(&spans->layouts_lock);
  tri_space_destroy(&spans->space);
}

tri_status tri_spans_intern_layout(tri_spans *spans, const tri_layout_description *description,
                                   struct tri_layout **out_layout) {
  tri_status status = tri_layout_check(description);
  if (status != TRI_OK) return status;
  tri_lock_acquire(&spans->layouts_lock);
  struct tri_layout *layout = spans->layout_list;
  while (layout && !tri_layout_equal(&layout->description, description)) layout = layout->next;
  if (!layout && spans->layout_count > TRI_SPAN_CLASS_MAX) {
    status = TRI_TOO_MANY_LAYOUTS;
  } else if (!layout) {
    layout = tri_meta_allocate(&spans->space.meta, sizeof *layout);
    if (layout) {
      layout->description = *description;
      layout->reference_bytes = tri_layout_reference_bytes(description);
      layout->id = spans->layout_count;
      layout->next = spans->layout_list;
      spans->layout_list = layout;
      if (description->form == TRI_LAYOUT_CUSTOM) {
        tri_store_relaxed(&spans->custom_layouts, spans->custom_layouts + 1);
        tri_store_relaxed(&spans->any_words, 1u); // its tracer may use tri_visit_conservative()
      }
      tri_store_release(&spans->layouts[layout->id], layout);
      tri_store_release(&spans->layout_count, layout->id + 1);
    } else {
      status = TRI_OUT_OF_MEMORY;
    }
  }
  tri_lock_release(&spans->layouts_lock);
  if (status == TRI_OK) *out_layout = layout;
  return status;
}

// All references of a slot as one mask; 0 when it takes the long way (not a mask, or references beyond 64 words).
static uint64_t tri_span_class_mask(const struct tri_layout *layout, uint32_t slot_bytes) {
  uint64_t words = slot_bytes / 8, scanned = tri_layout_scanned_words(&layout->description);
  if (words > scanned) words = scanned;
  if (words > 64) return 0;
  return tri_layout_mask_at(&layout->description, 0) & tri_low_bits((uint32_t)words);
}

// Before its first object can be stored into.
static void tri_spans_note_words(tri_spans *spans, const struct tri_layout *layout) {
  if (layout->description.form == TRI_LAYOUT_CONSERVATIVE) tri_store_relaxed(&spans->any_words, 1u);
}

static tri_span_class *tri_spans_make_class_locked(tri_spans *spans, struct tri_layout *layout, uint32_t size_class,
                                                   tri_status *out_status) {
  if (spans->class_count > TRI_SPAN_CLASS_MAX) {
    *out_status = TRI_TOO_MANY_LAYOUTS;
    return NULL;
  }
  tri_span_class *class = tri_meta_allocate(&spans->space.meta, sizeof *class);
  if (!class) {
    *out_status = TRI_OUT_OF_MEMORY;
    return NULL;
  }
  tri_spans_note_words(spans, layout);
  class->layout = layout;
  class->info = &tri_size_classes()[size_class];
  class->size_class = size_class;
  class->id = spans->class_count;
  class->scan_mask = tri_span_class_mask(layout, class->info->slot_bytes);
  tri_lock_init(&class->lock, TRI_RANK_CLASS);
  spans->scan_masks[class->id] = class->scan_mask;
  tri_store_release(&spans->classes[class->id], class);
  tri_store_release(&spans->class_count, class->id + 1);
  bool zeroed = class->info->slot_bytes <= TRI_ZERO_AHEAD_BYTES_MAX;
  tri_store_release(&layout->window_of_class[size_class], 2 * class->id + (zeroed ? TRI_WINDOW_ZEROED : 0));
  return class;
}

tri_span_class *tri_spans_class(tri_spans *spans, struct tri_layout *layout, uint32_t size_class,
                                tri_status *out_status) {
  uint32_t window = tri_load_acquire(&layout->window_of_class[size_class]);
  if (window) return tri_spans_class_by_id(spans, window / 2);
  tri_lock_acquire(&spans->layouts_lock);
  window = layout->window_of_class[size_class];
  tri_span_class *class =
      window ? spans->classes[window / 2] : tri_spans_make_class_locked(spans, layout, size_class, out_status);
  tri_lock_release(&spans->layouts_lock);
  return class;
}

void tri_spans_each_orphan(tri_spans *spans, void (*each)(void *context, const struct tri_window *window),
                           void *context) {
  if (tri_load_acquire(&spans->orphan_count) == 0) return;
  uint32_t count = tri_load_acquire(&spans->class_count);
  for (uint32_t id = 1; id < count; id++) {
    tri_span_class *class = tri_spans_class_by_id(spans, id);
    if (!tri_load_relaxed(&class->orphans)) continue;
    tri_lock_acquire(&class->lock);
    for (const tri_orphan *orphan = class->orphans; orphan; orphan = orphan->next) each(context, &orphan->window);
    tri_lock_release(&class->lock);
  }
}

void tri_spans_take_orphans(tri_spans *spans, void (*each)(void *context, const struct tri_window *window),
                            void *context) {
  tri_spans_each_orphan(spans, each, context);
  if (spans->orphan_count == 0) return;
  for (uint32_t id = 1; id < spans->class_count; id++) {
    tri_span_class *class = tri_spans_class_by_id(spans, id);
    tri_lock_acquire(&class->lock);
    for (tri_orphan *orphan = class->orphans, *next; orphan; orphan = next) {
      next = orphan->next;
      tri_meta_free(&spans->space.meta, orphan, sizeof *orphan);
    }
    tri_store_relaxed(&class->orphans, (tri_orphan *)NULL);
    tri_lock_release(&class->lock);
  }
  tri_store_relaxed(&spans->orphan_count, 0u);
}

// Publishes a span in the page map last: whoever finds it there must also see its fields.
static void tri_span_publish(tri_spans *spans, tri_span *span, tri_layout_entry entry) {
  tri_space *space = &spans->space;
  uint64_t first = tri_span_first_page(spans, span), end = first + span->page_count;
  uint64_t first_block = first / TRI_PAGES_PER_BLOCK, last_block = (end - 1) / TRI_PAGES_PER_BLOCK;
  for (uint64_t block = first_block; block <= last_block; block++) tri_store_relaxed(&space->layout_map[block], entry);
  uint32_t index = tri_span_index(spans, span);
  for (uint64_t page = first; page < end; page++) tri_store_release(&space->page_map[page], index + 1);
  tri_add_relaxed(&spans->span_count, 1u);
}

static tri_span *tri_span_begin(tri_spans *spans, tri_page_run run) {
  tri_span *span = tri_span_by_index(spans, (uint32_t)(run.page >> TRI_SPAN_INDEX_PAGES_LOG2));
  TRI_CHECK(span->state == TRI_SPAN_FREE, "span %u is in use and its pages were handed out again",
            tri_span_index(spans, span));
  // A sweeper may be looking at this entry: the state is written last.
  tri_store_relaxed(&span->start, tri_space_page_address(&spans->space, run.page));
  span->object_bytes = 0;
  span->slot_bytes = span->slot_inverse = 0;
  span->next = 0;
  span->next_group = span->runs = 0;
  span->live_slots = 0;
  tri_store_relaxed(&span->freed_slots, 0u);
  tri_store_relaxed(&span->has_freed, (uint8_t)0);
  tri_store_relaxed(&span->listed, (uint8_t)0);
  tri_store_relaxed(&span->lent, (uint8_t)0);
  span->fresh = run.fresh;
  span->claimed = 0;
  tri_store_relaxed(&span->sweep_generation, tri_load_relaxed(&spans->sweep_generation));
  return span;
}

tri_span *tri_span_make_small(tri_spans *spans, tri_span_class *class, tri_page_run run) {
  tri_span *span = tri_span_begin(spans, run);
  span->slot_bytes = class->info->slot_bytes;
  span->slot_inverse = class->info->slot_inverse;
  span->slots = class->info->slots;
  span->page_count = class->info->span_pages;
  span->class_id = class->id;
  tri_store_relaxed(&span->duties, (uint8_t)(class->layout->description.destroy ? TRI_SPAN_DESTROYS : 0));
  tri_store_release(&span->state, (uint8_t)TRI_SPAN_SMALL);
  tri_layout_entry leaf = tri_layout_is_leaf(class->layout) ? TRI_ENTRY_LEAF : 0;
  tri_span_publish(spans, span, (tri_layout_entry)(class->id | leaf));
  return span;
}

tri_span *tri_span_make_large(tri_spans *spans, struct tri_layout *layout, uint64_t object_bytes, uint64_t pages,
                              tri_page_run run) {
  tri_spans_note_words(spans, layout);
  tri_span *span = tri_span_begin(spans, run);
  span->object_bytes = object_bytes;
  span->slots = 1;
  span->page_count = (uint32_t)pages;
  span->class_id = layout->id;
  tri_store_relaxed(&span->duties, (uint8_t)(layout->description.destroy ? TRI_SPAN_DESTROYS : 0));
  tri_store_release(&span->state, (uint8_t)TRI_SPAN_LARGE);
  tri_span_publish(spans, span, TRI_ENTRY_MIXED);
  return span;
}

void tri_span_extend(tri_spans *spans, tri_span *span, uint64_t pages) {
  tri_space *space = &spans->space;
  uint64_t first = tri_span_first_page(spans, span);
  uint32_t index = tri_span_index(spans, span);
  for (uint64_t block = first / TRI_PAGES_PER_BLOCK; block <= (first + pages - 1) / TRI_PAGES_PER_BLOCK; block++)
    tri_store_relaxed(&space->layout_map[block], (tri_layout_entry)TRI_ENTRY_MIXED);
  for (uint64_t page = first + span->page_count; page < first + pages; page++)
    tri_store_release(&space->page_map[page], index + 1);
  span->page_count = (uint32_t)pages;
}

void tri_span_retire(tri_spans *spans, tri_span *span) {
  tri_space *space = &spans->space;
  uint64_t first = tri_span_first_page(spans, span), count = span->page_count;
  TRI_CHECK(!(tri_load_relaxed(&span->duties) & TRI_SPAN_HAS_TIES),
            "span %u is given back before its weak references and cleanups were seen to", tri_span_index(spans, span));
  for (uint64_t page = first; page < first + count; page++) tri_store_release(&space->page_map[page], 0u);
  if (span->state == TRI_SPAN_SMALL)
    for (uint64_t block = first / TRI_PAGES_PER_BLOCK; block < (first + count) / TRI_PAGES_PER_BLOCK; block++)
      tri_store_relaxed(&space->layout_map[block], (tri_layout_entry)0);
  tri_store_release(&span->state, (uint8_t)TRI_SPAN_FREE);
  tri_subtract_relaxed(&spans->span_count, 1u);
  tri_pages_free(space, first, count);
}

void tri_tickets_void(const tri_spans *spans, const tri_span *span) {
  uint64_t first = tri_span_first_page(spans, span) / TRI_PAGES_PER_BLOCK;
  for (uint64_t block = first; block < first + span->page_count / TRI_PAGES_PER_BLOCK; block++)
    tri_store_release(&spans->space.free_tickets[block], 0u);
}

void tri_tickets_void_group(const tri_spans *spans, const struct tri_window *window) {
  uintptr_t end = window->base + (uint64_t)TRI_WINDOW_SLOTS * window->slot_bytes;
  const tri_span *span = tri_span_at(spans, window->base);
  if (end > span->start + ((uint64_t)span->page_count << TRI_PAGE_LOG2))
    end = span->start + ((uint64_t)span->page_count << TRI_PAGE_LOG2);
  for (uintptr_t slot = window->base; slot < end; slot += TRI_BLOCK_BYTES) tri_ticket_void(spans, slot);
  tri_ticket_void(spans, end - 1);
}

void tri_tickets_check(const tri_spans *spans, const tri_span *span) {
  uint64_t first = tri_span_first_page(spans, span) / TRI_PAGES_PER_BLOCK;
  for (uint64_t block = first; block < first + span->page_count / TRI_PAGES_PER_BLOCK; block++) {
    uint32_t class_id = tri_ticket_class(spans, block);
    if (class_id >> TRI_TICKET_TAG_LOG2) continue;
    TRI_CHECK((class_id & ~(uint32_t)TRI_TICKET_WATCHED) == span->class_id && tri_span_is_swept(spans, span) &&
                  tri_load_relaxed(&span->lent),
              "block %llu has a ticket, and its span %u allows for none", (unsigned long long)block,
              tri_span_index(spans, span));
    if (class_id & TRI_TICKET_WATCHED) continue;
    uint64_t word = block << (TRI_BLOCK_LOG2 - TRI_GRANULE_LOG2 - 6);
    for (uint64_t end = word + (TRI_BLOCK_BYTES >> (TRI_GRANULE_LOG2 + 6)); word < end; word++)
      TRI_CHECK(spans->space.bits.freed[word] == 0,
                "block %llu has a slot whose F bit is set, and its ticket is not watched", (unsigned long long)block);
  }
}

void tri_span_check(const tri_spans *spans, const tri_span *span) {
  uint32_t index = tri_span_index(spans, span);
  uint64_t first = tri_span_first_page(spans, span);
  TRI_CHECK(first >> TRI_SPAN_INDEX_PAGES_LOG2 == index, "span %u starts at page %llu", index,
            (unsigned long long)first);
  for (uint64_t page = first; page < first + span->page_count; page++)
    TRI_CHECK(spans->space.page_map[page] == index + 1, "page %llu of span %u leads to span %u",
              (unsigned long long)page, index, spans->space.page_map[page] - 1);
  if (span->state == TRI_SPAN_LARGE) {
    TRI_CHECK(span->object_bytes <= (uint64_t)span->page_count << TRI_PAGE_LOG2, "large span %u is too short", index);
    TRI_CHECK(tri_load_acquire(&spans->layouts[span->class_id]) != NULL, "large span %u has no layout", index);
    return;
  }
  const tri_span_class *class = tri_spans_class_by_id(spans, span->class_id);
  TRI_CHECK(class && class->info->slot_bytes == span->slot_bytes, "span %u: class %u does not have slots of %u bytes",
            index, span->class_id, span->slot_bytes);
  TRI_CHECK(span->live_slots <= span->slots, "span %u: %u slots of %u are alive", index, span->live_slots, span->slots);
  uint64_t block = first / TRI_PAGES_PER_BLOCK;
  TRI_CHECK((spans->space.layout_map[block] & TRI_ENTRY_CLASS) == span->class_id,
            "block %llu: the layout map says class %u, its span %u", (unsigned long long)block,
            spans->space.layout_map[block] & TRI_ENTRY_CLASS, span->class_id);
  tri_tickets_check(spans, span);
}
