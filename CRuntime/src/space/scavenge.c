#include "space/scavenge.h"

#include "base/step.h"
#include "os/thread.h"
#include "os/vm.h"
#include "space/huge_pages.h"

// Pages of one chunk that are out of the free set.
typedef struct tri_held {
  uint32_t chunk;
  bool whole; // all of them
  bool tables_touched;
  uint64_t pages[TRI_CHUNK_WORDS];
} tri_held;

tri_scavenge tri_scavenge_begin(tri_space *space, uint64_t age_ns, uint64_t keep_pages, uint32_t run_pages_min) {
  return (tri_scavenge){.space = space,
                        .age_ns = age_ns,
                        .keep_pages = keep_pages,
                        .run_pages_min = run_pages_min,
                        .cursor = UINT32_MAX,
                        .next_due_ns = UINT64_MAX};
}

static uint32_t tri_held_count(const tri_held *held) {
  uint32_t count = 0;
  for (int word = 0; word < TRI_CHUNK_WORDS; word++) count += tri_popcount(held->pages[word]);
  return count;
}

// From `at` on, the first run of set bits: its start, and its end in *out_end; TRI_PAGES_PER_CHUNK if there is none.
static uint32_t tri_bits_next_run(const uint64_t *bits, uint32_t at, uint32_t *out_end) {
  while (at < TRI_PAGES_PER_CHUNK) {
    uint64_t word = bits[at >> 6] >> (at & 63);
    if (word) {
      at += tri_first_set(word);
      break;
    }
    at = (at | 63) + 1;
  }
  uint32_t end = at;
  while (end < TRI_PAGES_PER_CHUNK) {
    uint64_t clear = ~(bits[end >> 6] >> (end & 63)); // what the shift brings in counts as clear
    uint32_t length = clear ? tri_first_set(clear) : 64;
    if (length == 0) break;
    end += length;
  }
  *out_end = end;
  return at;
}

// ---- Choosing ----

static void tri_chunk_dirty_free(const tri_chunk *chunk, uint64_t *pages) {
  for (int word = 0; word < TRI_CHUNK_WORDS; word++) pages[word] = chunk->free[word] & ~chunk->fresh[word];
}

static void tri_held_drop_short_runs(tri_held *held, uint32_t pages_min) {
  uint32_t end;
  for (uint32_t at = tri_bits_next_run(held->pages, 0, &end); at < TRI_PAGES_PER_CHUNK;
       at = tri_bits_next_run(held->pages, end, &end))
    if (end - at < pages_min) tri_chunk_assign(held->pages, at, end - at, false);
}

// What of a chunk this pass would give back; false if nothing.
static bool tri_scavenge_choose_locked(const tri_scavenge *pass, uint32_t index, tri_held *held) {
  const tri_chunk *chunk = &pass->space->chunks[index];
  bool whole = chunk->free_pages == TRI_PAGES_PER_CHUNK;
  if (chunk->free_pages == 0 || whole == pass->in_parts) return false;
  bool tables = whole && chunk->tables_touched && !tri_huge_pages_keep_chunks(pass->space);
  *held = (tri_held){.chunk = index, .whole = whole, .tables_touched = tables};
  tri_chunk_dirty_free(chunk, held->pages);
  if (whole) return held->tables_touched || tri_held_count(held);
  tri_held_drop_short_runs(held, pass->run_pages_min);
  return tri_held_count(held) != 0;
}

// Looks at some chunks; true when one has something to give back.
static bool tri_scavenge_find_locked(tri_scavenge *pass, uint64_t now_ns, tri_held *held) {
  if (pass->cursor > pass->space->chunk_count) pass->cursor = pass->space->chunk_count;
  for (uint32_t looks = TRI_SCAVENGE_LOOK_CHUNKS; looks && pass->cursor; looks--) {
    uint32_t index = --pass->cursor;
    if (!tri_scavenge_choose_locked(pass, index, held)) continue;
    uint64_t due_ns = pass->space->chunks[index].changed_ns + pass->age_ns;
    if (pass->age_ns == 0 || due_ns <= now_ns) return true;
    if (due_ns < pass->next_due_ns) pass->next_due_ns = due_ns;
  }
  return false;
}

// ---- Held pages ----

static void tri_scavenge_hold_locked(tri_space *space, tri_held *held) {
  tri_chunk *chunk = &space->chunks[held->chunk];
  if (!held->whole) tri_huge_pages_break_up_locked(space, held->chunk);
  if (held->whole)
    for (int word = 0; word < TRI_CHUNK_WORDS; word++) held->pages[word] = ~UINT64_C(0);
  TRI_CHECK(space->held_pages == 0, "scavenging chunk %u while pages of another one are held", held->chunk);
  for (int word = 0; word < TRI_CHUNK_WORDS; word++) chunk->free[word] &= ~held->pages[word];
  space->held_pages = tri_held_count(held);
  space->held_chunk = held->chunk;
  chunk->free_pages -= (uint32_t)space->held_pages;
}

// Puts held pages back; those in `given` are fresh.
static uint64_t tri_scavenge_put_back_locked(tri_space *space, const tri_held *held, const uint64_t *given) {
  tri_chunk *chunk = &space->chunks[held->chunk];
  uint64_t fresh = 0;
  for (int word = 0; word < TRI_CHUNK_WORDS; word++) {
    TRI_CHECK((chunk->free[word] & held->pages[word]) == 0, "chunk %u: pages held by the scavenger were freed",
              held->chunk);
    fresh += tri_popcount(given[word] & ~chunk->fresh[word]);
    chunk->free[word] |= held->pages[word];
    chunk->fresh[word] |= given[word];
  }
  chunk->free_pages += (uint32_t)space->held_pages;
  space->held_pages = 0;
  if (held->whole) tri_huge_pages_emptied_locked(space, held->chunk);
  if (held->chunk < space->first_maybe_free) space->first_maybe_free = held->chunk;
  tri_store_relaxed(&space->touched_pages, space->touched_pages - fresh);
  tri_store_relaxed(&space->scavenged_pages, space->scavenged_pages + fresh);
  return fresh;
}

// No lock but the scavenge lock: the pages belong to this thread. False if the system refused any; the others are in
// `given`.
static bool tri_scavenge_discard(tri_space *space, const tri_held *held, uint64_t *given) {
  uint32_t end;
  for (uint32_t at = tri_bits_next_run(held->pages, 0, &end); at < TRI_PAGES_PER_CHUNK;
       at = tri_bits_next_run(held->pages, end, &end)) {
    uint64_t page = (uint64_t)held->chunk * TRI_PAGES_PER_CHUNK + at;
    if (!tri_vm_give_back((void *)tri_space_page_address(space, page), (size_t)(end - at) << TRI_PAGE_LOG2))
      return false;
    tri_chunk_assign(given, at, end - at, true);
  }
  return true;
}

static void tri_scavenge_chunk(tri_scavenge *pass, const tri_held *held) {
  tri_space *space = pass->space;
  tri_chunk *chunk = &space->chunks[held->chunk];
  tri_step(TRI_STEP_SCAVENGE);
  uint64_t given[TRI_CHUNK_WORDS] = {0};
  bool all = tri_scavenge_discard(space, held, given);
  bool tables = all && held->tables_touched && tri_space_give_back_tables(space, held->chunk);
  tri_lock_acquire(&space->pages_lock);
  pass->given_pages += tri_scavenge_put_back_locked(space, held, given);
  if (tables) chunk->tables_touched = 0;
  tri_lock_release(&space->pages_lock);
  pass->refused = !all || (held->tables_touched && !tables);
}

bool tri_scavenge_step(tri_scavenge *pass) {
  tri_space *space = pass->space;
  tri_held held;
  tri_lock_acquire(&space->scavenge_lock);
  tri_lock_acquire(&space->pages_lock);
  bool enough = tri_pages_dirty_locked(space) <= pass->keep_pages && pass->keep_pages;
  bool found = !enough && tri_scavenge_find_locked(pass, tri_clock_ns(), &held);
  if (found) tri_scavenge_hold_locked(space, &held);
  tri_lock_release(&space->pages_lock);
  if (found) tri_scavenge_chunk(pass, &held);
  tri_lock_release(&space->scavenge_lock);
  pass->kept = enough;
  if (enough || pass->refused) return false;
  if (pass->cursor) return true;
  // Where huge pages are wanted everywhere, giving a part back would break one up.
  if (pass->in_parts || tri_huge_pages_keep_chunks(space)) return false;
  pass->in_parts = true;
  pass->cursor = UINT32_MAX;
  return true;
}

// ---- Planning ----

static uint64_t tri_scavenge_plan_next_locked(tri_scavenge_plan *plan, uint64_t now_ns) {
  uint64_t after_ns = tri_load_relaxed(&plan->after_ns);
  if (after_ns == 0) return 0;
  if (plan->due_ns == 0) {
    plan->due_ns = now_ns + after_ns;
  } else {
    uint64_t last_ns = plan->due_ns > plan->asked_ns ? plan->due_ns : plan->asked_ns;
    if (now_ns < last_ns + after_ns) return 0;
  }
  plan->asked_ns = now_ns;
  return plan->due_ns;
}

uint64_t tri_scavenge_plan_locked(tri_space *space, uint64_t now_ns) {
  space->plan.news = true;
  if (tri_pages_dirty_locked(space) < TRI_SCAVENGE_WORTH_PAGES) return 0;
  return tri_scavenge_plan_next_locked(&space->plan, now_ns);
}

uint64_t tri_scavenge_plan_look(tri_space *space, uint64_t now_ns) {
  tri_lock_acquire(&space->pages_lock);
  space->plan.news = true;
  uint64_t when_ns = tri_scavenge_plan_next_locked(&space->plan, now_ns);
  tri_lock_release(&space->pages_lock);
  return when_ns;
}

uint64_t tri_scavenge_due_ns(tri_space *space) {
  tri_lock_acquire(&space->pages_lock);
  uint64_t due_ns = space->plan.due_ns;
  tri_lock_release(&space->pages_lock);
  return due_ns;
}

uint64_t tri_scavenge_look(tri_space *space) {
  tri_lock_acquire(&space->pages_lock);
  space->plan.news = false;
  uint64_t taken_pages = space->taken_pages;
  tri_lock_release(&space->pages_lock);
  return taken_pages;
}

uint64_t tri_scavenge_looked(tri_space *space, uint64_t next_due_ns, uint64_t now_ns) {
  tri_lock_acquire(&space->pages_lock);
  tri_scavenge_plan *plan = &space->plan;
  bool worth = tri_pages_dirty_locked(space) >= TRI_SCAVENGE_WORTH_PAGES;
  if (next_due_ns == UINT64_MAX && plan->news && worth) next_due_ns = now_ns + tri_load_relaxed(&plan->after_ns);
  plan->due_ns = next_due_ns == UINT64_MAX ? 0 : next_due_ns;
  tri_lock_release(&space->pages_lock);
  return next_due_ns;
}
