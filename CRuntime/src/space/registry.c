#include "space/registry.h"

#include <pthread.h>

// Statically initialised: there is no moment before the first heap. The innermost lock of all: nothing is called
// while it is held.
static pthread_mutex_t tri_registry_lock = PTHREAD_MUTEX_INITIALIZER;
static tri_reservation *tri_reservations;
static tri_registry_totals tri_registry_totals_now;

void tri_registry_add(tri_reservation *reservation) {
  pthread_mutex_lock(&tri_registry_lock);
  reservation->previous = NULL;
  reservation->next = tri_reservations;
  if (reservation->next) reservation->next->previous = reservation;
  tri_reservations = reservation;
  tri_registry_totals_now.heaps++;
  tri_registry_totals_now.bytes += reservation->bytes;
  pthread_mutex_unlock(&tri_registry_lock);
}

void tri_registry_remove(tri_reservation *reservation) {
  pthread_mutex_lock(&tri_registry_lock);
  if (reservation->previous)
    reservation->previous->next = reservation->next;
  else
    tri_reservations = reservation->next;
  if (reservation->next) reservation->next->previous = reservation->previous;
  tri_registry_totals_now.heaps--;
  tri_registry_totals_now.bytes -= reservation->bytes;
  pthread_mutex_unlock(&tri_registry_lock);
}

uintptr_t tri_registry_find(uintptr_t address) {
  uintptr_t start = 0;
  pthread_mutex_lock(&tri_registry_lock);
  for (const tri_reservation *reservation = tri_reservations; reservation && !start; reservation = reservation->next)
    if (address - reservation->start < reservation->bytes) start = reservation->start;
  pthread_mutex_unlock(&tri_registry_lock);
  return start;
}

tri_registry_totals tri_registry_read(void) {
  pthread_mutex_lock(&tri_registry_lock);
  tri_registry_totals totals = tri_registry_totals_now;
  pthread_mutex_unlock(&tri_registry_lock);
  return totals;
}

void tri_registry_hold(void) {
  pthread_mutex_lock(&tri_registry_lock);
}
void tri_registry_let_go(void) {
  pthread_mutex_unlock(&tri_registry_lock);
}
