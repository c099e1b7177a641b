#include "space/registry.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct tri_reservation {
  struct tri_reservation *next;
  uintptr_t start;
  uint64_t bytes;
} tri_reservation;

// Statically initialised: there is no moment before the first heap. The innermost lock of all: nothing is called
// while it is held.
static pthread_mutex_t tri_registry_lock = PTHREAD_MUTEX_INITIALIZER;
static tri_reservation *tri_reservations;

bool tri_registry_add(uintptr_t start, uint64_t bytes) {
  tri_reservation *reservation = malloc(sizeof *reservation);
  if (!reservation) return false;
  pthread_mutex_lock(&tri_registry_lock);
  *reservation = (tri_reservation){tri_reservations, start, bytes};
  tri_reservations = reservation;
  pthread_mutex_unlock(&tri_registry_lock);
  return true;
}

void tri_registry_remove(uintptr_t start) {
  tri_reservation *found = NULL;
  pthread_mutex_lock(&tri_registry_lock);
  for (tri_reservation **link = &tri_reservations; *link && !found; link = &(*link)->next) {
    if ((*link)->start != start) continue;
    found = *link;
    *link = found->next;
    break;
  }
  pthread_mutex_unlock(&tri_registry_lock);
  free(found);
}

uintptr_t tri_registry_find(uintptr_t address) {
  uintptr_t start = 0;
  pthread_mutex_lock(&tri_registry_lock);
  for (const tri_reservation *reservation = tri_reservations; reservation && !start; reservation = reservation->next)
    if (address - reservation->start < reservation->bytes) start = reservation->start;
  pthread_mutex_unlock(&tri_registry_lock);
  return start;
}
