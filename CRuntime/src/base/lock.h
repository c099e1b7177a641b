// Locks: mutexes with a rank. A thread takes them in rising rank only; debug builds check it, so that a
// deadlock shows as a sentence on the first run, not as a hang on the thousandth.
//
// Not here    the cycle lock across which a whole collection runs is the lowest rank.
#ifndef TRI_BASE_LOCK_H
#define TRI_BASE_LOCK_H

#include <pthread.h>

#include "base/assert.h"

/// The lock order: a lock may be taken only while holding locks of lower rank.
typedef enum tri_lock_rank {
  TRI_RANK_CYCLE = 1, // one collection at a time
  TRI_RANK_WORLD,     // who is attached, who is stopped
  TRI_RANK_HELPERS,   // waking the heap's own threads
  TRI_RANK_SWEEP,     // waiting for the sweep to end
  TRI_RANK_ROOTS,     // tables of roots, handles, pools, hooks
  TRI_RANK_LIMITS,    // limits, external bytes, events
  TRI_RANK_LAYOUTS,   // interning of layouts and span classes
  TRI_RANK_CLASS,     // one span class: its spans with free slots
  TRI_RANK_SCAVENGE,  // pages on their way back to the system
  TRI_RANK_PAGES,     // free page runs
  TRI_RANK_TIES,      // weak references, ephemerons, cleanups
  TRI_RANK_GREY,      // shared grey chunks
  TRI_RANK_META,      // memory for descriptors
  TRI_RANK_STOPS,     // records of stops
} tri_lock_rank;

typedef struct tri_lock {
  pthread_mutex_t mutex;
  tri_lock_rank rank;
  bool held_by_fork; // [lock] heap/fork.c
} tri_lock;

void tri_lock_init(tri_lock *lock, tri_lock_rank rank);
void tri_lock_destroy(tri_lock *lock);
void tri_lock_acquire(tri_lock *lock);
/// In any order, as it does not wait.
bool tri_lock_try(tri_lock *lock);
void tri_lock_release(tri_lock *lock);

/// Waits on a condition; the lock is released meanwhile. Returns false after `timeout_ns` (0: no limit).
bool tri_lock_wait(tri_lock *lock, pthread_cond_t *condition, uint64_t timeout_ns);
void tri_condition_init(pthread_cond_t *condition);
/// In a forked child, where every lock is made anew: this thread holds none.
void tri_lock_forget_held(void);

#endif
