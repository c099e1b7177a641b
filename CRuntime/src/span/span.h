// Spans: runs of pages that hold objects of one size class and one layout, or one large object.
//
//   free -> small -> free    [tri_span_make_small, tri_span_retire]
//   free -> large -> free    [tri_span_make_large, tri_span_retire]
//
// A span class is a pair (layout, size class); spans are keyed by it, so marking needs no type word in the
// object, and memory freed by one layout is reused only by the same one.
//
// Invariants  span->start is page-aligned; small spans start at a block and fill whole blocks.
//             Every page of a span leads to it through the page map; its blocks' layout entries name its class
//             (TRI_ENTRY_MIXED for large ones).
//             A span on its class's list has been swept in this generation and has a group not yet claimed.
// Callers     making: allocation slow paths. Retiring: sweeps, tri_free of a large object.
// Not here    which slots are free (mutator/claim.h), what is alive (collect/sweep.h).
#ifndef TRI_SPAN_SPAN_H
#define TRI_SPAN_SPAN_H

#include "space/page_alloc.h"
#include "span/layout.h"
#include "span/size_class.h"

typedef enum tri_span_state {
  TRI_SPAN_FREE = 0,
  TRI_SPAN_SMALL = 1,
  TRI_SPAN_LARGE = 2,
} tri_span_state;

/// What the end of an object of a span takes beyond its slot being free.
enum {
  TRI_SPAN_DESTROYS = 1, // [const] its layout has a destroy callback
  TRI_SPAN_HAS_TIES = 2, // something hangs on its objects (collect/ties.h)
};

typedef struct tri_span {
  uintptr_t start;
  union {
    uint64_t object_bytes; // [atomic] large: the object's size, a multiple of 16; grows
    struct {               // small
      // [lock:class] number of the mutator that is to walk it once more, for what it freed in its own groups, and for
      // those alone; 0: anyone, for all that is free
      uint16_t walker;
      bool walked; // [lock:class] to its end, since it was swept: groups may belong to mutators already
    };
  };
  uint32_t slot_bytes;   // small
  uint32_t slot_inverse; // small
  uint32_t slots;        // small; 1 for large
  uint32_t class_id;     // small: span class; large: layout id
  uint32_t page_count;
  uint32_t next;             // [lock:class] next on its class's list, as an index + 1; 0 ends it
  uint16_t next_group;       // [lock:class] groups below it were claimed, or given to runs, in this generation
  uint16_t runs;             // [lock:class] windows and orphans that hold groups of it
  uint32_t live_slots;       // what the last sweep left alive
  uint32_t freed_slots;      // [atomic] frees since the groups were last walked: worth walking them again
  uint32_t sweep_generation; // [atomic] swept or born in this generation when equal to the heap's
  union {
    uint32_t frees; // [atomic read] all of these at once: TRI_SPAN_SMALL where a free has nothing else to see to
    struct {
      uint8_t state;     // [atomic] tri_span_state
      uint8_t has_freed; // [atomic] 0: no F bit of this span is set
      uint8_t duties;    // [lock:ties; atomic read] TRI_SPAN_DESTROYS, TRI_SPAN_HAS_TIES
      uint8_t unused;
    };
  };
  uint8_t listed; // [lock:class; atomic read]
  uint8_t fresh;  // [lock:class] its memory reads as zero beyond the claimed groups
  // [owner of the heap's lone mutator; atomic read] Slots of it were freed with their bit in A cleared, and may be in a
  // magazine: it must not be given back before magazines were emptied, in the stop before its next sweep.
  uint8_t lent;
  uint8_t claimed; // [lock:class; sweeps] some of its slots were taken since it was swept, or made
} tri_span;
_Static_assert(sizeof(tri_span) == TRI_SPAN_BYTES, "the span table is found by a shift");

/// Slots that a mutator left behind in a window when it detached; the next refill adopts them.
typedef struct tri_orphan {
  struct tri_orphan *next;
  struct tri_window window;
  bool zeroed;
} tri_orphan;

/// Lists by how full their spans were when they were put there.
enum { TRI_FULLNESS_LISTS = 4 };

typedef struct tri_span_class {
  struct tri_layout *layout;       // [const]
  const tri_size_class_info *info; // [const]
  uint32_t id;                     // [const]
  uint32_t size_class;             // [const]
  uint64_t scan_mask;              // [const] all references of a slot, if one mask has them
  tri_lock lock;
  uint32_t list_generation; // [lock] the lists below are of this sweep generation; older ones are void
  // [lock] spans with groups not yet claimed, as an index + 1; the fullest first
  uint32_t partial[TRI_FULLNESS_LISTS];
  uint32_t empty_spans; // [lock] on the list, as the sweep of this generation left them
  tri_orphan *orphans;  // [lock]
} tri_span_class;

/// The shortest run of a large object: two runs this long never start in the same four pages.
enum { TRI_LARGE_PAGES_MIN = (1 << TRI_SPAN_INDEX_PAGES_LOG2) + 1 };

/// The heap's spans and what describes them.
typedef struct tri_spans {
  tri_space space;
  tri_lock layouts_lock;
  uint32_t class_count;                                // [lock:layouts; atomic] ids below it are valid; id 0 is nobody
  uint32_t layout_count;                               // [lock:layouts; atomic]
  tri_span_class **classes;                            // [atomic entries] TRI_SPAN_CLASS_MAX + 2
  struct tri_layout **layouts;                         // [atomic entries]
  uint64_t *scan_masks;                                // by class id: what the marker reads; 0 means "the long way"
  struct tri_layout *layout_list;                      // [lock:layouts]
  struct tri_layout *leaf, *references, *conservative; // [const]
  uint64_t tag_mask, tag_value;                        // [const]
  uint32_t sweep_generation;                           // [stw; atomic] goes up when M becomes A
  uint32_t ticket_tag;                                 // [stw; atomic] what that makes of a ticket (ticket.h)
  uint64_t span_count;                                 // [atomic] in use
  uint32_t orphan_count;                               // [atomic] over all classes
  uint32_t custom_layouts;                             // [lock:layouts; atomic]
  uint32_t any_words;                                  // [atomic] some slots hold any words, not only references
} tri_spans;

tri_status tri_spans_init(tri_spans *spans, uint64_t reservation_bytes, uint32_t huge_pages);
void tri_spans_destroy(tri_spans *spans);

tri_status tri_spans_intern_layout(tri_spans *spans, const tri_layout_description *description,
                                   struct tri_layout **out_layout);
/// The span class of a layout and size class, made if need be. NULL when memory or ids ran out.
tri_span_class *tri_spans_class(tri_spans *spans, struct tri_layout *layout, uint32_t size_class,
                                tri_status *out_status);

/// Hands over every window that a detached mutator left behind. Costs a load when there is none.
void tri_spans_each_orphan(tri_spans *spans, void (*each)(void *context, const struct tri_window *window),
                           void *context);

/// Hands them over and forgets them. World stopped.
void tri_spans_take_orphans(tri_spans *spans, void (*each)(void *context, const struct tri_window *window),
                            void *context);

static inline tri_span_class *tri_spans_class_by_id(const tri_spans *spans, uint32_t id) {
  return tri_load_acquire(&spans->classes[id]);
}
static inline tri_span *tri_span_by_index(const tri_spans *spans, uint32_t index) {
  return &spans->space.spans[index];
}
static inline uint32_t tri_span_index(const tri_spans *spans, const tri_span *span) {
  return (uint32_t)(span - spans->space.spans);
}
/// The span an address inside the reservation lies in, or NULL. Lock-free.
static inline tri_span *tri_span_at(const tri_spans *spans, uintptr_t address) {
  uint64_t offset = address - spans->space.start;
  if (offset >= tri_load_acquire(&spans->space.committed_bytes)) return NULL;
  uint32_t entry = tri_load_acquire(&spans->space.page_map[offset >> TRI_PAGE_LOG2]);
  return entry ? &spans->space.spans[entry - 1] : NULL;
}
/// The entry of a span that starts in this block. Small ones start nowhere else: if the entry says small, it is the one
/// the block belongs to, or the first part of.
static inline tri_span *tri_span_of_block(const tri_spans *spans, uint64_t block) {
  return &spans->space.spans[block * TRI_SPANS_PER_BLOCK];
}
static inline uint64_t tri_span_first_page(const tri_spans *spans, const tri_span *span) {
  return tri_space_page(&spans->space, span->start);
}
/// Words of each bitmap that can have bits of the span: one for a large object.
static inline uint64_t tri_span_bitmap_words(const tri_span *span) {
  if (span->state == TRI_SPAN_LARGE) return 1;
  return (uint64_t)span->page_count << (TRI_PAGE_LOG2 - TRI_GRANULE_LOG2 - 6);
}
/// The layout of a span's objects.
static inline struct tri_layout *tri_span_layout(const tri_spans *spans, const tri_span *span) {
  if (span->state == TRI_SPAN_LARGE) return tri_load_acquire(&spans->layouts[span->class_id]);
  return tri_spans_class_by_id(spans, span->class_id)->layout;
}
/// Every span that was made so far has an index below this. Pages are handed out lowest first, so it stays close to
/// what the heap needed at most.
static inline uint32_t tri_span_index_end(const tri_spans *spans) {
  uint64_t pages = tri_load_acquire(&spans->space.end_page) + (1 << TRI_SPAN_INDEX_PAGES_LOG2) - 1;
  return (uint32_t)(pages >> TRI_SPAN_INDEX_PAGES_LOG2);
}
/// Whether its free slots are known: nothing of it changes hands but slots until the next cycle.
static inline bool tri_span_is_swept(const tri_spans *spans, const tri_span *span) {
  return tri_load_acquire(&span->sweep_generation) == tri_load_relaxed(&spans->sweep_generation);
}
/// Bytes one object of the span occupies.
static inline uint64_t tri_span_object_bytes(const tri_span *span) {
  return span->state == TRI_SPAN_LARGE ? tri_load_acquire(&span->object_bytes) : span->slot_bytes;
}

/// Turns a fresh page run into a span and publishes it in the maps.
tri_span *tri_span_make_small(tri_spans *spans, tri_span_class *class, tri_page_run run);
tri_span *tri_span_make_large(tri_spans *spans, struct tri_layout *layout, uint64_t object_bytes, uint64_t pages,
                              tri_page_run run);
/// A large span's run became longer.
void tri_span_extend(tri_spans *spans, tri_span *span, uint64_t pages);
/// Takes a span without objects out of the maps and returns its pages.
void tri_span_retire(tri_spans *spans, tri_span *span);
/// The header's invariants, as code; traps.
void tri_span_check(const tri_spans *spans, const tri_span *span);

#endif
