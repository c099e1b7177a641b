#include "collect/ties.h"

#include <string.h>

#include "base/step.h"
#include "collect/collect.h"
#include "span/ticket.h"

void tri_ties_init(tri_ties *ties) {
  memset(ties, 0, sizeof *ties);
  tri_lock_init(&ties->lock, TRI_RANK_TIES);
  ties->forever.heads = &ties->forever_head;
}

// The tables go with the heap's metadata.
void tri_ties_destroy(tri_ties *ties) {
  tri_lock_destroy(&ties->lock);
}

// ---- Records ----

tri_tie *tri_tie_at(const tri_ties *ties, uint32_t record) {
  return &ties->chunks[record >> TRI_TIE_CHUNK_LOG2][record & (TRI_TIE_CHUNK_RECORDS - 1)];
}

static bool tri_ties_add_chunk_locked(tri_ties *ties, tri_meta *meta) {
  if (ties->chunk_count == TRI_TIE_RECORDS_MAX >> TRI_TIE_CHUNK_LOG2) return false;
  if (ties->chunk_count == ties->chunk_capacity) {
    uint32_t grown = ties->chunk_capacity ? 2 * ties->chunk_capacity : 16;
    tri_tie **chunks = tri_meta_grow(meta, ties->chunks, ties->chunk_capacity * sizeof *chunks, grown * sizeof *chunks);
    if (!chunks) return false;
    ties->chunks = chunks;
    ties->chunk_capacity = grown;
  }
  tri_tie *chunk = tri_meta_allocate(meta, TRI_TIE_CHUNK_RECORDS * sizeof *chunk);
  if (!chunk) return false;
  uint32_t first = ties->chunk_count << TRI_TIE_CHUNK_LOG2;
  ties->chunks[ties->chunk_count++] = chunk;
  // The lowest is taken first; number 0 is nobody.
  for (uint32_t index = TRI_TIE_CHUNK_RECORDS; index-- > (first ? 0 : 1);) {
    chunk[index].next = ties->unused & TRI_TIE_NEXT_MASK;
    ties->unused = first + index;
  }
  return true;
}

static uint32_t tri_tie_take_record_locked(tri_ties *ties, tri_meta *meta) {
  if (!ties->unused && !tri_ties_add_chunk_locked(ties, meta)) return 0;
  uint32_t record = ties->unused;
  ties->unused = tri_tie_at(ties, record)->next;
  return record;
}

static void tri_tie_recycle_locked(tri_ties *ties, uint32_t record) {
  tri_tie *tie = tri_tie_at(ties, record);
  tie->kind = TRI_TIE_NONE;
  // A record and a serial stand for one tie for ever: 16 bytes are lost each time all serials of a record are used up.
  if (tie->serial == TRI_TIE_SERIAL_MASK) return;
  tie->serial = (tie->serial + 1) & TRI_TIE_SERIAL_MASK;
  tie->next = ties->unused & TRI_TIE_NEXT_MASK;
  ties->unused = record;
}

// ---- Lists ----

static uint32_t tri_span_buckets(const tri_span *span) {
  return (span->slots + TRI_TIE_BUCKET_SLOTS - 1) >> TRI_TIE_BUCKET_LOG2;
}

static tri_span_ties *tri_span_ties_of(const tri_collect *collect, const tri_span *span) {
  uint32_t index = tri_span_index(&collect->spans, span);
  tri_span_ties *page = collect->ties.spans ? collect->ties.spans[index >> TRI_TIE_SPANS_LOG2] : NULL;
  return page ? &page[index & ((1 << TRI_TIE_SPANS_LOG2) - 1)] : NULL;
}

// The span's lists, made if need be; NULL when memory is refused.
static tri_span_ties *tri_span_ties_make_locked(tri_collect *collect, const tri_span *span) {
  tri_ties *ties = &collect->ties;
  tri_meta *meta = &collect->spans.space.meta;
  if (!ties->spans) {
    uint64_t span_count = collect->spans.space.reserved_bytes >> (TRI_PAGE_LOG2 + TRI_SPAN_INDEX_PAGES_LOG2);
    ties->spans = tri_meta_allocate(meta, ((span_count >> TRI_TIE_SPANS_LOG2) + 1) * sizeof *ties->spans);
    if (!ties->spans) return NULL;
  }
  tri_span_ties **page = &ties->spans[tri_span_index(&collect->spans, span) >> TRI_TIE_SPANS_LOG2];
  if (!*page) *page = tri_meta_allocate(meta, sizeof **page << TRI_TIE_SPANS_LOG2);
  if (!*page) return NULL;
  tri_span_ties *lists = tri_span_ties_of(collect, span);
  if (!lists->heads) lists->heads = tri_meta_allocate(meta, tri_span_buckets(span) * sizeof *lists->heads);
  return lists->heads ? lists : NULL;
}

static void tri_span_ties_forget_locked(tri_collect *collect, tri_span *span, tri_span_ties *lists) {
  TRI_ASSERT(lists->count == 0 && lists->cancelled == 0);
  tri_meta_free(&collect->spans.space.meta, lists->heads, tri_span_buckets(span) * sizeof *lists->heads);
  lists->heads = NULL;
  uint8_t duties = tri_load_relaxed(&span->duties) & (uint8_t)~TRI_SPAN_HAS_TIES;
  tri_store_release(&span->duties, duties);
}

static void tri_ties_count_locked(tri_ties *ties, tri_tie_kind kind, uint32_t change) {
  ties->tied += change;
  if (kind == TRI_TIE_CLEANUP) ties->cleanups += change;
}

// Of the list that begins with this record; 0 if it has none.
static uint32_t tri_tie_last_weak_locked(const tri_ties *ties, uint32_t record) {
  uint32_t last = 0;
  for (; record && tri_tie_at(ties, record)->kind == TRI_TIE_WEAK; record = tri_tie_at(ties, record)->next)
    last = record;
  return last;
}

uint32_t tri_tie_add_locked(tri_collect *collect, const tri_object_place *place, tri_tie_kind kind, uint32_t function,
                            uint64_t payload) {
  tri_ties *ties = &collect->ties;
  tri_span_ties *lists = place->span ? tri_span_ties_make_locked(collect, place->span) : &ties->forever;
  uint32_t record = lists ? tri_tie_take_record_locked(ties, &collect->spans.space.meta) : 0;
  if (!record) {
    if (lists && place->span && lists->count == 0) tri_span_ties_forget_locked(collect, place->span, lists);
    return 0;
  }
  uint32_t *head = &lists->heads[place->slot >> TRI_TIE_BUCKET_LOG2];
  uint32_t before = kind == TRI_TIE_WEAK ? 0 : tri_tie_last_weak_locked(ties, *head);
  tri_tie *tie = tri_tie_at(ties, record);
  tie->next = (before ? tri_tie_at(ties, before)->next : *head) & TRI_TIE_NEXT_MASK;
  tie->slot = place->slot & (TRI_TIE_BUCKET_SLOTS - 1);
  tie->kind = kind & 3;
  tie->function = function & TRI_TIE_FUNCTIONS;
  tie->payload = payload;
  if (before)
    tri_tie_at(ties, before)->next = record & TRI_TIE_NEXT_MASK;
  else
    *head = record;
  lists->count++;
  tri_ties_count_locked(ties, kind, 1);
  if (place->span) {
    uint8_t duties = tri_load_relaxed(&place->span->duties) | TRI_SPAN_HAS_TIES;
    tri_store_release(&place->span->duties, duties);
    tri_ticket_void(&collect->spans, place->start);
  }
  return record;
}

// Where an object's ties are; lists is NULL where there are none.
typedef struct tri_tie_list {
  tri_span *span; // NULL: of the empty object
  tri_span_ties *lists;
  uint32_t *head;
  uint32_t slot;
} tri_tie_list;

static tri_tie_list tri_tie_list_at(tri_collect *collect, const tri_object_place *place) {
  tri_tie_list list = {place->span, NULL, NULL, place->slot & (TRI_TIE_BUCKET_SLOTS - 1)};
  list.lists = place->span ? tri_span_ties_of(collect, place->span) : &collect->ties.forever;
  if (list.lists && !list.lists->heads) list.lists = NULL;
  if (list.lists) list.head = &list.lists->heads[place->slot >> TRI_TIE_BUCKET_LOG2];
  return list;
}

static tri_tie_list tri_tie_list_of(tri_collect *collect, uintptr_t object) {
  tri_object_place place = {NULL, object, 0};
  if (object == (uintptr_t)tri_empty_object()) return tri_tie_list_at(collect, &place);
  // The object may have ended, and its span be given back right now: only one with ties stays what it is while the lock
  // is held.
  tri_span *span = tri_span_at(&collect->spans, object);
  const tri_span_ties *lists = span ? tri_span_ties_of(collect, span) : NULL;
  if (!lists || !lists->heads) return (tri_tie_list){0};
  place = tri_slot_at(&collect->spans, object);
  return tri_tie_list_at(collect, &place);
}

// The record of the slot's weak cell, and the one before it; 0 if it has none. They come first.
static uint32_t tri_tie_find_weak_locked(const tri_ties *ties, const tri_tie_list *list, uint32_t *out_before) {
  *out_before = 0;
  uint32_t record = list->head ? *list->head : 0;
  for (; record && tri_tie_at(ties, record)->kind == TRI_TIE_WEAK; record = tri_tie_at(ties, record)->next) {
    if (tri_tie_at(ties, record)->slot == list->slot) return record;
    *out_before = record;
  }
  return 0;
}

struct tri_weak *tri_tie_weak_of_locked(tri_collect *collect, const tri_object_place *place) {
  tri_tie_list list = tri_tie_list_at(collect, place);
  uint32_t before, record = tri_tie_find_weak_locked(&collect->ties, &list, &before);
  return record ? (struct tri_weak *)tri_tie_at(&collect->ties, record)->payload : NULL;
}

static bool tri_tie_is_cancelled(const tri_tie *tie) {
  return tie->kind == TRI_TIE_NONE ||
         (tie->kind == TRI_TIE_EPHEMERON && ((struct tri_ephemeron *)tie->payload)->key == TRI_EPHEMERON_UNUSED);
}

static void tri_tie_unlink_locked(tri_collect *collect, const tri_tie_list *list, uint32_t before, uint32_t record) {
  tri_ties *ties = &collect->ties;
  const tri_tie *tie = tri_tie_at(ties, record);
  if (before)
    tri_tie_at(ties, before)->next = tie->next;
  else
    *list->head = tie->next;
  if (tri_tie_is_cancelled(tie))
    list->lists->cancelled--;
  else
    tri_ties_count_locked(ties, (tri_tie_kind)tie->kind, UINT32_MAX); // one less
  if (--list->lists->count == 0 && list->span) tri_span_ties_forget_locked(collect, list->span, list->lists);
}

// The record is about to be cancelled where it is.
static void tri_tie_count_cancelled_locked(tri_collect *collect, const tri_tie_list *list, tri_tie_kind kind) {
  tri_ties_count_locked(&collect->ties, kind, UINT32_MAX); // one less
  list->lists->cancelled++;
}

static bool tri_tie_is_of(const tri_tie *tie, tri_tie_kind kind, uint64_t payload) {
  return tie->kind == kind && tie->payload == payload;
}

// Among the first records of a list, and the one before it; 0 if it is not. `*out_whole`: those were all.
static uint32_t tri_tie_find_near_locked(const tri_ties *ties, const tri_tie_list *list, tri_tie_kind kind,
                                         uint64_t payload, uint32_t *out_before, bool *out_whole) {
  uint32_t record = list->head ? *list->head : 0;
  *out_before = 0;
  for (int step = 0; record && step < TRI_TIE_NEAR; step++) {
    const tri_tie *tie = tri_tie_at(ties, record);
    if (tie->slot == list->slot && tri_tie_is_of(tie, kind, payload)) return record;
    *out_before = record;
    record = tie->next;
  }
  *out_whole = record == 0;
  return 0;
}

static void tri_span_ties_tidy_locked(tri_collect *collect, tri_span *span, tri_span_ties *lists);

bool tri_tie_remove_weak_locked(tri_collect *collect, uintptr_t object, const struct tri_weak *cell) {
  tri_ties *ties = &collect->ties;
  tri_tie_list list = tri_tie_list_of(collect, object);
  uint32_t before, record = tri_tie_find_weak_locked(ties, &list, &before);
  if (!record || tri_tie_at(ties, record)->payload != (uint64_t)(uintptr_t)cell) return false;
  tri_tie_unlink_locked(collect, &list, before, record);
  tri_tie_recycle_locked(ties, record);
  tri_span_ties_tidy_locked(collect, list.span, list.lists);
  return true;
}

bool tri_tie_remove_ephemeron_locked(tri_collect *collect, struct tri_ephemeron *cell) {
  tri_ties *ties = &collect->ties;
  tri_tie_list list = tri_tie_list_of(collect, cell->key);
  uint64_t payload = (uint64_t)(uintptr_t)cell;
  uint32_t before;
  bool whole;
  uint32_t record = tri_tie_find_near_locked(ties, &list, TRI_TIE_EPHEMERON, payload, &before, &whole);
  if (record) {
    tri_tie_unlink_locked(collect, &list, before, record);
    tri_tie_recycle_locked(ties, record);
    tri_ephemeron_recycle_locked(ties, cell);
  } else {
    if (whole) return false;
    tri_tie_count_cancelled_locked(collect, &list, TRI_TIE_EPHEMERON);
    // Used again when its record is found.
    tri_store_relaxed(&cell->key, TRI_EPHEMERON_UNUSED);
    tri_store_relaxed(&cell->value, (uintptr_t)0);
  }
  tri_span_ties_tidy_locked(collect, list.span, list.lists);
  return true;
}

const tri_tie *tri_tie_cleanup_locked(tri_collect *collect, uintptr_t object, uint32_t record, uint32_t serial) {
  const tri_ties *ties = &collect->ties;
  if (record == 0 || record >> TRI_TIE_CHUNK_LOG2 >= ties->chunk_count) return NULL;
  const tri_tie *tie = tri_tie_at(ties, record);
  if (tie->kind != TRI_TIE_CLEANUP || tie->serial != serial) return NULL;
  tri_tie_list list = tri_tie_list_of(collect, object);
  return list.head && tie->slot == list.slot ? tie : NULL;
}

void tri_tie_remove_cleanup_locked(tri_collect *collect, uintptr_t object, uint32_t record) {
  tri_ties *ties = &collect->ties;
  tri_tie_list list = tri_tie_list_of(collect, object);
  uint32_t before = 0, at = *list.head;
  for (int step = 0; at && at != record && step < TRI_TIE_NEAR; step++) {
    before = at;
    at = tri_tie_at(ties, at)->next;
  }
  if (at == record) {
    tri_tie_unlink_locked(collect, &list, before, record);
    tri_tie_recycle_locked(ties, record);
  } else {
    tri_tie *tie = tri_tie_at(ties, record);
    tri_tie_count_cancelled_locked(collect, &list, TRI_TIE_CLEANUP);
    tie->kind = TRI_TIE_NONE;
  }
  tri_span_ties_tidy_locked(collect, list.span, list.lists);
}

// ---- Cells ----

struct tri_weak *tri_weak_take_unused_locked(tri_collect *collect) {
  enum { CELLS = 64 };
  tri_ties *ties = &collect->ties;
  if (!ties->unused_weak) {
    struct tri_weak *cells = tri_meta_allocate(&collect->spans.space.meta, CELLS * sizeof *cells);
    if (!cells) return NULL;
    for (int index = CELLS - 1; index >= 0; index--) {
      cells[index].object = (uintptr_t)ties->unused_weak;
      ties->unused_weak = &cells[index];
    }
  }
  struct tri_weak *cell = ties->unused_weak;
  ties->unused_weak = (struct tri_weak *)cell->object;
  return cell;
}

void tri_weak_recycle_locked(tri_ties *ties, struct tri_weak *cell) {
  tri_store_relaxed(&cell->object, (uintptr_t)ties->unused_weak);
  ties->unused_weak = cell;
}

struct tri_ephemeron *tri_ephemeron_take_unused_locked(tri_collect *collect) {
  tri_ties *ties = &collect->ties;
  if (!ties->unused_ephemerons) {
    tri_ephemeron_block *block = tri_meta_allocate(&collect->spans.space.meta, sizeof *block);
    if (!block) return NULL;
    for (int index = TRI_EPHEMERON_BLOCK_CELLS - 1; index >= 0; index--) {
      block->cells[index] = (struct tri_ephemeron){TRI_EPHEMERON_UNUSED, (uintptr_t)ties->unused_ephemerons};
      ties->unused_ephemerons = &block->cells[index];
    }
    block->next = ties->ephemeron_blocks;
    ties->ephemeron_blocks = block;
  }
  struct tri_ephemeron *cell = ties->unused_ephemerons;
  ties->unused_ephemerons = (struct tri_ephemeron *)cell->value;
  return cell;
}

void tri_ephemeron_recycle_locked(tri_ties *ties, struct tri_ephemeron *cell) {
  tri_store_relaxed(&cell->key, TRI_EPHEMERON_UNUSED);
  tri_store_relaxed(&cell->value, (uintptr_t)ties->unused_ephemerons);
  ties->unused_ephemerons = cell;
}

// ---- The functions of cleanups ----

static uint32_t tri_tie_function_locked(tri_ties *ties, tri_cleanup_function *function) {
  for (uint32_t number = ties->function_count; number; number--)
    if (ties->functions[number] == function) return number;
  if (ties->function_count == TRI_TIE_FUNCTIONS) return 0;
  ties->functions[++ties->function_count] = function;
  return ties->function_count;
}

bool tri_tie_pack_call_locked(tri_collect *collect, const tri_tie_call *call, uint32_t *out_function,
                              uint64_t *out_payload) {
  *out_function = tri_tie_function_locked(&collect->ties, call->function);
  *out_payload = (uint64_t)(uintptr_t)call->context;
  if (*out_function) return true;
  tri_tie_call *beside = tri_meta_allocate(&collect->spans.space.meta, sizeof *beside);
  if (!beside) return false;
  *beside = *call;
  *out_payload = (uint64_t)(uintptr_t)beside;
  return true;
}

tri_tie_call tri_tie_unpack_call_locked(tri_collect *collect, uint32_t function, uint64_t payload) {
  if (function) return (tri_tie_call){collect->ties.functions[function], (void *)(uintptr_t)payload};
  tri_tie_call *beside = (tri_tie_call *)(uintptr_t)payload, call = *beside;
  tri_meta_free(&collect->spans.space.meta, beside, sizeof *beside);
  return call;
}

// ---- Ends ----

static void tri_tie_wait_locked(tri_ties *ties, uint32_t record) {
  tri_tie_at(ties, record)->next = 0;
  tri_tie_at(ties, record)->kind = TRI_TIE_NONE; // nobody can cancel it any more
  if (ties->pending_last)
    tri_tie_at(ties, ties->pending_last)->next = record & TRI_TIE_NEXT_MASK;
  else
    ties->pending_first = record;
  ties->pending_last = record;
  tri_store_relaxed(&ties->pending, ties->pending + 1);
}

// The object has ended; the record is in no list.
static void tri_tie_end_locked(tri_ties *ties, uint32_t record) {
  const tri_tie *tie = tri_tie_at(ties, record);
  if (tie->kind == TRI_TIE_CLEANUP) {
    tri_tie_wait_locked(ties, record);
    return;
  }
  if (tie->kind == TRI_TIE_WEAK) {
    // Pairs with the acquire in tri_tie_target().
    tri_store_release(&((struct tri_weak *)tie->payload)->object, (uintptr_t)0);
  } else {
    struct tri_ephemeron *ephemeron = (struct tri_ephemeron *)tie->payload;
    tri_store_release(&ephemeron->value, (uintptr_t)0);
    tri_store_release(&ephemeron->key, (uintptr_t)0);
    tri_store_relaxed(&ties->ephemerons, ties->ephemerons - 1);
  }
  tri_tie_recycle_locked(ties, record);
}

// Which ties of a list end.
typedef enum tri_tie_ends { TRI_TIES_CANCELLED, TRI_TIES_OF_SLOT, TRI_TIES_OF_DEAD, TRI_TIES_ALL } tri_tie_ends;

static bool tri_slot_is_dead(const tri_collect *collect, const tri_span *span, uint32_t slot) {
  const tri_space *space = &collect->spans.space;
  uintptr_t object = span->start + slot * tri_span_object_bytes(span);
  return !tri_bit_test(space->bits.allocated, tri_space_granule(space, object));
}

// The holder let go of it already.
static void tri_tie_drop_cancelled_locked(tri_ties *ties, uint32_t record) {
  const tri_tie *tie = tri_tie_at(ties, record);
  if (tie->kind == TRI_TIE_EPHEMERON) tri_ephemeron_recycle_locked(ties, (struct tri_ephemeron *)tie->payload);
  tri_tie_recycle_locked(ties, record);
}

// How many records it looked at. Those that were cancelled go whatever ends.
static uint32_t tri_tie_list_end_locked(tri_collect *collect, const tri_tie_list *list, uint32_t first_slot,
                                        tri_tie_ends ends) {
  tri_ties *ties = &collect->ties;
  uint32_t looked_at = 0;
  for (uint32_t record = *list->head, before = 0, next; record; record = next, looked_at++) {
    const tri_tie *tie = tri_tie_at(ties, record);
    next = tie->next;
    if (tri_tie_is_cancelled(tie)) {
      tri_tie_unlink_locked(collect, list, before, record);
      tri_tie_drop_cancelled_locked(ties, record);
      continue;
    }
    bool over = ends == TRI_TIES_ALL || (ends == TRI_TIES_OF_SLOT && tie->slot == list->slot) ||
                (ends == TRI_TIES_OF_DEAD && tri_slot_is_dead(collect, list->span, first_slot + tie->slot));
    if (over) {
      tri_tie_unlink_locked(collect, list, before, record);
      tri_tie_end_locked(ties, record);
    } else {
      before = record;
    }
  }
  return looked_at;
}

static void tri_span_ties_end_locked(tri_collect *collect, tri_span *span, tri_span_ties *lists, tri_tie_ends ends) {
  uint32_t buckets = span ? tri_span_buckets(span) : 1;
  for (uint32_t bucket = 0; bucket < buckets && lists->count; bucket++) {
    tri_tie_list list = {span, lists, &lists->heads[bucket], 0};
    tri_tie_list_end_locked(collect, &list, bucket << TRI_TIE_BUCKET_LOG2, ends);
  }
}

// A span that only cancelled records keep would say that it has ties; many of them would be walked past for ever.
static void tri_span_ties_tidy_locked(tri_collect *collect, tri_span *span, tri_span_ties *lists) {
  uint32_t cancelled = lists->cancelled;
  if (cancelled == 0 || !lists->heads) return;
  if (cancelled == lists->count || (cancelled >= TRI_TIE_CANCELLED_MIN && cancelled > lists->count / 2))
    tri_span_ties_end_locked(collect, span, lists, TRI_TIES_CANCELLED);
}

static void tri_ties_tell_pending(tri_collect *collect, uint64_t pending_before) {
  tri_ties *ties = &collect->ties;
  if (tri_load_relaxed(&ties->pending) > pending_before && (pending_before == 0 || tri_load_relaxed(&ties->unserved)))
    ties->cleanups_pending(collect);
}

// From the list `*bucket` on; false when that was the last.
static bool tri_ties_sweep_some_locked(tri_collect *collect, tri_span *span, uint32_t *bucket) {
  tri_span_ties *lists = tri_span_ties_of(collect, span);
  for (uint32_t looked_at = 0; lists && lists->heads && *bucket < tri_span_buckets(span); ++*bucket) {
    if (looked_at >= TRI_TIE_SWEPT_AT_ONCE) return true;
    tri_tie_list list = {span, lists, &lists->heads[*bucket], 0};
    looked_at += tri_tie_list_end_locked(collect, &list, *bucket << TRI_TIE_BUCKET_LOG2, TRI_TIES_OF_DEAD);
  }
  if (lists) tri_span_ties_tidy_locked(collect, span, lists);
  return false;
}

// In between others get the lock. What they find is what they would find before or after the sweep of this span: cells
// are cleared one by one, and until the span says that it is swept the marks tell.
void tri_ties_sweep(tri_collect *collect, tri_span *span) {
  tri_ties *ties = &collect->ties;
  tri_assert_phase(collect, TRI_PHASE_OFF);
  TRI_CHECK(!tri_span_is_swept(&collect->spans, span),
            "the weak references and cleanups of span %u are swept, but the span has been already",
            tri_span_index(&collect->spans, span));
  tri_step(TRI_STEP_TIES_SWEEP);
  uint32_t bucket = 0;
  bool more;
  do {
    tri_lock_acquire(&ties->lock);
    uint64_t before = ties->pending;
    more = tri_ties_sweep_some_locked(collect, span, &bucket);
    tri_lock_release(&ties->lock);
    tri_ties_tell_pending(collect, before);
  } while (more);
}

void tri_ties_end_object(tri_collect *collect, const tri_object_place *place) {
  tri_ties *ties = &collect->ties;
  tri_lock_acquire(&ties->lock);
  uint64_t before = ties->pending;
  tri_tie_list list = tri_tie_list_at(collect, place);
  if (list.head) tri_tie_list_end_locked(collect, &list, 0, TRI_TIES_OF_SLOT);
  if (list.head) tri_span_ties_tidy_locked(collect, list.span, list.lists);
  tri_lock_release(&ties->lock);
  tri_ties_tell_pending(collect, before);
}

bool tri_ties_end_all(tri_collect *collect) {
  tri_ties *ties = &collect->ties;
  tri_spans *spans = &collect->spans;
  tri_lock_acquire(&ties->lock);
  bool any = ties->tied != 0;
  uint32_t end = any ? tri_span_index_end(spans) : 0;
  for (uint32_t index = 0; index < end; index++) {
    tri_span *span = tri_span_by_index(spans, index);
    if (tri_load_acquire(&span->state) == TRI_SPAN_FREE || !tri_span_has_ties(span)) continue;
    tri_span_ties_end_locked(collect, span, tri_span_ties_of(collect, span), TRI_TIES_ALL);
  }
  if (ties->forever.count) tri_span_ties_end_locked(collect, NULL, &ties->forever, TRI_TIES_ALL);
  tri_lock_release(&ties->lock);
  return any;
}

uint32_t tri_ties_take_pending(tri_collect *collect, tri_tie_call *out_calls, uint32_t max) {
  tri_ties *ties = &collect->ties;
  uint32_t count = 0;
  tri_lock_acquire(&ties->lock);
  while (count < max && ties->pending_first) {
    uint32_t record = ties->pending_first;
    const tri_tie *tie = tri_tie_at(ties, record);
    ties->pending_first = tie->next;
    if (!ties->pending_first) ties->pending_last = 0;
    out_calls[count++] = tri_tie_unpack_call_locked(collect, tie->function, tie->payload);
    tri_tie_recycle_locked(ties, record);
  }
  tri_store_relaxed(&ties->pending, ties->pending - count);
  tri_lock_release(&ties->lock);
  return count;
}

// ---- Loads ----

// A sweep is running: either the object's span has been swept, and what the cell says is true; or it has not, its slots
// are what they were in the stop, and the mark tells.
uintptr_t tri_tie_target_locked(const tri_collect *collect, const uintptr_t *place) {
  uintptr_t object = tri_load_relaxed(place);
  if (!object || !tri_space_contains(&collect->spans.space, object)) return object;
  const tri_span *span = tri_span_at(&collect->spans, object);
  if (tri_span_is_swept(&collect->spans, span)) return object;
  return tri_object_at(&collect->spans, object).start;
}

uintptr_t tri_tie_target(tri_collect *collect, const uintptr_t *place) {
  tri_step(TRI_STEP_WEAK_LOAD);
  // Before the word: a sweep that is over has cleared what it had to.
  if (tri_load_acquire(&collect->sweep.running)) {
    tri_step(TRI_STEP_WEAK_LOAD_UNSWEPT);
    tri_lock_acquire(&collect->ties.lock);
    uintptr_t object = tri_tie_target_locked(collect, place);
    tri_lock_release(&collect->ties.lock);
    return object;
  }
  return tri_load_acquire(place);
}

void tri_ties_each_value(tri_collect *collect, uintptr_t object, void (*each)(void *context, uintptr_t value),
                         void *context) {
  tri_ties *ties = &collect->ties;
  tri_lock_acquire(&ties->lock);
  tri_tie_list list = tri_tie_list_of(collect, object);
  for (uint32_t record = list.head ? *list.head : 0; record; record = tri_tie_at(ties, record)->next) {
    const tri_tie *tie = tri_tie_at(ties, record);
    if (tie->slot == list.slot && tie->kind == TRI_TIE_EPHEMERON)
      each(context, tri_load_relaxed(&((struct tri_ephemeron *)tie->payload)->value));
  }
  tri_lock_release(&ties->lock);
}

// ---- Checks ----

static void tri_tie_check(const tri_collect *collect, const tri_span *span, uint32_t slot, const tri_tie *tie) {
  const tri_space *space = &collect->spans.space;
  uintptr_t object = span->start + slot * tri_span_object_bytes(span);
  uint64_t granule = tri_space_granule(space, object);
  TRI_CHECK(slot < span->slots && tri_bit_test(space->bits.allocated, granule) &&
                !tri_bit_test(space->bits.freed, granule),
            "%p has a weak reference, an ephemeron or a cleanup and is no object", (void *)object);
  if (tie->kind == TRI_TIE_WEAK)
    TRI_CHECK(((struct tri_weak *)tie->payload)->object == object, "the weak reference to %p refers to another object",
              (void *)object);
  if (tie->kind == TRI_TIE_EPHEMERON)
    TRI_CHECK(((struct tri_ephemeron *)tie->payload)->key == object, "the ephemeron of %p has another key",
              (void *)object);
}

static uint32_t tri_span_ties_check(tri_collect *collect, const tri_span *span) {
  const tri_span_ties *lists = tri_span_ties_of(collect, span);
  uint32_t index = tri_span_index(&collect->spans, span), count = 0, cancelled = 0;
  bool told = tri_span_has_ties(span), any = lists && lists->heads;
  TRI_CHECK(told == any, "span %u has weak references or cleanups and does not say so, or the reverse", index);
  for (uint32_t bucket = 0; any && bucket < tri_span_buckets(span); bucket++)
    for (uint32_t record = lists->heads[bucket]; record; record = tri_tie_at(&collect->ties, record)->next) {
      const tri_tie *tie = tri_tie_at(&collect->ties, record);
      count++;
      if (tri_tie_is_cancelled(tie))
        cancelled++;
      else
        tri_tie_check(collect, span, (bucket << TRI_TIE_BUCKET_LOG2) + tie->slot, tie);
    }
  TRI_CHECK(!any || (count == lists->count && cancelled == lists->cancelled),
            "span %u counts %u weak references and cleanups, %u of them cancelled, and has %u and %u", index,
            lists->count, lists->cancelled, count, cancelled);
  return count - cancelled;
}

void tri_ties_check(tri_collect *collect) {
  tri_ties *ties = &collect->ties;
  tri_lock_acquire(&ties->lock);
  uint32_t end = tri_span_index_end(&collect->spans), tied = ties->forever.count - ties->forever.cancelled;
  for (uint32_t index = 0; index < end; index++) {
    const tri_span *span = tri_span_by_index(&collect->spans, index);
    if (tri_load_acquire(&span->state) != TRI_SPAN_FREE) tied += tri_span_ties_check(collect, span);
  }
  TRI_CHECK(tied == ties->tied, "%u weak references and cleanups are counted, %u found", ties->tied, tied);
  tri_lock_release(&ties->lock);
}

void tri_ties_break_count_testing(tri_collect *collect, const tri_span *span) {
  tri_span_ties_of(collect, span)->count++;
}
