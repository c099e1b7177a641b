// The fast paths, inline so that C and Swift alike compile them into their callers: allocate, store
// through the write barrier, poll. Everything rare is one cold call away.
//
// Thread rule for everything here: only the thread that attached a mutator may pass it.
#ifndef TRICOLOR_FAST_H
#define TRICOLOR_FAST_H

#include "tricolor_types.h"

#if defined(__GNUC__) || defined(__clang__)
#define TRI_ALWAYS_INLINE static inline __attribute__((always_inline))
#define TRI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define TRI_COLD __attribute__((cold, noinline))
#endif

TRI_EXTERN_C_BEGIN
TRI_BEGIN_NONNULL

/// Up to 64 free slots of one group, ready to hand out: those of a mask, of which slot i starts at base + i *
/// slot_bytes; or where all of a group is free a range, [next, limit). A window with neither is the one branch to the
/// slow path. Only its mutator writes it; the collector may while that mutator is stopped.
struct tri_window {
  uintptr_t next, limit; ///< no range where next is not below
  uint64_t free_slots;
  uintptr_t base;
  uint32_t slot_bytes;
  uint16_t ahead_bytes; ///< how far behind a slot that is handed out the cache line is that is asked for then
  uint16_t loaded_next; ///< the windows this mutator has loaded since the last cycle, as a list
  uint32_t run_span;    ///< groups [run_next, run_end) of this span (an index + 1) are kept for its next refills
  uint8_t run_next, run_end, run_groups;
  uint8_t loads; ///< counts up as a load begins and ends: who looks from outside sees whether the rest belongs together
  uint64_t unused[2];
};

enum {
  /// The value a store overwrites is shaded.
  TRI_SHADES_OLD = 1,
  /// The value it stores is: while this thread's stack is not yet scanned, and always under Dijkstra's barrier.
  TRI_SHADES_NEW = 2,
  TRI_SHADES_ANY = 3,
  /// Between cycles: the first store of a young reference into an old object writes the object down.
  TRI_LOGS_OLD = 4,
};

enum {
  /// Where the windows start inside a mutator's own mapping.
  TRI_MUTATOR_WINDOWS_OFFSET = 8192,
  /// Windows come in pairs: the even one holds slots with old contents, the odd one slots that were zeroed
  /// when the window was loaded (for sizes that the compiler does not know).
  TRI_WINDOW_ZEROED = 1,
  /// Slots up to this size are zeroed a whole window ahead.
  TRI_ZERO_AHEAD_BYTES_MAX = 128,
};

/// The part of a mutator that compiled-in fast paths touch. Frozen: it is ABI.
struct tri_mutator {
  /// What a store of this thread does besides storing: TRI_SHADES_... bits while marking, TRI_LOGS_OLD or 0 otherwise.
  /// [owner; the collector while it is stopped]
  uint32_t barrier;
  /// Not 0 when the collector wants this thread to come by. [atomic]
  uint32_t request;
  uintptr_t heap_start;
  uintptr_t heap_bytes;
  tri_heap *heap;
  /// One bit per 16 bytes of the heap. Under TRI_LOGS_OLD: set for old objects that are not written down. [atomic
  /// words]
  const uint64_t *old_objects;
};

/// The calling thread's innermost mutator: the one it attached last. Initial-exec, so that reading it is one
/// instruction in a shared library too.
extern __thread tri_mutator *TRI_NULLABLE tri_thread_mutator_current __attribute__((tls_model("initial-exec")));

// What the paths below call when their window is empty. They pass it on: what it took to find it is not done twice.
void *TRI_NULLABLE tri_refill_type(tri_mutator *mutator, tri_type type) TRI_COLD;
void *TRI_NULLABLE tri_refill_zeroed(tri_mutator *mutator, const struct tri_window *window, tri_layout *layout,
                                     size_t bytes) TRI_COLD;
void *TRI_NULLABLE tri_refill_uninitialized(tri_mutator *mutator, const struct tri_window *window, tri_layout *layout,
                                            size_t bytes) TRI_COLD;
void *TRI_NULLABLE tri_refill_leaf(tri_mutator *mutator, const struct tri_window *window, size_t bytes) TRI_COLD;
void *TRI_NULLABLE tri_refill_leaf_zeroed(tri_mutator *mutator, const struct tri_window *window, size_t bytes) TRI_COLD;
// And for what has no window: large objects, and those of no bytes.
void *TRI_NULLABLE tri_alloc_slow(tri_mutator *mutator, tri_layout *layout, size_t bytes) TRI_COLD;
void *TRI_NULLABLE tri_alloc_uninitialized_slow(tri_mutator *mutator, tri_layout *layout, size_t bytes) TRI_COLD;
void *TRI_NULLABLE tri_alloc_leaf_slow(tri_mutator *mutator, size_t bytes) TRI_COLD;
void *TRI_NULLABLE tri_alloc_leaf_zeroed_slow(tri_mutator *mutator, size_t bytes) TRI_COLD;
void tri_store_slow(tri_mutator *mutator, void *object, void *TRI_NULLABLE *TRI_NONNULL slot,
                    void *TRI_NULLABLE value) TRI_COLD;
void tri_init_slow(tri_mutator *mutator, void *TRI_NULLABLE *TRI_NONNULL slot, void *TRI_NULLABLE value) TRI_COLD;
void *TRI_NULLABLE tri_swap_slow(tri_mutator *mutator, void *object, void *TRI_NULLABLE *TRI_NONNULL slot,
                                 void *TRI_NULLABLE value) TRI_COLD;
void tri_safepoint_slow(tri_mutator *mutator) TRI_COLD;

/// The mutator this thread attached last, of whatever heap; NULL when it is attached to none.
TRI_ALWAYS_INLINE tri_mutator *TRI_NULLABLE tri_thread_mutator(void) {
  return tri_thread_mutator_current;
}

/// The size classes of 1 to TRI_SMALL_BYTES_MAX / 16 times 16 bytes.
extern const uint8_t tri_size_class_table[TRI_SMALL_BYTES_MAX / 16];

/// The size class of a size from 1 to TRI_SMALL_BYTES_MAX. Folds to a constant for a constant size.
TRI_ALWAYS_INLINE uint32_t tri_size_class(size_t bytes) {
  // Most sizes are below 1 KiB: one cache line. Finding the top bit takes eight operations on AMD's processors. For any
  // other size it answers some class, so that a loop can ask before it, and before it compares the size.
  if (!__builtin_constant_p(bytes)) return tri_size_class_table[(bytes - 1) >> 4 & (TRI_SMALL_BYTES_MAX / 16 - 1)];
  // Eight classes per doubling: the position of the top bit, then the three bits below it. The first two octaves have
  // steps of 16 like the third.
  uint32_t octave = 63u - (uint32_t)__builtin_clzll((unsigned long long)(bytes - 1) | 128);
  return (octave - 7u) * 8u + (uint32_t)((bytes - 1) >> (octave - 3u));
}

/// The slot size of a size class.
TRI_ALWAYS_INLINE uint32_t tri_size_class_bytes(uint32_t size_class) {
  uint32_t octave = size_class < 16 ? 0 : size_class / 8u - 1u;
  return (size_class + 1u - 8u * octave) << (octave + 4u);
}

TRI_ALWAYS_INLINE struct tri_window *tri_mutator_window(tri_mutator *mutator, uint32_t window) {
  return (struct tri_window *)((char *)mutator + TRI_MUTATOR_WINDOWS_OFFSET) + window;
}

/// Asks for a cache line that an allocation soon after this one will write: it is on its way when that comes. Where
/// slots follow each other batches take 0.6 to 0.9 of the time.
TRI_ALWAYS_INLINE void tri_prefetch_ahead(const void *place, size_t ahead_bytes) {
  const char *ahead = (const char *)place + ahead_bytes;
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
  __asm__ volatile("prefetchw %0" : : "m"(*ahead)); // the builtin asks for it to read, then again to write
#else
  __builtin_prefetch(ahead, 1);
#endif
}

/// A slot of a window; 0 if it has none.
TRI_ALWAYS_INLINE uintptr_t tri_window_take(struct tri_window *window, size_t slot_bytes) {
  // Found by one register, with no index: some processors forward what was stored there without waiting for it (memory
  // renaming). Costs one instruction where the compiler would have used an index.
  __asm__("" : "+r"(window));
  uint64_t free_slots = window->free_slots;
  uintptr_t slot;
  if (free_slots) {
    window->free_slots = free_slots & (free_slots - 1);
    slot = window->base + (uintptr_t)(uint32_t)__builtin_ctzll(free_slots) * slot_bytes;
  } else { // second: who has masks has the longer way as it is
    slot = window->next;
    if (TRI_UNLIKELY(slot >= window->limit)) return 0;
    window->next = slot + slot_bytes;
  }
  if (!slot) __builtin_unreachable();
  tri_prefetch_ahead((const void *)slot, window->ahead_bytes);
  return slot;
}

/// Zeroes a slot whose size the compiler knows.
TRI_ALWAYS_INLINE void tri_zero_constant(void *slot, size_t bytes) {
  __builtin_memset(slot, 0, bytes);
}

#if defined(__GNUC__) || defined(__clang__)
typedef uint64_t tri_zero_vector __attribute__((vector_size(16), aligned(16), may_alias));
#endif

/// Zeroes a slot above TRI_ZERO_AHEAD_BYTES_MAX whose size is known at run time; a multiple of 16. A call
/// to memset costs 2 to 3.6 ns more than this loop at these sizes (research, prototype E1).
TRI_ALWAYS_INLINE void tri_zero_variable(void *slot, size_t bytes, size_t ahead_bytes) {
  if (bytes > 2048) {
    __builtin_memset(slot, 0, bytes);
    return;
  }
  const tri_zero_vector zero = {0, 0};
  char *p = (char *)slot, *last = p + bytes - 64;
  do {
    tri_prefetch_ahead(p, ahead_bytes);
    ((tri_zero_vector *)p)[0] = zero;
    ((tri_zero_vector *)p)[1] = zero;
    ((tri_zero_vector *)p)[2] = zero;
    ((tri_zero_vector *)p)[3] = zero;
    p += 64;
    __asm__ volatile("" ::: "memory"); // or the compiler makes it a call to memset again
  } while (p < last);
  ((tri_zero_vector *)last)[0] = zero;
  ((tri_zero_vector *)last)[1] = zero;
  ((tri_zero_vector *)last)[2] = zero;
  ((tri_zero_vector *)last)[3] = zero;
}

/// A new object of a fixed-size type, zeroed. `bytes` must be the size the type was defined for; pass a
/// constant (sizeof), that is what makes this a handful of instructions. NULL when the heap is full.
TRI_ALWAYS_INLINE void *TRI_NULLABLE tri_new(tri_mutator *mutator, tri_type type, size_t bytes) {
  uint32_t slot_bytes = tri_size_class_bytes(tri_size_class(bytes));
  struct tri_window *window = tri_mutator_window(mutator, type.window);
  void *object = (void *)tri_window_take(window, slot_bytes);
  if (TRI_UNLIKELY(!object)) {
    object = tri_refill_type(mutator, type);
    // No hint here: with one, clang takes the whole calling function for cold.
    if (!object) return object;
  }
  tri_zero_constant(object, slot_bytes);
  return object;
}

/// A new zeroed object of any size and layout. Size 0 answers the one shared empty object. NULL when the
/// heap is full or the size exceeds what it can hold.
TRI_ALWAYS_INLINE void *TRI_NULLABLE tri_alloc(tri_mutator *mutator, tri_layout *layout, size_t bytes) {
  uint32_t size_class = tri_size_class(bytes);
  if (TRI_UNLIKELY(bytes - 1 >= TRI_SMALL_BYTES_MAX)) return tri_alloc_slow(mutator, layout, bytes);
  // A layout starts with the table of its windows by size class; 0, the window that is always empty, where
  // this size was never asked for.
  uint32_t index = __atomic_load_n((const uint32_t *)(const void *)layout + size_class, __ATOMIC_RELAXED);
  struct tri_window *window = tri_mutator_window(mutator, index);
  size_t slot_bytes = window->slot_bytes;
  void *object = (void *)tri_window_take(window, slot_bytes);
  if (TRI_UNLIKELY(!object)) return tri_refill_zeroed(mutator, window, layout, bytes);
  if (bytes > TRI_ZERO_AHEAD_BYTES_MAX) tri_zero_variable(object, slot_bytes, window->ahead_bytes);
  return object;
}

/// The same with undefined contents, but for the words that may hold references, which are zero: for objects with few
/// references and much to fill. Layouts whose references may be anywhere, and those with a destroy callback, are zeroed
/// whole.
TRI_ALWAYS_INLINE void *TRI_NULLABLE tri_alloc_uninitialized(tri_mutator *mutator, tri_layout *layout, size_t bytes) {
  uint32_t size_class = tri_size_class(bytes);
  if (TRI_UNLIKELY(bytes - 1 >= TRI_SMALL_BYTES_MAX)) return tri_alloc_uninitialized_slow(mutator, layout, bytes);
  const uint32_t *table = (const uint32_t *)(const void *)layout;
  uint32_t index = __atomic_load_n(table + size_class, __ATOMIC_RELAXED) & ~(uint32_t)TRI_WINDOW_ZEROED;
  struct tri_window *window = tri_mutator_window(mutator, index);
  size_t slot_bytes = window->slot_bytes;
  void *object = (void *)tri_window_take(window, slot_bytes);
  if (TRI_UNLIKELY(!object)) return tri_refill_uninitialized(mutator, window, layout, bytes);
  size_t reference_bytes = table[TRI_SIZE_CLASS_COUNT];
  tri_zero_constant(object, 16); // no slot is smaller
  if (reference_bytes > 16) __builtin_memset(object, 0, reference_bytes < slot_bytes ? reference_bytes : slot_bytes);
  return object;
}

// Every heap's first span classes are the plain leaves, one per size class: their windows are found by arithmetic.
// `kind` is 0, or TRI_WINDOW_ZEROED.
TRI_ALWAYS_INLINE struct tri_window *tri_mutator_leaf_window(tri_mutator *mutator, size_t bytes, uint32_t kind) {
  return tri_mutator_window(mutator, 2 * (1 + tri_size_class(bytes)) + kind);
}

/// A new object without references and with undefined contents: the cheapest of all.
TRI_ALWAYS_INLINE void *TRI_NULLABLE tri_alloc_leaf_uninitialized(tri_mutator *mutator, size_t bytes) {
  struct tri_window *window = tri_mutator_leaf_window(mutator, bytes, 0);
  if (TRI_UNLIKELY(bytes - 1 >= TRI_SMALL_BYTES_MAX)) return tri_alloc_leaf_slow(mutator, bytes);
  size_t slot_bytes = window->slot_bytes;
  void *object = (void *)tri_window_take(window, slot_bytes);
  if (TRI_UNLIKELY(!object)) return tri_refill_leaf(mutator, window, bytes);
  return object;
}

/// A new zeroed object without references: tri_alloc() with the leaf layout, and a load less.
TRI_ALWAYS_INLINE void *TRI_NULLABLE tri_alloc_leaf(tri_mutator *mutator, size_t bytes) {
  uint32_t kind = bytes <= TRI_ZERO_AHEAD_BYTES_MAX ? TRI_WINDOW_ZEROED : 0;
  struct tri_window *window = tri_mutator_leaf_window(mutator, bytes, kind);
  if (TRI_UNLIKELY(bytes - 1 >= TRI_SMALL_BYTES_MAX)) return tri_alloc_leaf_zeroed_slow(mutator, bytes);
  size_t slot_bytes = window->slot_bytes;
  void *object = (void *)tri_window_take(window, slot_bytes);
  if (TRI_UNLIKELY(!object)) return tri_refill_leaf_zeroed(mutator, window, bytes);
  if (bytes > TRI_ZERO_AHEAD_BYTES_MAX) tri_zero_variable(object, slot_bytes, window->ahead_bytes);
  return object;
}

/// Whether a store into an object takes more than the store. While objects are logged most do not: the object is young,
/// or written down already.
TRI_ALWAYS_INLINE bool tri_store_is_watched(const tri_mutator *mutator, const void *object) {
  uint32_t barrier = mutator->barrier;
  if (!TRI_UNLIKELY(barrier)) return false;
  uintptr_t offset = (uintptr_t)object - mutator->heap_start;
  if (barrier != TRI_LOGS_OLD) return true;
  if (offset >= mutator->heap_bytes) return false; // a root
  return __atomic_load_n(&mutator->old_objects[offset >> 10], __ATOMIC_RELAXED) >> (offset >> 4 & 63) & 1;
}

/// Stores a reference into a slot of an object: barrier and store in one, with no safepoint between.
/// `object` is the start of the one the slot lies in: what is written down if it is old and the value young.
TRI_ALWAYS_INLINE void tri_store(tri_mutator *mutator, void *object, void *slot, void *TRI_NULLABLE value) {
  if (tri_store_is_watched(mutator, object))
    tri_store_slow(mutator, object, (void *TRI_NULLABLE *)slot, value);
  else
    __atomic_store_n((void *TRI_NULLABLE *)slot, value, __ATOMIC_RELEASE);
}

/// The first store into a slot of an object just allocated, before the next safepoint: there is no old
/// value to preserve, so most of the time this is a plain store while marking too.
TRI_ALWAYS_INLINE void tri_init(tri_mutator *mutator, void *object, void *slot, void *TRI_NULLABLE value) {
  (void)object;
  if (TRI_UNLIKELY(mutator->barrier & TRI_SHADES_NEW))
    tri_init_slow(mutator, (void *TRI_NULLABLE *)slot, value);
  else
    __atomic_store_n((void *TRI_NULLABLE *)slot, value, __ATOMIC_RELEASE);
}

/// Stores a reference and returns what the slot held. Not atomic towards other mutators.
TRI_ALWAYS_INLINE void *TRI_NULLABLE tri_swap(tri_mutator *mutator, void *object, void *slot,
                                              void *TRI_NULLABLE value) {
  void *TRI_NULLABLE *TRI_NONNULL place = (void *TRI_NULLABLE *)slot;
  if (tri_store_is_watched(mutator, object)) return tri_swap_slow(mutator, object, place, value);
  void *old = __atomic_load_n(place, __ATOMIC_RELAXED);
  __atomic_store_n(place, value, __ATOMIC_RELEASE);
  return old;
}

/// Stores a reference into a root that was registered without TRI_ROOT_PLAIN.
TRI_ALWAYS_INLINE void tri_root_store(tri_mutator *mutator, void *slot, void *TRI_NULLABLE value) {
  tri_store(mutator, slot, slot, value);
}

/// Lets the collector in, if it is waiting. Call it in loops that do not allocate: a mutator that neither
/// allocates, polls nor blocks keeps every cycle waiting. Costs a load and a branch.
TRI_ALWAYS_INLINE void tri_safepoint(tri_mutator *mutator) {
  if (TRI_UNLIKELY(__atomic_load_n(&mutator->request, __ATOMIC_RELAXED))) tri_safepoint_slow(mutator);
}

/// A use of an address: the caller's frame, or a register, holds it until here, so that a conservative scan finds it.
/// For code whose last use is of a pointer that the optimiser derived from it, beyond the object's end say. No
/// instruction.
TRI_ALWAYS_INLINE void tri_keep_alive(const void *TRI_NULLABLE address) {
  __asm__ volatile("" : : "g"(address));
}

/// Whether an address lies in this mutator's heap: a subtraction and a comparison.
TRI_ALWAYS_INLINE bool tri_is_mine(const tri_mutator *mutator, const void *TRI_NULLABLE address) {
  return (uintptr_t)address - mutator->heap_start < mutator->heap_bytes;
}

TRI_END_NONNULL
TRI_EXTERN_C_END
#endif
