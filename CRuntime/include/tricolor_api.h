// The half of the API that C implements: threads, allocation, barriered bulk stores, roots, pools.
// Included by tricolor.h; Swift reaches it through the module CTricolor.
#ifndef TRICOLOR_API_H
#define TRICOLOR_API_H

#include "tricolor_fast.h"
#include "tricolor_types.h"

TRI_EXTERN_C_BEGIN
TRI_BEGIN_NONNULL

// MARK: Threads

enum {
  /// The thread's native stack and registers are not scanned: every reference it holds across a
  /// safepoint is in a handle scope, an operand stack or another root.
  TRI_ATTACH_PRECISE = 1u << 0,
};

/// Attaches the calling thread. O(1), about as dear as starting a thread; may wait for a stop to end.
/// Errors: TRI_ALREADY_ATTACHED, TRI_OUT_OF_MEMORY.
tri_status tri_attach(tri_heap *heap, uint32_t flags, tri_mutator *TRI_NULLABLE *TRI_NONNULL out_mutator);
/// Detaches the calling thread; the mutator is gone afterwards. A thread that ends without it is detached
/// by a thread-exit hook. Errors: TRI_SCOPE_OPEN (nothing was changed).
tri_status tri_detach(tri_mutator *mutator);
/// The calling thread's mutator for this heap, or NULL.
tri_mutator *TRI_NULLABLE tri_current_mutator(tri_heap *heap);
/// Between begin and end the thread counts as stopped: it may block, and must not touch the heap. Regions
/// do not nest. The native stack is taken as it is at the call: references that must survive have to be in
/// the caller's frames (or any other root) at that moment. Costs one atomic exchange each.
void tri_blocking_begin(tri_mutator *mutator);
void tri_blocking_end(tri_mutator *mutator);

// MARK: Fibers

/// Tells the heap of a stack that threads will run on besides their own: the bytes from `low` to `high`. It is
/// suspended, with nothing on it. Any thread; O(fibers + mutators). Errors: TRI_STACK_OVERLAPS (added twice, or part of
/// another's or of an attached thread's stack), TRI_OUT_OF_MEMORY. Traps when it is empty.
tri_status tri_fiber_add(tri_heap *heap, void *low, void *high, tri_fiber *TRI_NULLABLE *TRI_NONNULL out_fiber);
/// This thread is about to run on another stack: a suspended fiber's, or, with NULL, its own. Call it right before the
/// program's own switch (swapcontext or the like), from the same function: between the two nothing may poll, allocate
/// or store. Callee-saved registers are taken as they are at the call. A fiber may run on any thread attached to its
/// heap, on one at a time. A thread attached to several heaps tells each. Costs a lock; while marking perhaps a scan of
/// either stack. Traps: another thread's mutator, inside a blocking region, a precise mutator, a fiber that runs
/// already (on this thread or another), one of another heap or removed.
void tri_fiber_switch(tri_mutator *mutator, tri_fiber *TRI_NULLABLE to);
/// The fiber this thread runs on, or NULL.
tri_fiber *TRI_NULLABLE tri_fiber_current(tri_mutator *mutator);
/// Forgets a suspended fiber and what it holds. Any thread; O(fibers). Errors: TRI_NOT_FOUND. Traps when a thread runs
/// on it.
tri_status tri_fiber_remove(tri_heap *heap, tri_fiber *fiber);

// MARK: Layouts and types

/// Interns a layout: the same description answers the same layout. Takes a lock; make layouts once, at
/// start-up. Errors: TRI_BAD_LAYOUT, TRI_OUT_OF_MEMORY.
tri_status tri_layout_make(tri_heap *heap, const tri_layout_description *description,
                           tri_layout *TRI_NULLABLE *TRI_NONNULL out_layout);
/// The layouts every heap has. Never NULL, no lock.
tri_layout *tri_layout_leaf(tri_heap *heap);
tri_layout *tri_layout_references(tri_heap *heap);
tri_layout *tri_layout_conservative(tri_heap *heap);
/// A type of fixed size, for tri_new(). Errors: TRI_BAD_LAYOUT (bytes is 0, or the layout's prefix is longer),
/// TRI_TOO_LARGE (above TRI_SMALL_BYTES_MAX: use tri_alloc()), TRI_TOO_MANY_LAYOUTS, TRI_OUT_OF_MEMORY.
tri_status tri_type_make(tri_heap *heap, tri_layout *layout, size_t bytes, tri_type *out_type);

// MARK: Objects

/// tri_alloc() with the reason for a failure, and with an alignment: any power of two up to
/// TRI_ALIGNMENT_MAX (objects are always 16-byte aligned). On failure *out_object is untouched.
/// Errors: TRI_OUT_OF_MEMORY, TRI_LIMIT_REACHED, TRI_TOO_LARGE, TRI_BAD_ALIGNMENT, TRI_TOO_MANY_LAYOUTS.
tri_status tri_allocate(tri_mutator *mutator, tri_layout *layout, size_t bytes, size_t alignment,
                        void *TRI_NULLABLE *TRI_NONNULL out_object);
/// count elements of element_bytes each; TRI_TOO_LARGE when the product overflows. Errors as tri_allocate().
tri_status tri_allocate_array(tri_mutator *mutator, tri_layout *layout, size_t count, size_t element_bytes,
                              void *TRI_NULLABLE *TRI_NONNULL out_object);
/// Makes an object hold at least `bytes` where it is; false if it cannot, and nothing changed: then allocate another
/// and copy. Never shrinks it. What is added is undefined but for words that may hold references, which are zero. A
/// small object grows up to its slot, a large one into free pages behind it. One thread at a time for an object; any
/// attached one. No safepoint: what it takes counts towards the next cycle, which a later allocation begins.
bool tri_resize(tri_mutator *mutator, void *object, size_t bytes);
/// Gives an object back now. The caller knows that nothing refers to it any more, not even another object that is
/// garbage itself: such a one may still be looked at. NULL and the empty object
/// are ignored. A pointer that is not the start of a live object of this heap, or a second free, stops the
/// process. During marking the memory is reused only after the cycle. Any attached thread may free; between cycles it
/// is cheapest, without a locked instruction, where the thread that allocated frees; elsewhere it takes one or two.
void tri_free(tri_mutator *mutator, void *TRI_NULLABLE object);
/// The one object of size 0: freeing it does nothing, roots and slots may hold it, it is never reclaimed.
void *tri_empty_object(void);
/// The start of the live object that an address lies in, or NULL. Any thread; O(1). The answer is stable
/// only while the caller keeps the object alive.
void *TRI_NULLABLE tri_object_start(tri_heap *heap, const void *TRI_NULLABLE address);
/// The bytes usable in an object: its size rounded up to its slot. 0 for the empty object. Traps on others.
size_t tri_object_bytes(tri_heap *heap, const void *object);
/// The layout an object was allocated with.
tri_layout *tri_object_layout(tri_heap *heap, const void *object);

/// memmove for reference slots inside an object: every overwritten and every stored value is shaded as a
/// store would. Regions may overlap. `object` holds the destination.
void tri_copy(tri_mutator *mutator, void *object, void *destination, const void *source, size_t words);
/// Sets reference slots to NULL, through the barrier.
void tri_clear(tri_mutator *mutator, void *object, void *slots, size_t words);

// MARK: External bytes

/// Tells the collector about memory outside of the heap that dies with objects in it (what destroy callbacks free): it
/// counts like heap memory for goal, trigger and limits, so that cycles come in time to free it. `delta` is what was
/// allocated, or, negative, freed. A safepoint, like an allocation; may start a cycle. A total that becomes negative
/// or exceeds 2^46 stops the process.
void tri_external_bytes_add(tri_mutator *mutator, int64_t delta);
/// The same without a mutator: from destroy callbacks and from threads that are not attached. Any thread, never a
/// safepoint, a few atomic instructions; a cycle starts with the next allocation.
void tri_heap_external_bytes_add(tri_heap *heap, int64_t delta);

// MARK: Roots

enum {
  /// Stores into this root are not barriered: from the next cycle on its heap shades every stored value
  /// and scans stacks and roots again in the final stop. Registering one waits for a cycle that is under way, and is
  /// a safepoint; what the root holds already is kept meanwhile.
  TRI_ROOT_PLAIN = 1u << 0,
  /// The words may be anything, interior pointers included.
  TRI_ROOT_CONSERVATIVE = 1u << 1,
};

/// Registers words of the embedder's memory as roots. Store into them with tri_root_store() unless
/// TRI_ROOT_PLAIN. Overlapping ranges are allowed; each start once. Errors: TRI_OUT_OF_MEMORY.
tri_status tri_root_add_range(tri_heap *heap, void *words, size_t count, uint32_t flags);
/// Forgets the range that starts here. Errors: TRI_NOT_FOUND.
tri_status tri_root_remove_range(tri_heap *heap, void *words);
/// A function that hands roots to tri_visit(). Runs on the collecting thread, beside mutators. Pass TRI_ROOT_PLAIN
/// unless all memory it reads is stored to with tri_root_store().
typedef void tri_root_function(tri_visitor *visitor, void *TRI_NULLABLE context);
tri_status tri_root_add_callback(tri_heap *heap, tri_root_function *function, void *TRI_NULLABLE context,
                                 uint32_t flags);
tri_status tri_root_remove_callback(tri_heap *heap, tri_root_function *function, void *TRI_NULLABLE context);

/// A root of its own for one object. NULL when memory is refused. Any thread may read it; set and free with
/// a mutator. O(1).
tri_handle *TRI_NULLABLE tri_handle_make(tri_mutator *mutator, void *TRI_NULLABLE object);
void *TRI_NULLABLE tri_handle_get(const tri_handle *handle);
void tri_handle_set(tri_mutator *mutator, tri_handle *handle, void *TRI_NULLABLE object);
void tri_handle_free(tri_mutator *mutator, tri_handle *handle);
/// The same without a mutator, for destructors that run anywhere. Waits for a stop to end.
void tri_handle_free_any_thread(tri_heap *heap, tri_handle *handle);

/// A handle scope: slots made inside live until its end; cheap roots for C frames (a store each).
typedef struct tri_scope {
  size_t depth; ///< slots in use when it began
  size_t level; ///< how many scopes were open with it
} tri_scope;
tri_scope tri_scope_begin(tri_mutator *mutator);
/// A slot of the innermost scope holding the object. Plain loads and stores on it are fine. Traps outside
/// a scope. NULL when memory is refused.
void *TRI_NULLABLE *TRI_NULLABLE tri_scope_slot(tri_mutator *mutator, void *TRI_NULLABLE object);
/// Scopes end in the opposite order they began; anything else traps.
void tri_scope_end(tri_mutator *mutator, tri_scope scope);

/// An interpreter's operand stack: the words from `base` up to what *top points to are scanned with the
/// mutator's own stack, so pushes and pops need no barrier. Errors: TRI_OUT_OF_MEMORY.
tri_status tri_operand_stack_add(tri_mutator *mutator, void *base, void *TRI_NULLABLE *TRI_NONNULL top);
tri_status tri_operand_stack_remove(tri_mutator *mutator, void *base);

/// From a tracer or a root function: hands over one reference. NULL, immediates and addresses outside the
/// heap are skipped; anything else must be the start of an object.
void tri_visit(tri_visitor *visitor, const void *TRI_NULLABLE reference);
/// The same for a word that may be any address inside an object, or no address at all.
void tri_visit_conservative(tri_visitor *visitor, const void *TRI_NULLABLE word);

// MARK: Stops

/// Copies the stops after number `after`, oldest first, at most `capacity` of them and of the last TRI_STOPS_KEPT; how
/// many. Any thread, any time; takes a lock that a stop's end takes too.
size_t tri_stops_read(tri_heap *heap, uint64_t after, tri_stop *out_stops, size_t capacity);
/// Has every stop reported, for histograms with the embedder's own library; NULL ends that, and a call under way on
/// another thread may still finish. One function per heap.
void tri_stops_observe(tri_heap *heap, tri_stop_function *TRI_NULLABLE function, void *TRI_NULLABLE context);

// MARK: Memory

/// Gives everything that is free now back to the system, at once and whatever tri_options.scavenge_after_ms says;
/// bytes of heap memory given back (the collector's tables and buffers that go with them come on top). It waits for a
/// cycle under way to end, finishes the sweep (running destroy callbacks) and gives back the empty spans that classes
/// keep too. It does not collect: for the most, tri_collect(heap, TRI_MODE_FORCE_BLOCK) first. Any thread, attached or
/// not; an attached one counts as stopped meanwhile, as in tri_blocking_begin(). Other threads go on. About 35 ms for
/// 1 GiB, and what is allocated afterwards pays for fresh pages. Traps in hooks, and in tracers, root functions and
/// destroy callbacks that run inside a cycle or sweep. What the system refuses stays as it was, and free.
uint64_t tri_trim(tri_heap *heap);
// MARK: Weak references, ephemerons, cleanups
//
// None of them keeps its object alive. What they are tied to is the start of a live object, or the process stops; the
// empty object is one that never ends. An object ends when a cycle finds that nothing reaches it (a moment after the
// cycle's last stop: when its span is swept), in tri_free(), and when its heap is destroyed; tri_resize() leaves
// everything as it is. Not while marking is being completed (TRI_PHASE_MARK_TERMINATION), where nothing is allocated
// either. Each costs 16 bytes, and 16 more for weak references and ephemerons; making one takes a lock.

/// A weak reference to an object. Several to one object share their memory, and may be the same pointer: each is freed
/// once. Errors: TRI_OUT_OF_MEMORY (nothing was changed).
tri_status tri_weak_make(tri_mutator *mutator, void *object, tri_weak *TRI_NULLABLE *TRI_NONNULL out_weak);
/// The object, which the caller keeps alive by holding it, or NULL: from the last stop of the cycle that found it
/// unreachable, or from tri_free() on. A few loads; while a sweep is under way it takes a lock. No safepoint.
void *TRI_NULLABLE tri_weak_get(tri_mutator *mutator, const tri_weak *weak);
/// Any thread, attached or not. Freeing once too often stops the process where it is noticed.
void tri_weak_free(tri_heap *heap, tri_weak *weak);

/// An ephemeron: as long as the key is alive, so is the value, even where the value refers to the key. `value` is NULL
/// or an object of this heap. Cycles look at every ephemeron a few times while marking beside the mutators, and not in
/// the final stop unless there are few. Errors: TRI_OUT_OF_MEMORY (nothing was changed).
tri_status tri_ephemeron_make(tri_mutator *mutator, void *key, void *TRI_NULLABLE value,
                              tri_ephemeron *TRI_NULLABLE *TRI_NONNULL out_ephemeron);
/// Key and value, as tri_weak_get(): NULL once the key has ended.
void *TRI_NULLABLE tri_ephemeron_key(tri_mutator *mutator, const tri_ephemeron *ephemeron);
void *TRI_NULLABLE tri_ephemeron_value(tri_mutator *mutator, const tri_ephemeron *ephemeron);
/// Does nothing once the key has ended. Takes a lock.
void tri_ephemeron_set_value(tri_mutator *mutator, tri_ephemeron *ephemeron, void *TRI_NULLABLE value);
/// Any thread, attached or not. A second free stops the process where it is noticed.
void tri_ephemeron_free(tri_heap *heap, tri_ephemeron *ephemeron);

/// Called once when an object has ended. It cannot see the object; the context must not be, or lead to, one of the
/// heap. It runs without locks, on the heap's cleanup thread or in tri_cleanups_run(), on a thread that is not
/// attached: to use the heap it attaches, and detaches again. It must return (no longjmp, no C++ exception). One that
/// blocks delays the others, and nothing else. It must not destroy its own heap.
typedef void tri_cleanup_function(void *TRI_NULLABLE context);
/// Names a cleanup that was added.
typedef struct tri_cleanup {
  uintptr_t object;
  uint64_t record;
} tri_cleanup;
/// Has the function called after the object has ended: exactly once for each time it was added, in no promised order.
/// tri_heap_destroy() calls those that are left, of live objects too. `out_cleanup` may be NULL.
/// Errors: TRI_OUT_OF_MEMORY (nothing was changed).
tri_status tri_cleanup_add(tri_mutator *mutator, void *object, tri_cleanup_function *function,
                           void *TRI_NULLABLE context, tri_cleanup *TRI_NULLABLE out_cleanup);
/// True if the cleanup was taken back and will not run; false if its object has ended, or it was cancelled before. Any
/// thread.
bool tri_cleanup_cancel(tri_heap *heap, tri_cleanup cleanup);
/// Runs up to `max` cleanups that are due, on the calling thread; how many those were. With
/// tri_options.manual_cleanups this is how they run; without, it helps the cleanup thread.
size_t tri_cleanups_run(tri_heap *heap, size_t max);
/// Cleanups that are due and not yet begun; by the time the caller looks it may be others.
size_t tri_cleanups_due(tri_heap *heap);

// MARK: Pools and hooks (S4)

enum {
  /// What a cycle clears survives one more cycle in a victim list: reuse at the price of memory that is
  /// freed one cycle late. Force modes drop victims too.
  TRI_POOL_VICTIM = 1u << 0,
};
/// A bag of spare objects. Errors: TRI_OUT_OF_MEMORY.
tri_status tri_pool_make(tri_heap *heap, uint32_t flags, tri_pool *TRI_NULLABLE *TRI_NONNULL out_pool);
/// Adds an object. When memory for the list is refused the object is simply dropped.
void tri_pool_put(tri_mutator *mutator, tri_pool *pool, void *object);
/// Takes the object put last, or NULL.
void *TRI_NULLABLE tri_pool_take(tri_mutator *mutator, tri_pool *pool);
size_t tri_pool_count(tri_pool *pool);
/// Forgets the pool and what it holds.
void tri_pool_free(tri_heap *heap, tri_pool *pool);

/// Called at the very start of every cycle, before the write barrier goes on, so that what only a cache
/// held is freed in this cycle. It must not allocate from the heap, store into it or block.
typedef void tri_clear_function(tri_mode mode, void *TRI_NULLABLE context);
enum {
  /// The hook runs with the world stopped, in background mode too.
  TRI_HOOK_NEEDS_STOP = 1u << 0,
};
/// Hooks run in the order they were added. Errors: TRI_OUT_OF_MEMORY.
tri_status tri_hook_add(tri_heap *heap, tri_clear_function *function, void *TRI_NULLABLE context, uint32_t flags);
/// Errors: TRI_NOT_FOUND. A hook that is running on another thread may still finish.
tri_status tri_hook_remove(tri_heap *heap, tri_clear_function *function, void *TRI_NULLABLE context);

// MARK: Events

/// Has events delivered to `function`; NULL ends it. One function per heap. An event that is being delivered on another
/// thread may still arrive afterwards; one from before it was set does not come.
void tri_events_set(tri_heap *heap, tri_event_function *TRI_NULLABLE function, void *TRI_NULLABLE context);

TRI_END_NONNULL
TRI_EXTERN_C_END
#endif
