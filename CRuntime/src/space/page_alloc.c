#include "space/page_alloc.h"

#include "os/thread.h"
#include "space/huge_pages.h"
#include "space/scavenge.h"

uint32_t tri_chunk_assign(uint64_t *bits, uint32_t first, uint32_t count, bool value) {
  uint32_t had = 0;
  while (count) {
    uint32_t offset = first & 63, take = 64 - offset < count ? 64 - offset : count;
    uint64_t mask = tri_low_bits(take) << offset, *word = &bits[first >> 6];
    had += tri_popcount(*word & mask);
    *word = value ? *word | mask : *word & ~mask;
    first += take;
    count -= take;
  }
  return had;
}

// The lowest aligned run of free pages in one chunk; TRI_PAGES_PER_CHUNK if there is none.
static uint32_t tri_chunk_find(const tri_chunk *chunk, uint32_t pages, uint32_t alignment) {
  uint32_t at = 0;
  while (at + pages <= TRI_PAGES_PER_CHUNK) {
    uint64_t word = chunk->free[at >> 6] >> (at & 63);
    if (word == 0) { // no free page in the rest of this word
      at = (at | 63) + 1;
      at = (uint32_t)tri_align_up(at, alignment);
      continue;
    }
    uint32_t skip = tri_first_set(word);
    if (skip) {
      at = (uint32_t)tri_align_up(at + skip, alignment);
      continue;
    }
    uint32_t run = 0;
    while (run < pages) {
      uint32_t page = at + run;
      // What the shift brings in counts as used, so a run is followed word by word.
      uint64_t used = ~(chunk->free[page >> 6] >> (page & 63));
      uint32_t length = used ? tri_first_set(used) : 64;
      if (length == 0) break;
      run += length;
    }
    if (run >= pages) return at;
    at = (uint32_t)tri_align_up(at + run + 1, alignment);
  }
  return TRI_PAGES_PER_CHUNK;
}

static uint64_t tri_pages_find_small_locked(tri_space *space, uint32_t pages, uint32_t alignment, bool *found) {
  *found = true;
  uint32_t lowest_free = UINT32_MAX;
  for (uint32_t index = space->first_maybe_free; index < space->chunk_count; index++) {
    const tri_chunk *chunk = &space->chunks[index];
    if (chunk->free_pages && lowest_free == UINT32_MAX) lowest_free = index;
    if (chunk->free_pages < pages) continue;
    uint32_t page = tri_chunk_find(chunk, pages, alignment);
    if (page < TRI_PAGES_PER_CHUNK) {
      space->first_maybe_free = lowest_free;
      return (uint64_t)index * TRI_PAGES_PER_CHUNK + page;
    }
  }
  space->first_maybe_free = lowest_free == UINT32_MAX ? space->chunk_count : lowest_free;
  *found = false;
  return 0;
}

static uint32_t tri_chunk_free_head(const tri_chunk *chunk) {
  uint32_t head = 0;
  for (int word = 0; word < TRI_CHUNK_WORDS; word++) {
    uint64_t used = ~chunk->free[word];
    if (used) return head + tri_first_set(used);
    head += 64;
  }
  return head;
}

// A run longer than a chunk: whole free chunks, then the head of one more.
static uint64_t tri_pages_find_large_locked(tri_space *space, uint64_t pages, bool *found, uint64_t *missing_pages) {
  uint64_t available = 0;
  uint32_t first = 0;
  *found = true;
  for (uint32_t index = 0; index < space->chunk_count; index++) {
    const tri_chunk *chunk = &space->chunks[index];
    if (available == 0) first = index;
    available += tri_chunk_free_head(chunk);
    if (available >= pages) return (uint64_t)first * TRI_PAGES_PER_CHUNK;
    if (chunk->free_pages < TRI_PAGES_PER_CHUNK) available = 0;
  }
  *found = false;
  // Growth continues a free tail.
  *missing_pages = pages - available;
  return 0;
}

static tri_status tri_pages_grow_locked(tri_space *space, uint64_t pages) {
  uint32_t old = space->chunk_count;
  tri_status status = tri_space_grow_locked(space, tri_align_up(pages << TRI_PAGE_LOG2, TRI_CHUNK_BYTES));
  if (status != TRI_OK) return status;
  space->chunk_count = (uint32_t)(space->committed_bytes >> TRI_CHUNK_LOG2);
  for (uint32_t index = old; index < space->chunk_count; index++) {
    tri_chunk *chunk = &space->chunks[index];
    tri_chunk_assign(chunk->free, 0, TRI_PAGES_PER_CHUNK, true);
    tri_chunk_assign(chunk->fresh, 0, TRI_PAGES_PER_CHUNK, true);
    chunk->free_pages = TRI_PAGES_PER_CHUNK;
  }
  return TRI_OK;
}

static uint64_t tri_pages_find_locked(tri_space *space, uint64_t pages, uint64_t alignment, bool *found,
                                      uint64_t *missing) {
  *missing = pages;
  if (pages > TRI_PAGES_PER_CHUNK) return tri_pages_find_large_locked(space, pages, found, missing);
  return tri_pages_find_small_locked(space, (uint32_t)pages, (uint32_t)alignment, found);
}

static bool tri_pages_take_locked(tri_space *space, uint64_t page, uint64_t pages, uint64_t now_ns) {
  uint32_t fresh = 0;
  for (uint64_t left = pages; left;) {
    tri_chunk *chunk = &space->chunks[page / TRI_PAGES_PER_CHUNK];
    uint32_t first = (uint32_t)(page % TRI_PAGES_PER_CHUNK), count = TRI_PAGES_PER_CHUNK - first;
    if (count > left) count = (uint32_t)left;
    uint32_t were_free = tri_chunk_assign(chunk->free, first, count, false);
    TRI_CHECK(were_free == count, "page run %llu: a page in use was found free", (unsigned long long)page);
    fresh += tri_chunk_assign(chunk->fresh, first, count, false);
    chunk->free_pages -= count;
    chunk->tables_touched = 1;
    chunk->changed_ns = now_ns;
    page += count;
    left -= count;
  }
  space->taken_pages += pages;
  tri_store_relaxed(&space->used_pages, space->used_pages + pages);
  tri_store_relaxed(&space->touched_pages, space->touched_pages + fresh);
  if (page > space->end_page) {
    uint64_t old_end_page = space->end_page;
    tri_store_release(&space->end_page, page);
    tri_huge_pages_grown_locked(space, old_end_page);
  }
  return fresh == pages;
}

static tri_status tri_pages_try_locked(tri_space *space, uint64_t pages, uint64_t alignment_pages, bool may_grow,
                                       tri_page_run *out_run) {
  bool found;
  uint64_t missing, page = tri_pages_find_locked(space, pages, alignment_pages, &found, &missing);
  if (!may_grow && (!found || page + pages > space->end_page)) return TRI_LIMIT_REACHED;
  if (!found) {
    tri_status status = tri_pages_grow_locked(space, missing);
    if (status != TRI_OK) return status;
    page = tri_pages_find_locked(space, pages, alignment_pages, &found, &missing);
    if (!found) return TRI_LIMIT_REACHED;
  }
  out_run->page = page;
  out_run->fresh = tri_pages_take_locked(space, page, pages, tri_clock_ns());
  return TRI_OK;
}

static bool tri_pages_exceed_locked(const tri_space *space, uint64_t more, uint64_t limit_bytes) {
  return limit_bytes && (space->used_pages + more) << TRI_PAGE_LOG2 > limit_bytes;
}

// *out_held: what is missing may be on its way to the system and back.
static tri_status tri_pages_try(tri_space *space, uint64_t pages, uint64_t alignment_pages, uint64_t limit_bytes,
                                bool may_grow, bool *out_held, tri_page_run *out_run) {
  *out_held = false;
  if (pages > space->reserved_bytes >> TRI_PAGE_LOG2) return TRI_LIMIT_REACHED;
  tri_status status = TRI_LIMIT_REACHED;
  tri_lock_acquire(&space->pages_lock);
  if (!tri_pages_exceed_locked(space, pages, limit_bytes)) {
    status = tri_pages_try_locked(space, pages, alignment_pages, may_grow, out_run);
    *out_held = status != TRI_OK && space->held_pages;
  }
  tri_lock_release(&space->pages_lock);
  return status;
}

tri_status tri_pages_allocate(tri_space *space, uint64_t pages, uint64_t alignment_pages, uint64_t limit_bytes,
                              tri_page_run *out_run) {
  bool held;
  tri_status status = tri_pages_try(space, pages, alignment_pages, limit_bytes, true, &held, out_run);
  if (!held) return status;
  // With this lock in hand nothing is held.
  tri_lock_acquire(&space->scavenge_lock);
  status = tri_pages_try(space, pages, alignment_pages, limit_bytes, true, &held, out_run);
  tri_lock_release(&space->scavenge_lock);
  return status;
}

bool tri_pages_reuse(tri_space *space, uint64_t pages, uint64_t alignment_pages, uint64_t limit_bytes,
                     tri_page_run *out_run) {
  bool held;
  return tri_pages_try(space, pages, alignment_pages, limit_bytes, false, &held, out_run) == TRI_OK;
}

static bool tri_pages_are_free_locked(const tri_space *space, uint64_t page, uint64_t pages) {
  if (page + pages > (uint64_t)space->chunk_count * TRI_PAGES_PER_CHUNK) return false;
  for (uint64_t at = page; at < page + pages; at++)
    if (!(space->chunks[at / TRI_PAGES_PER_CHUNK].free[at % TRI_PAGES_PER_CHUNK / 64] >> (at & 63) & 1)) return false;
  return true;
}

bool tri_pages_extend(tri_space *space, uint64_t page, uint64_t pages, uint64_t more, uint64_t limit_bytes) {
  if (more > space->reserved_bytes >> TRI_PAGE_LOG2) return false;
  bool inside = page % TRI_PAGES_PER_CHUNK + pages + more <= TRI_PAGES_PER_CHUNK;
  if (!inside && page % TRI_PAGES_PER_CHUNK) return false;
  tri_lock_acquire(&space->pages_lock);
  bool over = tri_pages_exceed_locked(space, more, limit_bytes);
  bool taken = !over && tri_pages_are_free_locked(space, page + pages, more);
  if (taken) tri_pages_take_locked(space, page + pages, more, tri_clock_ns());
  tri_lock_release(&space->pages_lock);
  return taken;
}

void tri_pages_free(tri_space *space, uint64_t page, uint64_t pages) {
  uint64_t now_ns = tri_clock_ns();
  tri_lock_acquire(&space->pages_lock);
  tri_store_relaxed(&space->used_pages, space->used_pages - pages);
  for (uint64_t left = pages; left;) {
    uint32_t index = (uint32_t)(page / TRI_PAGES_PER_CHUNK);
    tri_chunk *chunk = &space->chunks[index];
    uint32_t first = (uint32_t)(page % TRI_PAGES_PER_CHUNK), count = TRI_PAGES_PER_CHUNK - first;
    if (count > left) count = (uint32_t)left;
    uint32_t were_free = tri_chunk_assign(chunk->free, first, count, true);
    TRI_CHECK(were_free == 0, "page run %llu: freed twice", (unsigned long long)page);
    chunk->free_pages += count;
    chunk->changed_ns = now_ns;
    if (index < space->first_maybe_free) space->first_maybe_free = index;
    page += count;
    left -= count;
  }
  uint64_t when_ns = tri_scavenge_plan_locked(space, now_ns);
  tri_lock_release(&space->pages_lock);
  if (when_ns) space->plan.wish(space, when_ns);
}

void tri_pages_check(tri_space *space) {
  tri_lock_acquire(&space->pages_lock);
  uint64_t free_pages = 0, fresh_pages = 0;
  for (uint32_t index = 0; index < space->chunk_count; index++) {
    const tri_chunk *chunk = &space->chunks[index];
    bool held = space->held_pages && space->held_chunk == index; // then some that are not free may be fresh
    uint32_t free_here = 0;
    for (int word = 0; word < TRI_CHUNK_WORDS; word++) {
      TRI_CHECK(held || (chunk->fresh[word] & ~chunk->free[word]) == 0, "chunk %u: a page in use counts as fresh",
                index);
      free_here += tri_popcount(chunk->free[word]);
      fresh_pages += tri_popcount(chunk->fresh[word]);
    }
    TRI_CHECK(free_here == chunk->free_pages, "chunk %u: %u pages are free, %u counted", index, free_here,
              chunk->free_pages);
    TRI_CHECK(free_here == 0 || index >= space->first_maybe_free, "chunk %u is free below the hint %u", index,
              space->first_maybe_free);
    free_pages += free_here;
  }
  uint64_t committed = space->committed_bytes >> TRI_PAGE_LOG2;
  TRI_CHECK(free_pages + space->used_pages + space->held_pages == committed,
            "pages: %llu free + %llu used + %llu held != %llu committed", (unsigned long long)free_pages,
            (unsigned long long)space->used_pages, (unsigned long long)space->held_pages,
            (unsigned long long)committed);
  TRI_CHECK(committed - fresh_pages == space->touched_pages, "pages: %llu touched, %llu counted",
            (unsigned long long)(committed - fresh_pages), (unsigned long long)space->touched_pages);
  tri_lock_release(&space->pages_lock);
}
