// Registry: the process's reservations, the only data that heaps share.
//
// Callers     heap creation and destruction; checked builds, to tell a reference into another heap from a foreign word.
//             Fast paths know their heap and never look here.
#ifndef TRI_SPACE_REGISTRY_H
#define TRI_SPACE_REGISTRY_H

#include "base/config.h"

/// One heap's entry, which lives in the heap.
typedef struct tri_reservation {
  struct tri_reservation *next, *previous; // [lock:registry]
  uintptr_t start;                         // [const]
  uint64_t bytes;                          // [const]
} tri_reservation;

/// What the heaps of this process hold now.
typedef struct tri_registry_totals {
  uint64_t heaps, bytes;
} tri_registry_totals;

/// `start` and `bytes` are set. The entry stays where it is until it is removed.
void tri_registry_add(tri_reservation *reservation);
void tri_registry_remove(tri_reservation *reservation);
/// The start of the heap that an address lies in; 0 if it lies in none.
uintptr_t tri_registry_find(uintptr_t address);
tri_registry_totals tri_registry_read(void);
/// Around a fork: the child gets it as it was between two changes.
void tri_registry_hold(void);
void tri_registry_let_go(void);

#endif
