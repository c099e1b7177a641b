// Stops: what each stop of the world cost, and who it waited for.
//
// Invariants  `current` belongs to the thread that stops the world; arrivals are noted under the world's lock, into
//             room that was made before the stop, so that nothing is allocated in it.
// Callers     stopping.c, states.c. Histograms are not ours: tri_stops_observe() hands every stop to whoever has them.
#ifndef TRI_MUTATOR_STOPS_H
#define TRI_MUTATOR_STOPS_H

#include "base/lock.h"
#include "space/meta_alloc.h"
#include "tricolor_types.h"

typedef struct tri_stops {
  tri_stop current;       // [stw]
  tri_arrival *arrivals;  // [lock:world] of the current stop
  uint32_t arrival_count; // [lock:world]
  uint32_t arrival_room;  // [stw]
  tri_lock lock;
  uint64_t count;                // [lock] stops so far
  tri_stop_function *observer;   // [lock]
  void *observer_context;        // [lock]
  tri_stop kept[TRI_STOPS_KEPT]; // [lock] stop n is at n % TRI_STOPS_KEPT; last: pages that a heap without stops never
                                 // touches
} tri_stops;

void tri_stops_init(tri_stops *stops);
void tri_stops_destroy(tri_stops *stops, tri_meta *meta);
/// Before a stop, without locks. Arrivals that find no room are not listed.
void tri_stops_make_room(tri_stops *stops, tri_meta *meta, uint32_t mutators);
void tri_stops_begin(tri_stops *stops, tri_stop_cause cause, uint32_t mutators);
/// A mutator stands still now. Holds the world's lock.
void tri_stops_note_arrival(tri_stops *stops, uint64_t thread);
/// The world runs again, since `started_ns`: keeps the record and reports it. How long the stop was, in ns.
uint64_t tri_stops_end(tri_stops *stops);
size_t tri_stops_copy(tri_stops *stops, uint64_t after, tri_stop *out_stops, size_t capacity);
void tri_stops_set_observer(tri_stops *stops, tri_stop_function *function, void *context);

#endif
