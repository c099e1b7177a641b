// Tricolor: a garbage-collected native heap that programs embed.
//
// This is what a C or C++ program includes; link with -ltricolor. See tricolor_types.h for options,
// layouts and statuses, tricolor_fast.h for allocation and stores, tricolor_api.h for threads, roots and
// pools. Here: making, collecting and observing a heap.
#ifndef TRICOLOR_H
#define TRICOLOR_H

#include "tricolor_api.h"
#include "tricolor_fast.h"
#include "tricolor_types.h"

TRI_EXTERN_C_BEGIN
TRI_BEGIN_NONNULL

/// Makes a heap; NULL options are the defaults. Errors: TRI_BAD_OPTIONS, TRI_OUT_OF_MEMORY (not even a
/// small reservation was granted).
tri_status tri_heap_create(const tri_options *TRI_NULLABLE options, tri_heap *TRI_NULLABLE *TRI_NONNULL out_heap);
/// Runs destroy callbacks of live objects, ends the heap's threads and returns all its memory.
/// Errors: TRI_MUTATORS_ATTACHED (nothing was changed).
tri_status tri_heap_destroy(tri_heap *heap);

/// Runs one whole cycle in the given mode and returns when it is over: for TRI_MODE_BACKGROUND after the
/// concurrent mark, for TRI_MODE_FORCE_BLOCK after everything is swept. Call it attached or not; waits for a
/// cycle that is already running and then runs its own.
void tri_collect(tri_heap *heap, tri_mode mode);

/// Consistent to within the moments the fields change; any thread, takes no long lock.
void tri_heap_statistics(tri_heap *heap, tri_statistics *out_statistics);
/// Changes the growth percentage; TRI_GROWTH_OFF stops automatic cycles. Takes effect at once.
/// Errors: TRI_BAD_OPTIONS (out of 25...100000).
tri_status tri_heap_set_growth_percent(tri_heap *heap, uint32_t percent);

/// Changes both limits, as tri_options.soft_limit_bytes and limit_bytes. Takes effect at once; limits below what is
/// alive are accepted: the event follows, and allocation fails at the hard one. A safepoint if the calling thread is
/// attached. Errors: TRI_BAD_OPTIONS (the soft limit is a number above the hard one; nothing was changed).
tri_status tri_heap_set_limits(tri_heap *heap, uint64_t soft_limit_bytes, uint64_t limit_bytes);

TRI_END_NONNULL
TRI_EXTERN_C_END
#endif
