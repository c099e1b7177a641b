// A malloc trace says nothing about references. For the collected replay every new block of 16 bytes or more
// gets one to an earlier block, chosen here, before anything is timed.
//
// Which one: of the blocks live at that moment, the one allocated last among those that outlive the new one.
// The trace is known to its end, so this can be decided exactly. Two things follow:
//   - a link never keeps a dead block alive: its target dies later than the block holding it. Dropping the
//     table's slot at the recorded free makes the block garbage at that very event, without extra stores;
//   - links form trees as the lifetimes nest, like nodes that refer to the structure they belong to; blocks
//   that
//     live to the end form a chain.
// A realloc is the end of one block and the birth of another. Blocks that the program left behind count as
// living forever. Blocks with no such elder (the first, mostly) have no link.
//
// Cost: one barriered store and one load of the table per block, in every contender alike.
#ifndef BENCH_REPLAY_LINKS_H
#define BENCH_REPLAY_LINKS_H

#include "replay_trace.h"

enum {
  /// A block needs room for the link and for the stamp that is checked (replay.c).
  REPLAY_LINKED_BYTES_MIN = 16,
};

static inline bool replay_is_birth(struct replay_event event) {
  enum replay_kind kind = replay_kind(event);
  return kind != REPLAY_FREE && kind != REPLAY_OLD_SIZE;
}

/// The event at which each block born at an event dies: for births only, found walking backwards.
static inline void replay_find_deaths(const struct replay_trace *trace, uint32_t *death,
                                      uint32_t *next_death) {
  for (size_t i = trace->count; i-- > 0;) {
    struct replay_event event = trace->events[i];
    if (replay_is_birth(event)) death[i] = next_death[event.slot];
    // Whatever the program left behind dies at one time, the end: none of it outlives another.
    uint32_t now = (uint32_t)(i < trace->count_to_end ? i : trace->count_to_end);
    if (replay_kind(event) == REPLAY_FREE || replay_kind(event) == REPLAY_REALLOC)
      next_death[event.slot] = now;
  }
}

struct replay_elder {
  uint32_t death, slot;
};

/// Chooses every link. Linear: a stack of blocks that the next one may refer to, each dying before the one
/// below. A new block removes those that die before it, since it is a better choice than they for all to
/// come.
static inline size_t replay_choose_links(struct replay_trace *trace) {
  size_t death_bytes = trace->count * sizeof(uint32_t);
  size_t next_death_bytes = trace->header.slot_count * sizeof(uint32_t);
  size_t elder_bytes = trace->count * sizeof(struct replay_elder);
  uint32_t *death = replay_map_pages(trace->path, death_bytes);
  uint32_t *next_death = replay_map_pages(trace->path, next_death_bytes);
  struct replay_elder *elders = replay_map_pages(trace->path, elder_bytes);
  replay_find_deaths(trace, death, next_death);
  size_t depth = 0, links = 0;
  for (size_t i = 0; i < trace->count; i++) {
    struct replay_event *event = &trace->events[i];
    if (!replay_is_birth(*event)) continue;
    while (depth && elders[depth - 1].death < death[i])
      depth--;
    if (depth && replay_size(*event) >= REPLAY_LINKED_BYTES_MIN) {
      event->link = elders[depth - 1].slot;
      links++;
    }
    elders[depth++] = (struct replay_elder){.death = death[i], .slot = event->slot};
  }
  replay_unmap_pages(death, death_bytes);
  replay_unmap_pages(next_death, next_death_bytes);
  replay_unmap_pages(elders, elder_bytes);
  return links;
}

#endif
