#include "space/space.h"

#include <string.h>

#include "os/vm.h"
#include "space/huge_pages.h"

// One side table: how many bytes of it per byte of heap, as a shift, and where its pointer goes.
enum tri_table {
  TRI_TABLE_A,
  TRI_TABLE_M,
  TRI_TABLE_F,
  TRI_TABLE_C,
  TRI_TABLE_PAGES,
  TRI_TABLE_LAYOUTS,
  TRI_TABLE_TICKETS,
  TRI_TABLE_OWNERS,
  TRI_TABLE_SPANS,
  TRI_TABLE_CHUNKS,
  TRI_TABLE_COUNT,
};
static const uint32_t tri_table_shift[TRI_TABLE_COUNT] = {
    TRI_GRANULE_LOG2 + 3,                          // one bit per granule, 8 per byte
    TRI_GRANULE_LOG2 + 3,                          //
    TRI_GRANULE_LOG2 + 3,                          //
    TRI_GRANULE_LOG2 + 3,                          //
    TRI_PAGE_LOG2 - 2,                             // 4 bytes per page
    TRI_BLOCK_LOG2 - 1,                            // 2 bytes per block
    TRI_BLOCK_LOG2 - 2,                            // 4 bytes per block
    TRI_GRANULE_LOG2 + 6 - 1,                      // 2 bytes per bitmap word
    TRI_PAGE_LOG2 + TRI_SPAN_INDEX_PAGES_LOG2 - 6, // 64 bytes per 4 pages
    TRI_CHUNK_LOG2 - 7,                            // 128 bytes per chunk
};

enum { TRI_VM_PAGE_BYTES = 4096, TRI_RESERVATION_SMALLEST = 16 << 20 };
// Larger saves mappings in more heaps, smaller commits less where that counts.
static const uint64_t TRI_TABLES_WHOLE_BYTES_MAX = UINT64_C(4) << 30;

static uint64_t tri_table_bytes(enum tri_table table, uint64_t heap_bytes) {
  return tri_align_up(heap_bytes >> tri_table_shift[table], TRI_VM_PAGE_BYTES);
}

static uint64_t tri_space_total_bytes(uint64_t heap_bytes) {
  uint64_t total = heap_bytes;
  for (int table = 0; table < TRI_TABLE_COUNT; table++) total += tri_table_bytes((enum tri_table)table, heap_bytes);
  return total;
}

// 64 GiB, or 8 times physical memory if that is larger: then no heap can want more. Of half the address space, all
// heaps together leave something to the next: each takes at most a 32nd part of what is left of it. Hundreds of heaps
// get all they could use; the thousands after them get 4 GiB, from the other half; and when half of that is gone too,
// 1 GiB. Smaller parts would make the first heaps of a large machine small, larger ones the decline steep.
static uint64_t tri_space_default_bytes(void) {
  const uint64_t gib = UINT64_C(1) << 30, half = UINT64_C(1) << 46; // of the address space
  uint64_t bytes = 8 * tri_vm_physical_bytes(), reserved = tri_registry_read().bytes;
  uint64_t most = reserved < half ? (half - reserved) / 32 : 0, least = reserved < half + half / 2 ? 4 * gib : gib;
  if (bytes < 64 * gib) bytes = 64 * gib;
  if (bytes > most) bytes = most;
  return bytes < least ? least : bytes;
}

// What a heap takes of a power of two that the system grants when it refuses more: the rest of a small address space
// stays with the process. The first takes a quarter; each later one a smaller part, since parts of equal size would use
// up the addresses in a few dozen heaps, and everything else in the process would fail with them.
static uint64_t tri_space_part_of(uint64_t granted_bytes) {
  uint64_t bytes = tri_align_up(granted_bytes / (4 + tri_registry_read().heaps), TRI_CHUNK_BYTES);
  return bytes < TRI_RESERVATION_SMALLEST ? TRI_RESERVATION_SMALLEST : bytes;
}

// Reserves what is wished, or part of the largest power-of-two fraction of it that the system grants.
static void *tri_space_reserve(uint64_t *heap_bytes) {
  uint64_t bytes = tri_align_up(*heap_bytes, TRI_CHUNK_BYTES);
  void *start = tri_vm_reserve(tri_space_total_bytes(bytes), TRI_CHUNK_BYTES);
  if (start) {
    *heap_bytes = bytes;
    return start;
  }
  while (bytes > TRI_RESERVATION_SMALLEST) {
    bytes = tri_align_up(bytes / 2, TRI_CHUNK_BYTES);
    start = tri_vm_reserve(tri_space_total_bytes(bytes), TRI_CHUNK_BYTES);
    if (!start) continue;
    tri_vm_release(start, tri_space_total_bytes(bytes));
    *heap_bytes = bytes = tri_space_part_of(bytes);
    return tri_vm_reserve(tri_space_total_bytes(bytes), TRI_CHUNK_BYTES);
  }
  return NULL;
}

static void *tri_space_table(const tri_space *space, enum tri_table wanted) {
  uintptr_t start = space->start + space->reserved_bytes;
  for (int table = 0; table < (int)wanted; table++)
    start += tri_table_bytes((enum tri_table)table, space->reserved_bytes);
  return (void *)start;
}

void *tri_space_bitmap(const tri_space *space, int index) {
  static const enum tri_table bitmaps[] = {TRI_TABLE_A, TRI_TABLE_M, TRI_TABLE_F};
  return tri_space_table(space, bitmaps[index]);
}

tri_status tri_space_init(tri_space *space, uint64_t wish_bytes, uint32_t huge_pages) {
  memset(space, 0, sizeof *space);
  uint64_t bytes = wish_bytes ? wish_bytes : tri_space_default_bytes();
  void *start = tri_space_reserve(&bytes);
  if (!start) return TRI_OUT_OF_MEMORY;
  space->start = (uintptr_t)start;
  space->reserved_bytes = bytes;
  space->reservation = start;
  space->reservation_bytes = tri_space_total_bytes(bytes);
  space->arena_bytes = TRI_ARENA_BYTES;
  space->huge_from = tri_huge_pages_from(huge_pages);
  space->huge_patience_ns = TRI_HUGE_PAGES_PATIENCE_NS;
  space->bits.allocated = tri_space_table(space, TRI_TABLE_A);
  space->bits.marked = tri_space_table(space, TRI_TABLE_M);
  space->bits.freed = tri_space_table(space, TRI_TABLE_F);
  space->bits.checked = tri_space_table(space, TRI_TABLE_C);
  space->page_map = tri_space_table(space, TRI_TABLE_PAGES);
  space->layout_map = tri_space_table(space, TRI_TABLE_LAYOUTS);
  space->free_tickets = tri_space_table(space, TRI_TABLE_TICKETS);
  space->group_owners = tri_space_table(space, TRI_TABLE_OWNERS);
  space->spans = tri_space_table(space, TRI_TABLE_SPANS);
  space->chunks = tri_space_table(space, TRI_TABLE_CHUNKS);
  space->registered = (tri_reservation){.start = space->start, .bytes = space->reserved_bytes};
  tri_registry_add(&space->registered);
  tri_lock_init(&space->scavenge_lock, TRI_RANK_SCAVENGE);
  tri_lock_init(&space->pages_lock, TRI_RANK_PAGES);
  tri_meta_init(&space->meta);
  return TRI_OK;
}

void tri_space_destroy(tri_space *space) {
  tri_registry_remove(&space->registered);
  tri_meta_destroy(&space->meta);
  tri_lock_destroy(&space->pages_lock);
  tri_lock_destroy(&space->scavenge_lock);
  tri_vm_release(space->reservation, space->reservation_bytes);
}

// Committed in part, each of the ten tables splits the reservation twice: of 65530 mappings (vm.max_map_count) a heap
// would take 22. The tables of a heap that is not large are committed whole, and it takes 3. That is 146 MiB of
// addresses for 4 GiB, and no memory: not even where every mapping is given huge pages, of which each table would touch
// one.
static bool tri_space_commit_small_tables(const tri_space *space) {
  if (space->reserved_bytes > TRI_TABLES_WHOLE_BYTES_MAX) return false;
  char *start = tri_space_table(space, TRI_TABLE_A);
  size_t bytes = space->reservation_bytes - space->reserved_bytes;
  // Refused where the system counts what is committed, and this is too much: then in part.
  if (!tri_vm_commit(start, bytes)) return false;
  if (!tri_huge_pages_keep_chunks(space)) tri_vm_wish_huge_pages(start, bytes, false);
  return true;
}

// Makes every table cover the heap up to `grown`. A refusal half way leaves committed but unused table pages, which the
// next attempt commits again.
static bool tri_space_cover_locked(tri_space *space, uint64_t grown) {
  if (grown <= space->covered_bytes) return true;
  if (space->covered_bytes == 0 && tri_space_commit_small_tables(space)) {
    space->covered_bytes = space->reserved_bytes;
    return true;
  }
  for (int table = 0; table < TRI_TABLE_COUNT; table++) {
    uint64_t had = space->covered_bytes ? tri_table_bytes((enum tri_table)table, space->covered_bytes) : 0;
    uint64_t needs = tri_table_bytes((enum tri_table)table, grown);
    char *start = tri_space_table(space, (enum tri_table)table);
    if (!tri_vm_commit(start + had, needs - had)) return false;
  }
  space->covered_bytes = grown;
  return true;
}

// Of the page and layout maps and the tickets a chunk has a quarter of a page and less, 1.2 KiB in 2 MiB: they stay.
bool tri_space_give_back_tables(tri_space *space, uint32_t chunk) {
  static const enum tri_table whole[] = {TRI_TABLE_A, TRI_TABLE_M,      TRI_TABLE_F,
                                         TRI_TABLE_C, TRI_TABLE_OWNERS, TRI_TABLE_SPANS};
  bool given = true;
  for (size_t index = 0; index < sizeof whole / sizeof *whole; index++) {
    size_t bytes = (size_t)TRI_CHUNK_BYTES >> tri_table_shift[whole[index]];
    _Static_assert(TRI_CHUNK_BYTES >> (TRI_GRANULE_LOG2 + 5) >= TRI_VM_PAGE_BYTES,
                   "a chunk's group owners fill a page");
    char *start = tri_space_table(space, whole[index]);
    given = tri_vm_give_back(start + bytes * chunk, bytes) && given;
  }
  return given;
}

tri_status tri_space_grow_locked(tri_space *space, uint64_t bytes) {
  uint64_t old = space->committed_bytes;
  uint64_t grown = old + tri_align_up(bytes, space->arena_bytes);
  if (grown > space->reserved_bytes || grown < old) grown = space->reserved_bytes;
  if (grown - old < bytes) return TRI_LIMIT_REACHED;
  // Tables first: a page that can be handed out must have its bits.
  if (!tri_space_cover_locked(space, grown)) return TRI_OUT_OF_MEMORY;
  if (!tri_vm_commit((void *)(space->start + old), grown - old)) return TRI_OUT_OF_MEMORY;
  tri_store_release(&space->committed_bytes, grown);
  tri_store_release(&space->committed_granules, grown >> TRI_GRANULE_LOG2);
  return TRI_OK;
}
