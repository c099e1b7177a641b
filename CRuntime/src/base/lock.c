#include "base/lock.h"

#include <errno.h>
#include <time.h>

// Ranks this thread holds, as bits; only kept in checked builds.
static __thread uint32_t tri_held_ranks;

static void tri_lock_note_acquired(const tri_lock *lock) {
  if (TRI_CHECKS) tri_held_ranks |= 1u << lock->rank;
}

static void tri_lock_check_order(const tri_lock *lock) {
  // Equal ranks are refused too: no two locks of one rank are ever held together.
  if (TRI_CHECKS)
    TRI_CHECK(tri_held_ranks >> lock->rank == 0, "lock order: rank %d wanted while holding ranks 0x%x", (int)lock->rank,
              tri_held_ranks);
}

void tri_lock_init(tri_lock *lock, tri_lock_rank rank) {
  int error = pthread_mutex_init(&lock->mutex, NULL);
  TRI_CHECK(error == 0, "a mutex could not be made: error %d", error);
  lock->rank = rank;
  lock->held_by_fork = false;
}

void tri_lock_destroy(tri_lock *lock) {
  pthread_mutex_destroy(&lock->mutex);
}

void tri_lock_acquire(tri_lock *lock) {
  tri_lock_check_order(lock);
  pthread_mutex_lock(&lock->mutex);
  tri_lock_note_acquired(lock);
}

bool tri_lock_try(tri_lock *lock) {
  if (pthread_mutex_trylock(&lock->mutex) != 0) return false;
  tri_lock_note_acquired(lock);
  return true;
}

void tri_lock_release(tri_lock *lock) {
  if (TRI_CHECKS) tri_held_ranks &= ~(1u << lock->rank);
  pthread_mutex_unlock(&lock->mutex);
}

void tri_lock_forget_held(void) {
  tri_held_ranks = 0;
}

void tri_condition_init(pthread_cond_t *condition) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
}

bool tri_lock_wait(tri_lock *lock, pthread_cond_t *condition, uint64_t timeout_ns) {
  if (timeout_ns == 0) {
    pthread_cond_wait(condition, &lock->mutex);
    return true;
  }
  struct timespec due;
  clock_gettime(CLOCK_MONOTONIC, &due);
  uint64_t at = (uint64_t)due.tv_sec * 1000000000u + (uint64_t)due.tv_nsec + timeout_ns;
  due.tv_sec = (time_t)(at / 1000000000u);
  due.tv_nsec = (long)(at % 1000000000u);
  return pthread_cond_timedwait(condition, &lock->mutex, &due) != ETIMEDOUT;
}
