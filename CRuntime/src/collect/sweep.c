#include "collect/sweep.h"

#include <string.h>

#include "base/callback.h"
#include "base/step.h"
#include "os/thread.h"
#include "span/ticket.h"

void tri_span_class_refresh_locked(tri_collect *collect, tri_span_class *class) {
  uint32_t generation = tri_load_relaxed(&collect->spans.sweep_generation);
  if (class->list_generation == generation) return;
  class->list_generation = generation;
  for (int list = 0; list < TRI_FULLNESS_LISTS; list++) class->partial[list] = 0;
  class->empty_spans = 0;
}

static uint32_t tri_span_fullness_list(const tri_span *span) {
  uint32_t free_slots = span->slots - span->live_slots;
  return free_slots == span->slots ? TRI_FULLNESS_LISTS - 1 : free_slots * TRI_FULLNESS_LISTS / span->slots;
}

void tri_span_list_locked(tri_collect *collect, tri_span_class *class, tri_span *span) {
  tri_span_class_refresh_locked(collect, class);
  TRI_ASSERT(!span->listed);
  tri_store_relaxed(&span->listed, (uint8_t)1);
  uint32_t *list = &class->partial[tri_span_fullness_list(span)];
  span->next = *list;
  *list = tri_span_index(&collect->spans, span) + 1;
}

void tri_span_relist_locked(tri_collect *collect, tri_span_class *class, tri_span *span, uint16_t walker) {
  if (span->listed || span->runs || !tri_span_is_worth_walking(span)) return;
  tri_store_relaxed(&span->freed_slots, 0u);
  span->walker = walker;
  span->walked = true;
  span->next_group = 0;
  span->fresh = 0;
  tri_span_list_locked(collect, class, span);
}

static void tri_sweep_end(tri_collect *collect) {
  tri_sweep_state *sweep = &collect->sweep;
  tri_lock_acquire(&collect->sweep_lock);
  // What was alive or allocated and is neither now.
  uint64_t live = sweep->live_bytes, held = collect->live_bytes + sweep->allocated_bytes;
  tri_store_relaxed(&collect->live_bytes, live);
  tri_store_relaxed(&collect->live_objects, sweep->live_objects);
  tri_store_relaxed(&collect->freed_bytes_last, held > live ? held - live : 0);
  tri_store_relaxed(&collect->freed_bytes_total, collect->freed_bytes_total + collect->freed_bytes_last);
  tri_store_relaxed(&collect->sweep_ns_last, tri_clock_ns() - sweep->started_ns);
  tri_store_relaxed(&collect->sweep_ns_total, collect->sweep_ns_total + sweep->cpu_ns);
  if (collect->sweep_finished) collect->sweep_finished(collect);
  tri_store_release(&sweep->running, 0u);
  pthread_cond_broadcast(&collect->sweep_done);
  tri_lock_release(&collect->sweep_lock);
}

void tri_sweep_begin(tri_collect *collect, uint64_t allocated_bytes, bool keeps_empty_spans, uint64_t now_ns) {
  tri_assert_phase(collect, TRI_PHASE_OFF);
  TRI_CHECK(!tri_sweep_is_running(collect), "a sweep begins while the last one has not ended");
  tri_sweep_state *sweep = &collect->sweep;
  uint32_t generation = collect->spans.sweep_generation + 1;
  // A thread that was late for the last sweep may still look at these. First the cursors it knows are made void, so
  // that it cannot claim with them a unit that only this sweep has.
  for (int part = 0; part < TRI_SWEEP_PARTS; part++)
    tri_store_ordered(&sweep->cursors[part], (uint64_t)generation << 32 | UINT32_MAX);
  uint32_t limit = tri_span_index_end(&collect->spans);
  uint32_t units = (limit + TRI_SWEEP_UNIT_SPANS - 1) / TRI_SWEEP_UNIT_SPANS;
  tri_store_relaxed(&sweep->limit, limit);
  tri_store_relaxed(&sweep->units, units);
  tri_store_relaxed(&sweep->finished_parts, 0u);
  tri_store_relaxed(&sweep->live_bytes, (uint64_t)0);
  tri_store_relaxed(&sweep->live_objects, (uint64_t)0);
  tri_store_relaxed(&sweep->cpu_ns, (uint64_t)0);
  sweep->allocated_bytes = allocated_bytes;
  sweep->keeps_empty_spans = keeps_empty_spans;
  sweep->started_ns = now_ns;
  tri_store_relaxed(&sweep->generation, generation);
  tri_store_relaxed(&collect->spans.ticket_tag, tri_ticket_tag(generation));
  tri_store_release(&collect->spans.sweep_generation, generation);
  tri_store_release(&sweep->running, 1u);
  for (int part = 0; part < TRI_SWEEP_PARTS; part++)
    tri_store_release(&sweep->cursors[part], (uint64_t)generation << 32);
  if (units == 0) tri_sweep_end(collect);
}

// Which heap's destroy callback this thread is in.
static __thread const tri_collect *tri_sweep_destroying;

bool tri_sweep_is_destroying(const tri_collect *collect) {
  return tri_sweep_destroying == collect;
}

// Runs the destroy callback on every slot that was allocated, is not marked and was not freed explicitly.
static void tri_sweep_destroy_dead(tri_collect *collect, const tri_span *span, const struct tri_layout *layout) {
  const tri_space *space = &collect->spans.space;
  uint64_t bytes = tri_span_object_bytes(span);
  const tri_collect *outer = tri_sweep_destroying;
  tri_sweep_destroying = collect;
  for (uint32_t slot = 0; slot < span->slots; slot++) {
    uintptr_t object = span->start + slot * bytes;
    uint64_t granule = tri_space_granule(space, object);
    // After the swap the old allocation map is the one called marked.
    if (!tri_bit_test(space->bits.marked, granule) || tri_bit_test(space->bits.allocated, granule)) continue;
    if (tri_bit_test(space->bits.freed, granule)) continue; // tri_free ran it
    tri_callback_begin();
    layout->description.destroy((void *)object, bytes, layout->description.context);
    tri_callback_end();
  }
  tri_sweep_destroying = outer;
}

// Takes explicit frees out of the new allocation map, where marks that predate the free may have put them.
static void tri_sweep_merge_freed(tri_collect *collect, tri_span *span, uint64_t first_word, uint64_t words) {
  tri_bitmaps *bits = &collect->spans.space.bits;
  if (tri_load_acquire(&span->has_freed) == 0) return;
  // Before the bits are taken: a free that comes in between sets the flag again.
  tri_store_ordered(&span->has_freed, (uint8_t)0);
  tri_store_relaxed(&span->freed_slots, 0u);
  for (uint64_t word = first_word; word < first_word + words; word++) {
    uint64_t freed = tri_load_relaxed(&bits->freed[word]);
    if (!freed) continue;
    freed = __atomic_exchange_n(&bits->freed[word], 0, __ATOMIC_RELAXED);
    tri_store_relaxed(&bits->allocated[word], tri_load_relaxed(&bits->allocated[word]) & ~freed);
  }
}

// Its groups are nobody's again: the next refill may load any of them (mutator/lone.h).
static void tri_sweep_disown(const tri_space *space, const tri_span *span) {
  uint64_t first = tri_space_granule(space, span->start) >> 6;
  tri_four_owners *owners = (tri_four_owners *)(void *)&space->group_owners[first];
  uint64_t fours = tri_span_bitmap_words(span) / 4;
  for (uint64_t four = 0; four < fours; four++) tri_store_relaxed(&owners[four], UINT64_C(0));
}

// Without popcnt in the baseline instruction set a count costs ten instructions; most words of sparse spans are 0.
static uint32_t tri_sweep_count(const uint64_t *allocated, uint64_t words) {
  uint32_t live = 0;
  for (uint64_t word = 0; word < words; word++)
    if (allocated[word]) live += tri_popcount(allocated[word]);
  return live;
}

// M becomes the old set: what it had as the allocation map, without what died. Bits are only cleared, as stores may
// be clearing others of them (remember.h).
static uint32_t tri_sweep_count_and_keep_old(const uint64_t *allocated, uint64_t *old, uint64_t words) {
  uint32_t live = 0;
  for (uint64_t word = 0; word < words; word++) {
    uint64_t now = allocated[word];
    if (now) live += tri_popcount(now);
    if (!(tri_load_relaxed(&old[word]) & ~now)) continue;
    if (now)
      tri_and_relaxed(&old[word], now);
    else
      tri_store_relaxed(&old[word], UINT64_C(0));
  }
  return live;
}

static uint32_t tri_sweep_count_and_clear(tri_collect *collect, uint64_t first_word, uint64_t words) {
  const uint64_t *allocated = &collect->spans.space.bits.allocated[first_word];
  uint64_t *marked = &collect->spans.space.bits.marked[first_word], any = 0;
  for (uint64_t word = 0; word < words; word++) any |= allocated[word];
  if (any && collect->marks_kept) return tri_sweep_count_and_keep_old(allocated, marked, words);
  memset(marked, 0, words * sizeof *marked);
  return any ? tri_sweep_count(allocated, words) : 0;
}

// An empty span that was allocated from since the last sweep will be again: giving it back and making it anew costs as
// much as allocating its objects, if those are large. One that was not used goes back, and all do in a cycle that makes
// room.
static bool tri_sweep_keep_empty_locked(tri_collect *collect, tri_span_class *class, const tri_span *span) {
  tri_span_class_refresh_locked(collect, class);
  if (!collect->sweep.keeps_empty_spans || span->next_group == 0 || class->empty_spans == TRI_SWEEP_EMPTY_SPANS)
    return false;
  class->empty_spans++;
  return true;
}

// No window holds a group of it, and no slot is an object, waits for a refill or was freed a moment ago: those have
// their bit in A, or the span is lent. Under the class's lock nobody can claim a group.
static bool tri_span_is_empty_locked(const tri_collect *collect, const tri_span *span) {
  if (span->live_slots || span->next_group || span->runs) return false;
  uint64_t word = tri_space_granule(&collect->spans.space, span->start) >> 6, words = tri_span_bitmap_words(span);
  uint64_t any = 0;
  for (uint64_t end = word + words; word < end; word++)
    any |= tri_load_relaxed(&collect->spans.space.bits.allocated[word]);
  // Second: a lone mutator sets the flag before it clears the first bit.
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  return any == 0 && !tri_load_relaxed(&span->lent);
}

// Takes the empty spans off a class's lists, of which they are on the last; they stay linked to each other.
static uint32_t tri_span_class_take_empty_locked(tri_collect *collect, tri_span_class *class) {
  tri_span_class_refresh_locked(collect, class);
  uint32_t empty = 0, *link = &class->partial[TRI_FULLNESS_LISTS - 1];
  while (*link) {
    tri_span *span = tri_span_by_index(&collect->spans, *link - 1);
    if (!tri_span_is_empty_locked(collect, span)) {
      link = &span->next;
      continue;
    }
    uint32_t taken = *link;
    *link = span->next;
    tri_store_relaxed(&span->listed, (uint8_t)0);
    span->next = empty;
    empty = taken;
  }
  class->empty_spans = 0;
  return empty;
}

void tri_sweep_close(tri_collect *collect) {
  tri_store_ordered(&collect->sweep_closed, 1u);
}

void tri_sweep_open(tri_collect *collect) {
  tri_lock_acquire(&collect->sweep_lock);
  tri_store_ordered(&collect->sweep_closed, 0u);
  pthread_cond_broadcast(&collect->sweep_done);
  tri_lock_release(&collect->sweep_lock);
}

// Either whoever closes sees this thread's count, or this thread sees that it is closed.
static void tri_sweep_enter(tri_collect *collect) {
  for (;;) {
    __atomic_fetch_add(&collect->sweepers, 1u, __ATOMIC_SEQ_CST);
    if (!tri_load_ordered(&collect->sweep_closed)) return;
    __atomic_fetch_sub(&collect->sweepers, 1u, __ATOMIC_SEQ_CST);
    tri_lock_acquire(&collect->sweep_lock);
    while (tri_load_relaxed(&collect->sweep_closed)) tri_lock_wait(&collect->sweep_lock, &collect->sweep_done, 0);
    tri_lock_release(&collect->sweep_lock);
  }
}

static void tri_sweep_leave(tri_collect *collect) {
  __atomic_fetch_sub(&collect->sweepers, 1u, __ATOMIC_SEQ_CST);
}

void tri_sweep_drop_empty_spans(tri_collect *collect) {
  tri_assert_phase(collect, TRI_PHASE_OFF);
  TRI_CHECK(!tri_sweep_is_running(collect), "empty spans are dropped while a sweep is running");
  // As a unit of a sweep: a fork must not find a span half retired.
  tri_sweep_enter(collect);
  tri_spans *spans = &collect->spans;
  uint32_t count = tri_load_acquire(&spans->class_count);
  for (uint32_t id = 1; id < count; id++) {
    tri_span_class *class = tri_spans_class_by_id(spans, id);
    tri_lock_acquire(&class->lock);
    uint32_t empty = tri_span_class_take_empty_locked(collect, class);
    tri_lock_release(&class->lock);
    while (empty) {
      tri_span *span = tri_span_by_index(spans, empty - 1);
      empty = span->next;
      tri_span_retire(spans, span);
    }
  }
  tri_sweep_leave(collect);
}

typedef struct tri_sweep_tally {
  uint64_t live_objects, live_bytes;
  uint64_t freed_pages; // of large objects
} tri_sweep_tally;

// A minor cycle found no dead in a span of which no slot was taken or freed since the last sweep: what is in A was old,
// and old objects stay marked. Its words of A and M are equal, as that sweep left them.
static bool tri_sweep_span_is_unchanged(const tri_collect *collect, const tri_span *span) {
  return tri_load_relaxed(&collect->minor) && tri_load_relaxed(&collect->marks_kept) &&
         tri_load_relaxed(&span->frees) == TRI_SPAN_SMALL && !span->claimed && !tri_load_relaxed(&span->lent) &&
         span->live_slots;
}

static void tri_sweep_check_unchanged(const tri_collect *collect, const tri_span *span) {
  if (!TRI_CHECKS) return;
  const tri_bitmaps *bits = &collect->spans.space.bits;
  uint64_t first = tri_space_granule(&collect->spans.space, span->start) >> 6;
  uint32_t live = 0;
  for (uint64_t word = first; word < first + tri_span_bitmap_words(span); word++) {
    uint64_t allocated = tri_load_relaxed(&bits->allocated[word]), old = tri_load_relaxed(&bits->marked[word]);
    // Stores may have begun to write old objects down.
    TRI_CHECK((old & ~allocated) == 0, "a minor cycle lost an old object of span %u, from which nobody allocated",
              tri_span_index(&collect->spans, span));
    live += tri_popcount(allocated);
  }
  TRI_CHECK(live == span->live_slots, "span %u: %u objects survived a minor cycle, from the %u that nobody touched",
            tri_span_index(&collect->spans, span), live, span->live_slots);
}

// Last, and under the lock of the class: from here on a mutator that frees may put the span on a list, and another may
// walk it.
static void tri_sweep_publish_locked(const tri_collect *collect, tri_span *span) {
  tri_store_release(&span->sweep_generation, collect->sweep.generation);
}

static void tri_sweep_unchanged_span(tri_collect *collect, tri_span *span, tri_sweep_tally *tally) {
  tri_sweep_check_unchanged(collect, span);
  tally->live_objects += span->live_slots;
  tally->live_bytes += (uint64_t)span->live_slots * span->slot_bytes;
  tri_sweep_disown(&collect->spans.space, span);
  tri_step(TRI_STEP_SWEEP_SPAN);
  tri_span_class *class = tri_spans_class_by_id(&collect->spans, span->class_id);
  tri_lock_acquire(&class->lock);
  span->walker = 0;
  span->walked = false;
  tri_store_relaxed(&span->listed, (uint8_t)0);
  if (span->live_slots < span->slots) tri_span_list_locked(collect, class, span);
  tri_sweep_publish_locked(collect, span);
  tri_lock_release(&class->lock);
}

static void tri_sweep_span(tri_collect *collect, tri_span *span, tri_sweep_tally *tally) {
  if (tri_sweep_span_is_unchanged(collect, span)) {
    tri_sweep_unchanged_span(collect, span, tally);
    return;
  }
  tri_spans *spans = &collect->spans;
  struct tri_layout *layout = tri_span_layout(spans, span);
  // A large object has one bit, the first; the rest of its words were never touched.
  bool large = span->state == TRI_SPAN_LARGE;
  uint64_t first_word = tri_space_granule(&spans->space, span->start) >> 6;
  uint64_t words = tri_span_bitmap_words(span);
  if (tri_span_has_ties(span)) tri_ties_sweep(collect, span);
  if (layout->description.destroy) tri_sweep_destroy_dead(collect, span, layout);
  tri_sweep_merge_freed(collect, span, first_word, words);
  uint32_t live = tri_sweep_count_and_clear(collect, first_word, words);
  uint64_t bytes = large ? (uint64_t)span->page_count << TRI_PAGE_LOG2 : span->slot_bytes;
  tally->live_objects += live;
  tally->live_bytes += live * bytes;
  span->live_slots = live;
  if (tri_load_relaxed(&span->lent)) tri_tickets_void(spans, span);
  tri_store_relaxed(&span->lent, (uint8_t)0);
  if (large) {
    tri_store_release(&span->sweep_generation, collect->sweep.generation);
    if (live) return;
    tally->freed_pages += span->page_count;
    tri_span_retire(spans, span);
    return;
  }
  tri_sweep_disown(&spans->space, span);
  tri_step(TRI_STEP_SWEEP_SPAN);
  tri_span_class *class = tri_spans_class_by_id(spans, span->class_id);
  tri_lock_acquire(&class->lock);
  bool kept = live > 0 || tri_sweep_keep_empty_locked(collect, class, span);
  span->fresh = 0;
  span->claimed = 0;
  span->next_group = 0;
  span->runs = 0;
  span->walker = 0;
  span->walked = false;
  tri_store_relaxed(&span->listed, (uint8_t)0);
  if (kept && live < span->slots) tri_span_list_locked(collect, class, span);
  tri_sweep_publish_locked(collect, span);
  tri_lock_release(&class->lock);
  if (!kept) tri_span_retire(spans, span);
}

// The generation is part of the cursor: a thread that was late for the last sweep must not claim a unit of this one
// with what it read before.
static bool tri_sweep_claim(tri_sweep_state *sweep, tri_sweep_part part, uint32_t *out_unit) {
  uint64_t cursor = tri_load_acquire(&sweep->cursors[part]);
  for (;;) {
    uint32_t unit = (uint32_t)cursor;
    if (unit >= tri_load_relaxed(&sweep->units)) return false;
    if (tri_compare_exchange_ordered(&sweep->cursors[part], &cursor, cursor + 1)) {
      *out_unit = unit;
      return true;
    }
  }
}

static uint64_t tri_sweep_clock_ns(const tri_collect *collect) {
  return tri_load_relaxed(&collect->counts_cpu) ? tri_thread_cpu_ns() : tri_clock_ns();
}

// Whether it is one of those in this state that are to be swept. A span stays in its state until that is done, so one
// part of a sweep alone sees it as its own; what others make here meanwhile has the new generation.
static bool tri_sweep_is_due(const tri_span *span, tri_span_state state, uint32_t generation) {
  // Pairs with the release in tri_span_make_*: a span seen here has its generation written.
  return tri_load_acquire(&span->state) == state && tri_load_relaxed(&span->sweep_generation) != generation;
}

static void tri_sweep_small_spans(tri_collect *collect, uint32_t first, uint32_t end, tri_sweep_tally *tally) {
  uint32_t generation = tri_load_relaxed(&collect->sweep.generation);
  for (uint32_t index = first; index < end; index++) {
    tri_span *span = tri_span_by_index(&collect->spans, index);
    if (tri_sweep_is_due(span, TRI_SPAN_SMALL, generation)) tri_sweep_span(collect, span, tally);
  }
}

// The layout map tells where large objects may be: two bytes to read for a block, instead of the lines of its spans.
static void tri_sweep_large_spans(tri_collect *collect, uint32_t first, uint32_t end, tri_sweep_tally *tally) {
  const tri_layout_entry *entries = collect->spans.space.layout_map;
  uint32_t generation = tri_load_relaxed(&collect->sweep.generation);
  // Of the last block an entry may lie behind the end: it is not in use, or new.
  for (uint32_t block = first / TRI_SPANS_PER_BLOCK; block * TRI_SPANS_PER_BLOCK < end; block++) {
    if (tri_load_relaxed(&entries[block]) != TRI_ENTRY_MIXED) continue;
    tri_span *spans = tri_span_of_block(&collect->spans, block);
    for (uint32_t at = 0; at < TRI_SPANS_PER_BLOCK; at++)
      if (tri_sweep_is_due(&spans[at], TRI_SPAN_LARGE, generation)) tri_sweep_span(collect, &spans[at], tally);
  }
}

static void tri_sweep_part_of_unit(tri_collect *collect, tri_sweep_part part, uint32_t unit, tri_sweep_tally *tally) {
  uint32_t first = unit * TRI_SWEEP_UNIT_SPANS, end = first + TRI_SWEEP_UNIT_SPANS;
  uint32_t limit = tri_load_relaxed(&collect->sweep.limit);
  if (end > limit) end = limit;
  if (part == TRI_SWEEP_LARGE)
    tri_sweep_large_spans(collect, first, end, tally);
  else
    tri_sweep_small_spans(collect, first, end, tally);
}

// Sweeps the large objects of the next unit of which nobody did and, if asked, the small spans of another such; false
// when neither is left to claim. Adds the pages of large objects that were dead.
static bool tri_sweep_claimed(tri_collect *collect, bool small_too, uint64_t *freed_pages) {
  tri_sweep_state *sweep = &collect->sweep;
  uint32_t small_unit = 0, large_unit = 0;
  bool small = small_too && tri_sweep_claim(sweep, TRI_SWEEP_SMALL, &small_unit);
  bool large = tri_sweep_claim(sweep, TRI_SWEEP_LARGE, &large_unit);
  if (!small && !large) return false;
  // Only with a claim in hand: until then the sweep may be over and the next cycle begun.
  tri_assert_phase(collect, TRI_PHASE_OFF);
  tri_step(TRI_STEP_SWEEP_UNIT);
  uint64_t began = tri_sweep_clock_ns(collect);
  tri_sweep_tally tally = {0, 0, 0};
  if (large) tri_sweep_part_of_unit(collect, TRI_SWEEP_LARGE, large_unit, &tally);
  if (small) tri_sweep_part_of_unit(collect, TRI_SWEEP_SMALL, small_unit, &tally);
  *freed_pages += tally.freed_pages;
  tri_add_relaxed(&sweep->live_objects, tally.live_objects);
  tri_add_relaxed(&sweep->live_bytes, tally.live_bytes);
  tri_add_relaxed(&sweep->cpu_ns, tri_sweep_clock_ns(collect) - began);
  uint32_t parts = TRI_SWEEP_PARTS * tri_load_relaxed(&sweep->units), now = (uint32_t)small + (uint32_t)large;
  if (__atomic_add_fetch(&sweep->finished_parts, now, __ATOMIC_ACQ_REL) == parts) tri_sweep_end(collect);
  return true;
}

static bool tri_sweep_some(tri_collect *collect, bool small_too, uint64_t *freed_pages) {
  if (!tri_sweep_is_running(collect)) return false;
  tri_sweep_enter(collect);
  bool swept = tri_sweep_claimed(collect, small_too, freed_pages);
  tri_sweep_leave(collect);
  return swept;
}

bool tri_sweep_unit(tri_collect *collect) {
  uint64_t freed_pages = 0;
  return tri_sweep_some(collect, true, &freed_pages);
}

bool tri_sweep_large(tri_collect *collect, uint64_t pages) {
  uint64_t freed_pages = 0;
  while (freed_pages < pages && tri_sweep_some(collect, false, &freed_pages)) {
  }
  return freed_pages != 0;
}

void tri_sweep_large_object(tri_collect *collect, const tri_span *span) {
  uint64_t freed_pages = 0;
  while (!tri_span_is_swept(&collect->spans, span))
    if (!tri_sweep_some(collect, false, &freed_pages)) tri_thread_yield();
}

void tri_sweep_finish(tri_collect *collect) {
  while (tri_sweep_unit(collect)) {
  }
  tri_lock_acquire(&collect->sweep_lock);
  while (tri_sweep_is_running(collect)) tri_lock_wait(&collect->sweep_lock, &collect->sweep_done, 0);
  tri_lock_release(&collect->sweep_lock);
}
