// One memory interface over every contender, so that a workload is written once and measured with each.
//
// Which contender is chosen by one macro: MEMORY_MALLOC (malloc and free; the same binary runs with any
// allocator through LD_PRELOAD), MEMORY_TRICOLOR (collected), MEMORY_TRICOLOR_FREE (ours, explicit free,
// automatic cycles off), MEMORY_BDWGC (collected).
//
// What each backend header defines, all static inline:
//
//   MEM_COLLECTED           1 if dropping the last reference is enough
//   MEM_EXPLICIT_FREE       1 if mem_free() must be called (always !MEM_COLLECTED)
//   mem_name()              "malloc", "tricolor", "tricolor-free", "bdwgc"
//   mem_start()             once, from main, before anything else; exits with a message on failure
//   mem_start_exact()       the same, and where the contender can be told so, references in heap objects
//                           are only ever to the start of an object (bdwgc; elsewhere nothing changes)
//   mem_start_marking(n)    the same, and n threads mark in a stopped world; 0: the contender's default
//   mem_finish()            once, at the end, after the report is printed
//   mem_thread_start()      at the start and end of every further thread that touches the heap
//   mem_thread_finish()
//
//   mem_blocking_begin()    between them this thread does not touch the heap, and a collection need not wait for it
//   mem_blocking_end()
//   mem_safepoint()         lets a collection in, in loops that do not allocate
//
//   mem_leaf(n)             n bytes, undefined contents, no references
//   mem_leaf_zeroed(n)      n bytes, zero, no references (malloc: calloc)
//   mem_mixed(n)            n bytes, zero, only the first word is a reference (malloc: calloc); n >= 8
//   mem_mixed_raw(n)        the same, but the caller at once fills what it will read (malloc: malloc;
//                           ours zeroes the reference, bdwgc and Go all of it)
//   mem_resize(p, n)        whether the block holds n bytes where it is, now or already
//   mem_array(count)        count references, zero (malloc: calloc)
//   mem_type_make(n, mask)  a fixed-size type; bit i of mask: word i is a reference
//   mem_new(type, n)        zero, n == the type's size, a constant (malloc: calloc)
//   mem_new_raw(type, n)    the same, but the caller at once fills every word (malloc: malloc;
//                           collected heaps still zero)
//   mem_free(p)             frees; nothing where MEM_COLLECTED
//
//   mem_store(object, slot, value)  stores a reference into a slot of an object
//   mem_init(object, slot, value)   the same, first store after allocation, nothing allocated in between
//   mem_clear(object, slots, count) stores NULL into neighbouring slots
//   mem_root(slot)                  registers one word outside the heap (static data) as a root
//   mem_root_store(slot, value)     stores into such a word
//
//   mem_grow_only(bytes)    until mem_grow_end(): the heap grows to hold this much and does not collect
//   mem_grow_end()
//   mem_collect()           one full stop-the-world collection, swept when it returns (malloc: nothing)
//   mem_cycle()             one collection, beside the other threads where the contender can
//   mem_cycles()            collections so far
//   mem_mark_cpu_ns()       CPU time of all marking so far; 0 where the contender does not say
//   mem_mark_wall_ns()      how long the last collection marked; 0 where the contender does not say
//   mem_marked_objects()    objects the last collection found alive
//   mem_write_statistics()  further fields of the report, each starting with a comma
//
// References in C frames keep objects alive in every contender (stacks are scanned conservatively). Static
// variables do so only when registered with mem_root().
//
// Not here: timing and the report line (measure.h).
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef MEMORY_MALLOC
#define MEMORY_MALLOC 0
#endif
#ifndef MEMORY_TRICOLOR
#define MEMORY_TRICOLOR 0
#endif
#ifndef MEMORY_TRICOLOR_FREE
#define MEMORY_TRICOLOR_FREE 0
#endif
#ifndef MEMORY_BDWGC
#define MEMORY_BDWGC 0
#endif

/// A reference slot, whatever type the workload gives it.
typedef void *__attribute__((may_alias)) mem_slot;

static inline _Noreturn void mem_fail(const char *what) {
  fprintf(stderr, "bench: %s\n", what);
  exit(1);
}

/// Hides a pointer from the optimiser: it can neither drop the allocation nor know what it points to.
static inline void *mem_opaque(void *pointer) {
  __asm__ volatile("" : "+r"(pointer) : : "memory");
  return pointer;
}

#if MEMORY_MALLOC
#include "memory_malloc.h"
#elif MEMORY_TRICOLOR || MEMORY_TRICOLOR_FREE
#include "memory_tricolor.h"
#elif MEMORY_BDWGC
#include "memory_bdwgc.h"
#else
#error "choose a contender: -DMEMORY_MALLOC=1, -DMEMORY_TRICOLOR=1, -DMEMORY_TRICOLOR_FREE=1, -DMEMORY_BDWGC=1"
#endif

#endif
