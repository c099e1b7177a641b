// Space: one heap's reservation and the flat side tables that are found from an address by arithmetic.
//
//   | heap (objects) | A | M | F | C | page map | layout map | group owners | spans | chunks |
//
// The reservation is one mapping without access; heap and tables are committed together, arena by arena,
// from the front; the tables of a heap up to 4 GiB all at once. So "is this pointer mine" is a subtraction and a
// comparison, and the number of mappings does not grow with use.
//
// Invariants  committed_bytes only grows, by whole arenas; every table covers at least covered_bytes, which is no less.
// Callers     growth: holding the page lock. Reading tables: anyone, below committed_bytes.
// Not here    which pages are free (page_alloc.h), what the bits mean (bitmaps.h).
#ifndef TRI_SPACE_SPACE_H
#define TRI_SPACE_SPACE_H

#include "base/atomics.h"
#include "base/bits.h"
#include "base/lock.h"
#include "space/bitmaps.h"
#include "space/meta_alloc.h"
#include "space/registry.h"

/// A layout-map entry: a span class, and whether its objects hold no references.
typedef uint16_t tri_layout_entry;
enum {
  TRI_ENTRY_LEAF = 0x8000,  // this bit: nothing to scan
  TRI_ENTRY_CLASS = 0x7fff, // these bits: the span class
  TRI_ENTRY_MIXED = 0x7fff, // as a class: the block holds large objects; ask the page map
};

struct tri_span;
struct tri_chunk;
struct tri_space;

/// When free pages are to go back to the system by themselves, and who is told.
typedef struct tri_scavenge_plan {
  uint64_t after_ns;                                       // [atomic] how long pages stay free first; 0: never
  uint64_t due_ns;                                         // [lock:pages] the next look; 0: none is planned
  uint64_t asked_ns;                                       // [lock:pages] when the wish was last called
  bool news;                                               // [lock:pages] pages were freed since the last look began
  void (*wish)(struct tri_space *space, uint64_t when_ns); // [const] asks for a look then; no lock is held
} tri_scavenge_plan;

/// Entries of group_owners that lie side by side, four at a time.
typedef uint64_t __attribute__((may_alias)) tri_four_owners;

typedef struct tri_space {
  uintptr_t start;             // [const] first byte of the heap, chunk-aligned
  uint64_t reserved_bytes;     // [const] of the heap alone, whole chunks
  uint64_t committed_bytes;    // [lock:pages; atomic] whole arenas
  uint64_t committed_granules; // [lock:pages; atomic] of these
  uint64_t covered_bytes;      // [lock:pages] of the heap, by the tables
  tri_bitmaps bits;
  uint32_t *page_map;           // [atomic] page -> span index + 1; 0 where nothing lives
  tri_layout_entry *layout_map; // [atomic] block -> entry; 0 where nothing lives
  uint32_t *free_tickets;       // [atomic] block -> what a free there may leave out (span/ticket.h); 0: nothing
  // [atomic] bitmap word -> number of the mutator that loaded its group in this generation, or 0 (mutator/lone.h), and
  // whether a window may still hold the group (TRI_OWNER_LOADED)
  uint16_t *group_owners;
  struct tri_span *spans;   // indexed by first page / 4: two runs above 32 KiB never share an index
  struct tri_chunk *chunks; // [lock:pages]
  void *reservation;        // [const]
  size_t reservation_bytes; // [const]
  tri_reservation registered;
  tri_lock pages_lock;
  uint32_t chunk_count;      // [lock:pages] committed chunks
  uint32_t first_maybe_free; // [lock:pages] no chunk below it has a free block
  uint64_t used_pages;       // [lock:pages; read anywhere] handed out
  uint64_t end_page;         // [lock:pages; atomic read] no page from here on was ever handed out
  uint64_t touched_pages;    // [lock:pages; read anywhere] handed out at least once since the system gave them
  uint64_t held_pages;       // [lock:pages] neither used nor free for a moment: on their way back to the system
  uint32_t held_chunk;       // [lock:pages] where they are, if there are any
  uint64_t taken_pages;      // [lock:pages] handed out, ever
  uint64_t scavenged_pages;  // [lock:pages; read anywhere] given back to the system, ever
  tri_scavenge_plan plan;    // what is to be given back later (scavenge.h)
  tri_lock scavenge_lock;    // held while pages are
  uint64_t arena_bytes;      // [const] unit of growth
  uint64_t huge_from;        // [lock:pages] huge pages are wished for from this byte of the heap on (huge_pages.h)
  uint64_t huge_patience_ns; // [const, but for tests] for the first touch of one
  uint64_t wished_bytes;     // [lock:pages] of the heap, that this was decided for
  bool small_bitmaps;        // [lock:pages] and not for the bitmaps any more
  tri_meta meta;
} tri_space;

enum {
  TRI_SPAN_BYTES = 64,
  TRI_SPAN_INDEX_PAGES_LOG2 = 2,
  TRI_SPANS_PER_BLOCK = 1 << (TRI_BLOCK_LOG2 - TRI_PAGE_LOG2 - TRI_SPAN_INDEX_PAGES_LOG2), // entries, used or not
  TRI_CHUNK_RECORD_BYTES = 128,
  TRI_ARENA_BYTES = 64 << 20, // unit of commit; larger means fewer mprotect calls, it costs no memory
};

/// wish_bytes 0: the default. huge_pages is a tri_huge_pages. TRI_OUT_OF_MEMORY when not even the smallest reservation
/// is granted.
tri_status tri_space_init(tri_space *space, uint64_t wish_bytes, uint32_t huge_pages);
void tri_space_destroy(tri_space *space);
/// Commits at least `bytes` more. Holds the page lock. Errors: TRI_LIMIT_REACHED (the reservation is full),
/// TRI_OUT_OF_MEMORY.
tri_status tri_space_grow_locked(tri_space *space, uint64_t bytes);
/// Gives the memory of the table pages back that describe this chunk and no other: bitmaps, group owners, spans. They
/// read as zero afterwards. False if any of it was refused.
bool tri_space_give_back_tables(tri_space *space, uint32_t chunk);

/// Where A (0) and M (1), or the other way round, and F (2) are: these places do not swap.
void *tri_space_bitmap(const tri_space *space, int index);

static inline bool tri_space_contains(const tri_space *space, uintptr_t address) {
  return address - space->start < space->reserved_bytes;
}
static inline uint64_t tri_space_granule(const tri_space *space, uintptr_t address) {
  return (address - space->start) >> TRI_GRANULE_LOG2;
}
static inline uintptr_t tri_space_page_address(const tri_space *space, uint64_t page) {
  return space->start + (page << TRI_PAGE_LOG2);
}
static inline uint64_t tri_space_page(const tri_space *space, uintptr_t address) {
  return (address - space->start) >> TRI_PAGE_LOG2;
}

#endif
