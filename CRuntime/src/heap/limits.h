// Limits: how much a heap may hold, what counts towards it, and who is told.
//
//   held = heap pages in use + the collector's own tables + external bytes
//
// The soft limit bounds `held` through the goal, which is the pacer's to decide (Pacer.swift). The hard one bounds heap
// pages and external bytes, and is kept by whoever takes pages: world.limit_bytes is what is left of it for pages.
// External bytes that come and go move the trigger, as bytes allocated in the heap would.
//
// Invariants  world.trigger_bytes == planned trigger - (external bytes now - when the last sweep ended), at least 0
//             EXCEEDED and RECOVERED events alternate
// Callers     see each function; the lock here is taken last but for the grey queue's and the tables'.
// Not here    when a cycle starts and when the limit counts as exceeded (Pacer.swift, CPULimiter.swift).
#ifndef TRI_HEAP_LIMITS_H
#define TRI_HEAP_LIMITS_H

#include <pthread.h>

#include "base/lock.h"
#include "tricolor_types.h"

enum { TRI_EVENTS_WAITING = 8 };

typedef struct tri_limits {
  tri_lock lock;
  uint64_t soft_given_bytes; // [lock; atomic read] as tri_options.soft_limit_bytes
  uint64_t hard_bytes;       // [lock] 0: none
  uint64_t container_bytes;  // [lock] memory limit of the container; 0: none
  uint64_t soft_bytes;       // [lock; atomic read] in force; 0: none
  uint64_t container_ns;     // [atomic] when that was read
  int64_t external_bytes;    // [lock; atomic read]
  // When the last sweep ended, and what the pacer decided then. [lock]
  int64_t swept_external_bytes, planned_trigger_bytes, planned_urgent_bytes, planned_hold_bytes;
  uint32_t allocation_failed; // [atomic] at the hard limit, until a cycle finds that it is kept
  uint32_t exceeded;          // [lock; atomic read] between EXCEEDED and RECOVERED
  // Time that forced collections may still take although they find next to nothing. [lock]
  uint32_t forced_in_vain; // in a row
  int64_t force_budget_ns;
  uint64_t force_budget_at_ns;
  // Events. [lock]
  tri_event_function *function;
  void *context;
  tri_event waiting[TRI_EVENTS_WAITING];
  uint32_t waiting_count;
  uintptr_t deliverer; // [lock; atomic read] token of the thread that delivers; 0: none
} tri_limits;

typedef struct tri_periodic {
  uint64_t cycle_ended_ns; // [atomic]
  uint64_t cycles;         // [atomic] run for this reason
  uint32_t armed;          // [atomic] the collector thread will look
} tri_periodic;

void tri_limits_init(tri_heap *heap);
void tri_limits_destroy(tri_heap *heap);
const char *tri_limits_complaint(uint64_t soft_limit_bytes, uint64_t limit_bytes);
/// A sweep ended, before the pacer plans.
void tri_limits_swept(tri_heap *heap);
/// Reads the container's limit again if that is due. No lock is held.
void tri_limits_refresh(tri_heap *heap, uint64_t now_ns);
bool tri_limits_refresh_is_due(const tri_heap *heap, uint64_t now_ns);
uint64_t tri_limits_held_bytes(tri_heap *heap);
/// An allocation found no memory. Whether a forced collection is worth its time: after the first few in a row that left
/// next to no room, those take at most half of it.
bool tri_limits_allow_force(tri_heap *heap);
void tri_limits_forced(tri_heap *heap, uint64_t took_ns);
void tri_periodic_init(tri_heap *heap);
/// No lock is held: a cycle is over.
void tri_periodic_cycle_ended(tri_heap *heap);
/// From tri_heap_tick().
void tri_periodic_tick(tri_heap *heap, uint64_t now_ns);

#endif
