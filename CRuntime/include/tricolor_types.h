// The vocabulary of Tricolor: statuses, options, layouts, statistics. Shared by C embedders (through
// tricolor.h) and by the Swift modules (through the module CTricolor).
//
// Units are in the names: _bytes, _words (8 bytes), _ns. Every function that can fail for a reason
// other than a bug returns a tri_status; a bug (a foreign pointer, a double free, a call from the wrong
// thread) stops the process with a sentence on standard error.
#ifndef TRICOLOR_TYPES_H
#define TRICOLOR_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__clang__)
#define TRI_NULLABLE _Nullable
#define TRI_NONNULL _Nonnull
#define TRI_BEGIN_NONNULL _Pragma("clang assume_nonnull begin")
#define TRI_END_NONNULL _Pragma("clang assume_nonnull end")
#else
#define TRI_NULLABLE
#define TRI_NONNULL
#define TRI_BEGIN_NONNULL
#define TRI_END_NONNULL
#endif

#if defined(__cplusplus)
#define TRI_EXTERN_C_BEGIN extern "C" {
#define TRI_EXTERN_C_END }
#else
#define TRI_EXTERN_C_BEGIN
#define TRI_EXTERN_C_END
#endif

#if defined(__clang__) && defined(__has_attribute)
#if __has_attribute(enum_extensibility)
#define TRI_CLOSED_ENUM __attribute__((enum_extensibility(closed)))
#endif
#endif
#ifndef TRI_CLOSED_ENUM
#define TRI_CLOSED_ENUM
#endif

// How Swift spells an enumerator.
#if defined(__clang__)
#define TRI_SWIFT(name) __attribute__((swift_name(#name)))
#else
#define TRI_SWIFT(name)
#endif

TRI_EXTERN_C_BEGIN
TRI_BEGIN_NONNULL

/// One garbage-collected heap. Several may live in one process; they share nothing.
typedef struct tri_heap tri_heap;
/// One thread's attachment to one heap. Only the thread that attached may use it.
typedef struct tri_mutator tri_mutator;
/// Where the references in an object are; interned per heap and alive as long as its heap.
typedef struct tri_layout tri_layout;
/// A precise root of its own: one reference that the collector sees until the handle is freed.
typedef struct tri_handle tri_handle;
/// A bag of spare objects that every cycle empties at its very start (S4).
typedef struct tri_pool tri_pool;
/// A reference that does not keep its object alive.
typedef struct tri_weak tri_weak;
/// A pair of key and value: the value is alive as long as the key is.
typedef struct tri_ephemeron tri_ephemeron;
/// A native stack besides those that threads came with.
typedef struct tri_fiber tri_fiber;

/// What a call that can fail for an honest reason answers.
typedef enum TRI_CLOSED_ENUM tri_status {
  TRI_OK TRI_SWIFT(ok) = 0,
  TRI_OUT_OF_MEMORY TRI_SWIFT(outOfMemory),  ///< the system refused memory; nothing was changed
  TRI_LIMIT_REACHED TRI_SWIFT(limitReached), ///< the heap's own limit, or its reservation, is full
  TRI_TOO_LARGE TRI_SWIFT(tooLarge),         ///< the size, count or their product exceeds TRI_OBJECT_BYTES_MAX
  TRI_BAD_ALIGNMENT TRI_SWIFT(badAlignment), ///< not a power of two, or above TRI_ALIGNMENT_MAX
  TRI_BAD_LAYOUT TRI_SWIFT(badLayout),       ///< the description contradicts itself (a mask beyond its size, ...)
  TRI_BAD_OPTIONS TRI_SWIFT(badOptions),     ///< an option or the environment holds something that is not understood
  TRI_TOO_MANY_LAYOUTS TRI_SWIFT(
      tooManyLayouts), ///< more than TRI_SPAN_CLASS_MAX (layout, size class) pairs in one heap
  TRI_ALREADY_ATTACHED TRI_SWIFT(alreadyAttached),   ///< this thread is attached to this heap
  TRI_NOT_ATTACHED TRI_SWIFT(notAttached),           ///< this thread is not attached to this heap
  TRI_SCOPE_OPEN TRI_SWIFT(scopeOpen),               ///< detaching while a handle scope or a blocking region is open
  TRI_MUTATORS_ATTACHED TRI_SWIFT(mutatorsAttached), ///< destroying a heap that still has mutators
  TRI_NOT_FOUND TRI_SWIFT(notFound),                 ///< removing what was never added
  TRI_THREAD_REFUSED TRI_SWIFT(threadRefused),       ///< the system refused a thread
  TRI_STACK_OVERLAPS TRI_SWIFT(stackOverlaps),       ///< a fiber's stack overlaps one that is known already
} tri_status;

/// A sentence for a status, in English, without a full stop.
const char *tri_status_text(tri_status status);

/// How a cycle runs (S1).
typedef enum TRI_CLOSED_ENUM tri_mode {
  TRI_MODE_BACKGROUND TRI_SWIFT(background) =
      0,                               ///< mark beside the mutators, stop only to confirm that marking is complete
  TRI_MODE_FORCE TRI_SWIFT(force) = 1, ///< stop the world for the whole mark, sweep lazily afterwards
  TRI_MODE_FORCE_BLOCK TRI_SWIFT(forceBlock) = 2, ///< the same, and sweep everything before returning
} tri_mode;

/// Where the collector is (S6). The write barrier is on in every phase but TRI_PHASE_OFF.
typedef enum TRI_CLOSED_ENUM tri_phase {
  TRI_PHASE_OFF TRI_SWIFT(off) = 0,                          ///< not marking; sweeping may be under way
  TRI_PHASE_MARK TRI_SWIFT(mark) = 1,                        ///< marking beside the mutators
  TRI_PHASE_MARK_TERMINATION TRI_SWIFT(markTermination) = 2, ///< the world is stopped and marking is being completed
} tri_phase;

/// How stores keep a concurrent mark correct.
typedef enum TRI_CLOSED_ENUM tri_barrier_policy {
  /// Shade the old value, and the new one while the storing mutator's stack is not yet scanned. No
  /// stack is scanned twice. The default.
  TRI_BARRIER_HYBRID TRI_SWIFT(hybrid) = 0,
  /// Shade the new value only; stacks and roots are scanned again in the final stop (Go in March 2015).
  TRI_BARRIER_DIJKSTRA TRI_SWIFT(dijkstra) = 1,
  /// No concurrent marking: every cycle is forced, stores need no barrier.
  TRI_BARRIER_STOP_THE_WORLD TRI_SWIFT(stopTheWorld) = 2,
} tri_barrier_policy;

/// Whether cycles that allocation triggers may be minor: what survived the last cycle is taken for alive and not marked
/// again, until a full cycle. Cycles that are asked for are always full.
typedef enum TRI_CLOSED_ENUM tri_generations {
  /// While they pay: tried now and then, kept as long as they reclaim memory at less cost than full cycles. The
  /// default.
  TRI_GENERATIONS_AUTOMATIC TRI_SWIFT(automatic) = 0,
  TRI_GENERATIONS_OFF TRI_SWIFT(off) = 1,
  /// Three in four, paying or not: for tests and measurements.
  TRI_GENERATIONS_ALWAYS TRI_SWIFT(always) = 2,
} tri_generations;

/// Where a heap asks the system for huge pages, where the system leaves that to programs (Linux: "madvise").
typedef enum TRI_CLOSED_ENUM tri_huge_pages {
  /// Beyond the heap's first 4 MiB, until free memory there goes back in parts; where the system takes more than 2 ms
  /// to supply one, beyond the first 64 MiB. The default. An object larger than a huge page that is used here and there
  /// only holds more memory with it than without.
  TRI_HUGE_PAGES_AUTOMATIC TRI_SWIFT(automatic) = 0,
  /// Everywhere. Free memory then goes back in whole chunks of 2 MiB only.
  TRI_HUGE_PAGES_ALWAYS TRI_SWIFT(always) = 1,
  TRI_HUGE_PAGES_OFF TRI_SWIFT(off) = 2,
} tri_huge_pages;

enum {
  /// Objects up to this size come from size-class spans; larger ones are whole pages.
  TRI_SMALL_BYTES_MAX = 32768,
  /// The largest alignment of an object.
  TRI_ALIGNMENT_MAX = 65536,
  /// Size classes: multiples of 16 up to 128 bytes, then eight per doubling up to 32 KiB.
  TRI_SIZE_CLASS_COUNT = 72,
  /// Pairs of (layout, size class) one heap can hold.
  TRI_SPAN_CLASS_MAX = 32766,
};
/// The largest object: 2^40 bytes, or what the heap's reservation holds if that is less.
#define TRI_OBJECT_BYTES_MAX (UINT64_C(1) << 40)
/// tri_options.growth_percent: never start a cycle by itself.
#define TRI_GROWTH_OFF UINT32_MAX

/// tri_options.soft_limit_bytes: from the container's limit; and none.
#define TRI_SOFT_LIMIT_AUTOMATIC UINT64_C(0)
#define TRI_SOFT_LIMIT_OFF UINT64_MAX

/// Every knob of a heap. Fill with tri_options_init(), change what matters, pass to tri_heap_create().
typedef struct tri_options {
  /// sizeof(tri_options) of the caller, set by tri_options_init(); how a newer library knows an older caller.
  uint32_t struct_bytes;
  /// How much the heap may grow beyond what was live before the next cycle ends. 25...100000,
  /// default 100; TRI_GROWTH_OFF never collects by itself. Environment TRICOLOR_GC.
  uint32_t growth_percent;
  /// No cycle below this many bytes, except those that cost next to nothing: a lone mutator with almost nothing
  /// alive is kept inside half of its level 2 cache, so that memory just dropped is reused warm. Default 4 MiB.
  uint64_t minimum_heap_bytes;
  /// The hard limit: allocation fails with TRI_LIMIT_REACHED rather than hold more than this in heap pages and external
  /// bytes. 0 (the default) means no limit but the reservation. Environment TRICOLOR_LIMIT, with KiB, MiB, GiB.
  uint64_t limit_bytes;
  /// The soft limit: cycles come more often rather than let heap pages, the collector's own tables and external bytes
  /// exceed this together; but where that would take more than half of the CPU time, the heap grows past it and
  /// TRI_EVENT_HEAP_LIMIT_EXCEEDED is delivered. TRI_SOFT_LIMIT_AUTOMATIC (0, the default): 90 % of the smallest memory
  /// limit of the container this process runs in, read again every 10 s while cycles run; none where there is no such
  /// limit. TRI_SOFT_LIMIT_OFF: none. A number above limit_bytes is refused. Environment TRICOLOR_SOFT_LIMIT: auto, off
  /// or bytes with KiB, MiB, GiB.
  uint64_t soft_limit_bytes;
  /// Address space set aside; memory is used only as the heap grows. 0 (the default): 64 GiB, or eight
  /// times physical memory if that is larger, but at most a 32nd part of what the heaps of this process have left
  /// of half the address space; at least 4 GiB (1 GiB from some eight thousand heaps on). So there may be thousands,
  /// and only the first few hundred can grow beyond 4 GiB: give a number to one that has to. When the system grants
  /// less, a quarter of what it grants, and less the more heaps there are.
  uint64_t reservation_bytes;
  tri_barrier_policy barrier;
  /// Ignored under TRI_BARRIER_STOP_THE_WORLD and from the first custom layout on: both allow stores that the barrier
  /// does not see. Environment TRICOLOR_GENERATIONS: auto, off or always.
  tri_generations generations;
  /// Threads that mark in a stopped world, the calling one included. 0 (the default): the CPUs this
  /// process may use.
  uint32_t mark_workers;
  /// Threads that mark beside the mutators, the collector thread included. 0 (the default): a quarter of the CPUs this
  /// process may use, at least one.
  uint32_t background_workers;
  /// 1: one line per cycle on standard error. 2: also a whole second stop-the-world mark and sweep in
  /// the same pause (S11). Environment TRICOLOR_TRACE.
  uint32_t trace;
  /// 1: after every concurrent mark a second, simple mark proves that nothing was missed (S10).
  /// Environment TRICOLOR_CHECKMARK.
  uint32_t checkmark;
  /// 1: walk the heap's own structures at every edge of a cycle. Environment TRICOLOR_VERIFY.
  uint32_t verify;
  /// Collect at every Nth slow-path allocation. 0 (the default) is off. Environment TRICOLOR_STRESS.
  uint32_t stress_interval;
  /// A reference slot holding a word with (word & tag_mask) == tag_value is an immediate, not a
  /// reference; the marker skips it. tag_mask 0 (the default) means no immediates.
  uint64_t tag_mask;
  uint64_t tag_value;
  /// The longest that one allocation marks for the collector, in nanoseconds; what it owes beyond that it owes to the
  /// next one. A tracer of a custom layout is not interrupted. 1000...1000000000, default 200000.
  uint64_t assist_ns_max;
  /// A full background cycle runs when none ran for this long, in milliseconds, and something was allocated since: so
  /// that a program that stopped allocating gets back what it dropped. Only once a heap has had its first cycle. At
  /// most a year, default 120000; 0 is off.
  uint64_t periodic_cycle_ms;
  /// 1: cleanups run only where the embedder calls tri_cleanups_run(). 0 (the default): on a thread of the heap's own,
  /// which is started when the first is due.
  uint32_t manual_cleanups;
  /// A tri_huge_pages. Environment TRICOLOR_HUGE_PAGES: auto, always or off.
  uint32_t huge_pages;
  /// Milliseconds that memory stays free before the collector thread gives it back to the system, at about 1 % of one
  /// CPU. Default 2000: shorter gives back what the next cycle wants again, longer keeps what nobody does. 0: never by
  /// itself; tri_trim() still does. Environment TRICOLOR_SCAVENGE, also "off".
  uint32_t scavenge_after_ms;
  /// 1 (the default): TRICOLOR_... environment variables override the fields they name.
  uint32_t read_environment;
} tri_options;

/// Fills in the defaults. Cannot fail.
void tri_options_init(tri_options *options);
/// Sets one option from text, as the environment does: name is "GC", "LIMIT", "SOFT_LIMIT", "TRACE", "CHECKMARK",
/// "VERIFY", "STRESS", "GENERATIONS", "HUGE_PAGES" or "SCAVENGE". Returns TRI_BAD_OPTIONS and leaves *options alone if
/// it is not understood.
tri_status tri_options_set(tri_options *options, const char *name, const char *value);

/// A custom layout's tracer hands every reference of the object to tri_visit().
typedef struct tri_visitor tri_visitor;
/// Runs on collector threads beside mutators. It must accept an all-zero object and fields that change
/// while it looks, read nothing that is freed outside the heap, and neither allocate, store nor lock.
typedef void tri_trace_function(const void *object, size_t bytes, tri_visitor *visitor, void *TRI_NULLABLE context);
/// Runs exactly once per dead object, outside pauses, before its slot is reused, and for every live
/// object when the heap ends. It must accept an all-zero object, must not look at other objects of the
/// heap, allocate from it or store into it.
typedef void tri_destroy_function(void *object, size_t bytes, void *TRI_NULLABLE context);

/// What kind of references an object holds.
typedef enum TRI_CLOSED_ENUM tri_layout_form {
  TRI_LAYOUT_LEAF TRI_SWIFT(leaf) = 0, ///< none
  TRI_LAYOUT_MASK TRI_SWIFT(mask) = 1, ///< words named by a prefix mask, then a repeated mask (see the description)
  TRI_LAYOUT_REFERENCES TRI_SWIFT(references) = 2,     ///< every word is a reference
  TRI_LAYOUT_CONSERVATIVE TRI_SWIFT(conservative) = 3, ///< any word may be one, at any offset into its object
  TRI_LAYOUT_CUSTOM TRI_SWIFT(custom) = 4,             ///< a function knows
} tri_layout_form;

/// Describes a layout. Zero-initialise, then set what the form needs.
///
/// TRI_LAYOUT_MASK: the first prefix_words words have references where prefix_mask has bits (bit 0 is the
/// first word); after them, if period_words is not 0, every following group of period_words words has
/// them where period_mask has bits, to the end of the object. Both are at most 64 words.
typedef struct tri_layout_description {
  tri_layout_form form;
  uint32_t prefix_words;
  uint64_t prefix_mask;
  uint32_t period_words;
  uint64_t period_mask;
  tri_trace_function *TRI_NULLABLE trace;     ///< TRI_LAYOUT_CUSTOM only
  tri_destroy_function *TRI_NULLABLE destroy; ///< optional, any form
  void *TRI_NULLABLE context;                 ///< handed to both functions
} tri_layout_description;

/// A layout together with one small size: what a fixed-size type allocates from. Cheap to copy.
typedef struct tri_type {
  uint32_t window; ///< index of the mutator's window for this span class
  uint32_t bytes;  ///< the size it was defined for
} tri_type;

/// What a heap did and holds; tri_heap_statistics() fills one.
typedef struct tri_statistics {
  uint64_t cycles;        ///< completed cycles, every mode
  uint64_t cycles_forced; ///< of those, force and forceBlock
  uint64_t cycles_minor;  ///< of those, minor ones: marked from what was new since the last cycle
  uint64_t live_bytes;    ///< held by objects that the last finished sweep found alive
  uint64_t live_objects;
  uint64_t allocated_bytes; ///< handed to mutators' windows and as large objects, ever
  uint64_t allocated_since_cycle_bytes;
  uint64_t freed_bytes;            ///< reclaimed by sweeps, ever
  uint64_t explicitly_freed_bytes; ///< given back by tri_free(), ever
  uint64_t marked_objects_at_last_cycle;
  uint64_t goal_bytes;             ///< the heap size the next cycle should end at
  uint64_t trigger_bytes;          ///< allocation since the last cycle that starts the next one
  uint64_t mapped_bytes;           ///< heap pages in use or free but not given back
  uint64_t scavenged_bytes;        ///< heap memory given back to the system while the heap lives, ever
  uint64_t metadata_bytes;         ///< the collector's own tables and buffers
  uint64_t start_ns_at_last_cycle; ///< monotonic clock
  uint64_t mark_ns_at_last_cycle;
  uint64_t termination_ns_at_last_cycle; ///< from the final stop to its release
  uint64_t sweep_ns_at_last_cycle;
  uint64_t pause_ns_at_last_cycle; ///< longest single stop of the cycle
  uint64_t pause_ns_max;
  uint64_t pause_ns_total;
  uint64_t mark_ns_total; ///< worker time, summed over threads
  uint64_t sweep_ns_total;
  uint64_t assist_ns_total;               ///< marking done by allocating threads
  uint64_t assist_ns_max;                 ///< the longest that one allocation marked, CPU time
  uint64_t checkmarks;                    ///< second marks that agreed
  uint64_t checkmark_conservative_misses; ///< objects only stale conservative words reached
  uint64_t spans;                         ///< spans in use
  uint64_t mutators;                      ///< attached now
  uint64_t external_bytes;                ///< as told to tri_external_bytes_add()
  uint64_t soft_limit_bytes;              ///< in force; 0: none
  uint64_t limit_bytes;                   ///< in force; 0: none
  uint64_t cycles_periodic;               ///< cycles that ran because none had for a while
  uint64_t limit_exceeded;                ///< 1 from TRI_EVENT_HEAP_LIMIT_EXCEEDED to TRI_EVENT_HEAP_LIMIT_RECOVERED
  tri_phase phase;
} tri_statistics;

/// Why the world was stopped.
typedef enum TRI_CLOSED_ENUM tri_stop_cause {
  TRI_STOP_TERMINATION TRI_SWIFT(termination) = 0, ///< to confirm that a background cycle has marked everything
  TRI_STOP_UNFINISHED TRI_SWIFT(unfinished) = 1,   ///< the same, but more was grey than a stop should mark
  TRI_STOP_FORCED TRI_SWIFT(forced) = 2,           ///< a whole mark, by force and forceBlock
  TRI_STOP_HOOKS TRI_SWIFT(hooks) = 3,             ///< for hooks with TRI_HOOK_NEEDS_STOP
} tri_stop_cause;

/// One stop of the world. Moments are of the monotonic clock.
typedef struct tri_stop {
  uint64_t number; ///< rising from 1 in each heap
  tri_stop_cause cause;
  uint32_t mutators;      ///< attached during the stop
  uint64_t requested_ns;  ///< the first mutator was asked
  uint64_t stopped_ns;    ///< the last one had arrived, or was found in a blocking region
  uint64_t started_ns;    ///< all were let go: from here on nobody is held, and the first are woken
  uint64_t latest_thread; ///< the system's id of the thread that arrived last; 0: there was none to wait for
} tri_stop;

/// One mutator's way to a stop. Those in a blocking region, or still waking from the last stop,
/// are not waited for and not listed.
typedef struct tri_arrival {
  uint64_t thread; ///< the system's id
  uint64_t ns;     ///< from the request until it stood still
} tri_arrival;
/// Called once per stop, after it, by the thread that stopped the world: it must not allocate from the heap, collect or
/// block. The arrays are valid during the call.
typedef void tri_stop_function(const tri_stop *stop, const tri_arrival *TRI_NULLABLE arrivals, size_t count,
                               void *TRI_NULLABLE context);

enum {
  /// What tri_stops_read() remembers.
  TRI_STOPS_KEPT = 256,
};

/// What happened to a heap. More may come: ignore the kinds you do not know.
typedef uint32_t tri_event_kind;
enum {
  /// The heap cannot be kept below its soft limit with half of the CPU time, or an allocation failed at the hard one.
  /// Once; the next comes after a recovery.
  TRI_EVENT_HEAP_LIMIT_EXCEEDED = 1,
  /// A cycle found it below again.
  TRI_EVENT_HEAP_LIMIT_RECOVERED = 2,
  /// The container's memory limit is another one, and the soft limit that follows it too: limit_bytes, 0 for none.
  TRI_EVENT_CONTAINER_LIMIT_CHANGED = 3,
};
typedef struct tri_event {
  tri_event_kind kind;
  uint32_t reserved;
  uint64_t time_ns;     ///< monotonic clock
  uint64_t held_bytes;  ///< heap pages in use, the collector's own tables and external bytes
  uint64_t limit_bytes; ///< the limit that it is about; 0: none
} tri_event;
/// Runs on the thread that noticed, outside of stops and without locks: the collector thread, or a thread that
/// allocates, collects or changes limits, which counts as inside tri_blocking_begin() meanwhile. So it may block, but
/// holds up that thread; it must not allocate from the heap, store into it, collect it or end it.
typedef void tri_event_function(const tri_event *event, void *TRI_NULLABLE context);

TRI_END_NONNULL
TRI_EXTERN_C_END
#endif
