#include "mutator/stops.h"

#include <string.h>

#include "mutator/world.h"
#include "os/thread.h"

void tri_stops_init(tri_stops *stops) {
  tri_lock_init(&stops->lock, TRI_RANK_STOPS);
}

void tri_stops_destroy(tri_stops *stops, tri_meta *meta) {
  if (stops->arrivals) tri_meta_free(meta, stops->arrivals, stops->arrival_room * sizeof *stops->arrivals);
  tri_lock_destroy(&stops->lock);
}

void tri_stops_make_room(tri_stops *stops, tri_meta *meta, uint32_t mutators) {
  if (mutators <= stops->arrival_room) return;
  uint32_t room = 2 * mutators;
  tri_arrival *arrivals = tri_meta_allocate(meta, room * sizeof *arrivals);
  if (!arrivals) return;
  if (stops->arrivals) tri_meta_free(meta, stops->arrivals, stops->arrival_room * sizeof *arrivals);
  stops->arrivals = arrivals;
  stops->arrival_room = room;
}

void tri_stops_begin(tri_stops *stops, tri_stop_cause cause, uint32_t mutators) {
  stops->current = (tri_stop){.cause = cause, .mutators = mutators, .requested_ns = tri_clock_ns()};
  stops->arrival_count = 0;
}

void tri_stops_note_arrival(tri_stops *stops, uint64_t thread) {
  stops->current.latest_thread = thread;
  if (stops->arrival_count == stops->arrival_room) return;
  stops->arrivals[stops->arrival_count++] = (tri_arrival){thread, tri_clock_ns() - stops->current.requested_ns};
}

uint64_t tri_stops_end(tri_stops *stops) {
  tri_stop *stop = &stops->current;
  tri_lock_acquire(&stops->lock);
  stop->number = ++stops->count;
  stops->kept[stop->number % TRI_STOPS_KEPT] = *stop;
  tri_stop_function *observer = stops->observer;
  void *context = stops->observer_context;
  tri_lock_release(&stops->lock);
  if (observer) observer(stop, stops->arrivals, stops->arrival_count, context);
  return stop->started_ns - stop->requested_ns;
}

size_t tri_stops_copy(tri_stops *stops, uint64_t after, tri_stop *out_stops, size_t capacity) {
  tri_lock_acquire(&stops->lock);
  uint64_t oldest = stops->count < TRI_STOPS_KEPT ? 1 : stops->count - TRI_STOPS_KEPT + 1;
  uint64_t first = after >= oldest ? after + 1 : oldest;
  size_t copied = 0;
  if (after >= stops->count) capacity = 0; // nothing new; nor can first have wrapped beyond this
  for (uint64_t number = first; number <= stops->count && copied < capacity; number++)
    out_stops[copied++] = stops->kept[number % TRI_STOPS_KEPT];
  tri_lock_release(&stops->lock);
  return copied;
}

void tri_stops_set_observer(tri_stops *stops, tri_stop_function *function, void *context) {
  tri_lock_acquire(&stops->lock);
  stops->observer = function;
  stops->observer_context = context;
  tri_lock_release(&stops->lock);
}

// ---- What embedders call ----

size_t tri_stops_read(tri_heap *heap, uint64_t after, tri_stop *out_stops, size_t capacity) {
  return tri_stops_copy(&tri_world_of_heap(heap)->stops, after, out_stops, capacity);
}

void tri_stops_observe(tri_heap *heap, tri_stop_function *function, void *context) {
  tri_stops_set_observer(&tri_world_of_heap(heap)->stops, function, context);
}
