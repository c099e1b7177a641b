// What to write into the trace for a call of the malloc family: the recording of this process.
//
// Invariants  the order of events is an order in which the calls could have happened one after the other:
//             an allocation is noted after the allocator returned, a free before it is passed on, a realloc
//             with the lock held around it (its old address may be handed out again before it returns).
// Callers     the interposed functions of interpose.c; any thread; nothing here calls malloc.
// Not here    forwarding to the real allocator.
#ifndef RECORD_H
#define RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "../programs/trace_format.h"

/// Begins recording if the environment asks for it and this is the process meant (README.md). Called at the
/// first allocation of the process, and again from the constructor in case that came before `environ` was
/// set.
void record_start(void);
/// Ends the recording: counts, checksum, header. Later calls do nothing. Not in a child of fork or vfork.
void record_finish(void);

/// Whether events are still wanted. One relaxed load.
bool record_is_on(void);
void record_allocate(enum trace_operation operation, const void *block, size_t bytes, size_t alignment);
void record_free(const void *block);
/// Around the real realloc, which happens between the two with the lock held.
void record_realloc_begin(void);
void record_realloc_end(const void *old_block, const void *new_block, size_t bytes);

#endif
