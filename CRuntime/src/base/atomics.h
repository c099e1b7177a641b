// Atomics: the few verbs we use, with the order in the name. Over plain fields, because Swift cannot see
// structs that hold _Atomic ones.
#ifndef TRI_BASE_ATOMICS_H
#define TRI_BASE_ATOMICS_H

#define tri_load_relaxed(place) __atomic_load_n((place), __ATOMIC_RELAXED)
#define tri_load_acquire(place) __atomic_load_n((place), __ATOMIC_ACQUIRE)
#define tri_load_ordered(place) __atomic_load_n((place), __ATOMIC_SEQ_CST)
#define tri_store_relaxed(place, value) __atomic_store_n((place), (value), __ATOMIC_RELAXED)
#define tri_store_release(place, value) __atomic_store_n((place), (value), __ATOMIC_RELEASE)
#define tri_store_ordered(place, value) __atomic_store_n((place), (value), __ATOMIC_SEQ_CST)
#define tri_add_relaxed(place, value) __atomic_fetch_add((place), (value), __ATOMIC_RELAXED)
#define tri_add_release(place, value) __atomic_fetch_add((place), (value), __ATOMIC_RELEASE)
#define tri_subtract_relaxed(place, value) __atomic_fetch_sub((place), (value), __ATOMIC_RELAXED)
/// By the one thread that writes it: a plain addition, which others may read meanwhile.
#define tri_add_owned(place, value) tri_store_relaxed((place), tri_load_relaxed(place) + (value))
#define tri_and_relaxed(place, value) __atomic_fetch_and((place), (value), __ATOMIC_RELAXED)
#define tri_or_relaxed(place, value) __atomic_fetch_or((place), (value), __ATOMIC_RELAXED)
#define tri_or_ordered(place, value) __atomic_fetch_or((place), (value), __ATOMIC_SEQ_CST)
#define tri_and_ordered(place, value) __atomic_fetch_and((place), (value), __ATOMIC_SEQ_CST)
#define tri_exchange_ordered(place, value) __atomic_exchange_n((place), (value), __ATOMIC_SEQ_CST)
#define tri_compare_exchange_ordered(place, expected, desired)                                                         \
  __atomic_compare_exchange_n((place), (expected), (desired), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

/// Asks for a line that is about to be written, for this processor alone: what was only asked for to be read has to be
/// asked for again, which costs as much where another processor had it. The builtin says so only where the compiler is
/// allowed more than the oldest processors; those that do not know the instruction skip it.
static inline void tri_prefetch_to_write(const void *place) {
#if defined(__x86_64__)
  __asm__ volatile("prefetchw %0" : : "m"(*(const char *)place));
#else
  __builtin_prefetch(place, 1);
#endif
}

#endif
