// Tickets: what most frees need not look at an object's span for.
//
// A block's ticket names the class of its slots, and says that a free of one has little else to see to. It is 4 bytes
// where the span is a cache line of its own, and one comparison where the span takes six loads.
//
//   none   -> issued   [tri_ticket_issue]   by a free that went the long way and found nothing to see to
//   issued -> watched  [tri_ticket_watch]   a slot of the block was freed by its F bit: frees look at F, too
//   issued, watched -> none
//                      [tri_ticket_void]    something was tied to a slot, or it waits in a window that was left behind
//   issued, watched -> stale                the next stop: the tag is the generation's
//   stale  -> none     [tri_tickets_void]   the sweep of its span, long before a tag comes round
//
// Invariants  A block with a ticket of this generation belongs to a small span that is swept and lent. No slot that
//             starts in it has a tie or a destroy callback, or is an orphan's, nor its F bit set unless the ticket is
//             watched.
// Callers     issuing: explicit free, phase off, the span swept in this generation. Watching and voiding: whoever makes
//             it necessary, afterwards: either an issuer sees that, or its ticket is the older one.
#ifndef TRI_SPAN_TICKET_H
#define TRI_SPAN_TICKET_H

#include "span/span.h"

enum {
  TRI_TICKET_WATCHED = 1 << 15,
  TRI_TICKET_TAG_LOG2 = 16,
};
_Static_assert((int)TRI_SPAN_CLASS_MAX < (int)TRI_TICKET_WATCHED, "a ticket has room for a class id");

/// What the tickets of a sweep generation have above; never 0.
static inline uint32_t tri_ticket_tag(uint32_t sweep_generation) {
  return (sweep_generation | UINT32_C(0x8000)) << TRI_TICKET_TAG_LOG2;
}

/// The class id of the slots of a block, with TRI_TICKET_WATCHED or without; something larger without a ticket.
static inline uint32_t tri_ticket_class(const tri_spans *spans, uint64_t block) {
  return tri_load_acquire(&spans->space.free_tickets[block]) ^ tri_load_relaxed(&spans->ticket_tag);
}

static inline uint32_t *tri_ticket_of(const tri_spans *spans, uintptr_t slot) {
  return &spans->space.free_tickets[(slot - spans->space.start) >> TRI_BLOCK_LOG2];
}

static inline void tri_ticket_void(const tri_spans *spans, uintptr_t slot) {
  tri_store_release(tri_ticket_of(spans, slot), 0u);
}

static inline void tri_ticket_watch(const tri_spans *spans, uintptr_t slot) {
  uint32_t *ticket = tri_ticket_of(spans, slot);
  if (!(tri_load_relaxed(ticket) & TRI_TICKET_WATCHED)) tri_or_ordered(ticket, (uint32_t)TRI_TICKET_WATCHED);
}

static inline bool tri_ticket_may_be(const tri_spans *spans, const tri_span *span) {
  return tri_load_acquire(&span->state) == TRI_SPAN_SMALL && tri_load_acquire(&span->duties) == 0 &&
         tri_load_acquire(&spans->orphan_count) == 0;
}

/// For the block in which a slot of a swept span starts, if it has none and nothing stands against it.
static inline void tri_ticket_issue(const tri_spans *spans, tri_span *span, uintptr_t slot) {
  uint32_t class_id = tri_ticket_class(spans, (slot - spans->space.start) >> TRI_BLOCK_LOG2);
  if (class_id >> TRI_TICKET_TAG_LOG2 == 0 || !tri_ticket_may_be(spans, span)) return;
  // Others may be reading the line all the time.
  if (!tri_load_relaxed(&span->lent)) tri_store_relaxed(&span->lent, (uint8_t)1);
  tri_exchange_ordered(tri_ticket_of(spans, slot), tri_load_relaxed(&spans->ticket_tag) | span->class_id);
  if (tri_load_acquire(&span->has_freed)) tri_ticket_watch(spans, slot);
  if (!tri_ticket_may_be(spans, span)) tri_ticket_void(spans, slot);
}

/// Of every block in which a slot of a group starts.
void tri_tickets_void_group(const tri_spans *spans, const struct tri_window *window);
/// All of a small span's.
void tri_tickets_void(const tri_spans *spans, const tri_span *span);
/// The invariant, as code; traps.
void tri_tickets_check(const tri_spans *spans, const tri_span *span);

#endif
