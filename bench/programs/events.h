// The cycles and stops of a collector with their moment, as seen while operations run. Contenders that say nothing have
// none. events_poll() is called by one thread, often; bdwgc reports by itself, under its own lock.
#ifndef BENCH_EVENTS_H
#define BENCH_EVENTS_H

#include "measure.h"

enum { EVENTS_MAX = 16384 };

struct events_stop {
  uint64_t at_ns, ns; ///< when it was asked for, and how long until all threads ran again
  uint64_t arrival_ns;
};
struct events_cycle {
  uint64_t begin_ns, end_ns;
};

static struct {
  uint64_t base_ns; ///< events before it do not count
  struct events_stop stops[EVENTS_MAX];
  struct events_cycle cycles[EVENTS_MAX];
  uint32_t stop_count, cycle_count;
  bool knows_arrival;
} events;

static inline void events_add_stop(uint64_t at_ns, uint64_t ns, uint64_t arrival_ns) {
  if (at_ns < events.base_ns || events.stop_count == EVENTS_MAX) return;
  events.stops[events.stop_count++] = (struct events_stop){at_ns - events.base_ns, ns, arrival_ns};
}
static inline void events_add_cycle(uint64_t begin_ns, uint64_t end_ns) {
  if (end_ns < events.base_ns || events.cycle_count == EVENTS_MAX) return;
  if (begin_ns < events.base_ns) begin_ns = events.base_ns;
  events.cycles[events.cycle_count++] = (struct events_cycle){begin_ns - events.base_ns, end_ns - events.base_ns};
}

#if MEMORY_TRICOLOR || MEMORY_TRICOLOR_FREE

static uint64_t events_seen, events_seen_stop;
static tri_statistics events_before;

static inline size_t events_read_stops(tri_stop *stops) {
  size_t count = tri_stops_read(mem_heap, events_seen_stop, stops, TRI_STOPS_KEPT);
  if (count) events_seen_stop = stops[count - 1].number;
  return count;
}

static inline void events_start(void) {
  events.knows_arrival = true;
}
static inline void events_begin(void) {
  static tri_stop stops[TRI_STOPS_KEPT];
  events_read_stops(stops);
  events_before = mem_statistics();
  events_seen = events_before.cycles;
  events.base_ns = clock_ns(CLOCK_MONOTONIC);
}
/// Looks at the list of stops only after a cycle: what is kept of it is enough for many.
static inline void events_poll(void) {
  static tri_stop stops[TRI_STOPS_KEPT];
  tri_statistics s = mem_statistics();
  if (s.cycles == events_seen) return;
  events_seen = s.cycles;
  events_add_cycle(s.start_ns_at_last_cycle, s.start_ns_at_last_cycle + s.mark_ns_at_last_cycle);
  size_t count = events_read_stops(stops);
  for (size_t i = 0; i < count; i++)
    events_add_stop(stops[i].requested_ns, stops[i].started_ns - stops[i].requested_ns,
                    stops[i].stopped_ns - stops[i].requested_ns);
}

/// What the collector took since the beginning: threads' time, of which assists are the mutators' own.
static inline void events_report_work(void) {
  tri_statistics s = mem_statistics();
  report_u64("assist_ns", s.assist_ns_total - events_before.assist_ns_total);
  report_u64("mark_ns", s.mark_ns_total - events_before.mark_ns_total);
  report_u64("sweep_ns", s.sweep_ns_total - events_before.sweep_ns_total);
}

#elif MEMORY_BDWGC

static uint64_t events_cycle_ns, events_stop_ns, events_stopped_ns;

static void GC_CALLBACK events_hear(GC_EventType event) {
  uint64_t now = clock_ns(CLOCK_MONOTONIC);
  if (event == GC_EVENT_START) events_cycle_ns = now;
  if (event == GC_EVENT_PRE_STOP_WORLD) events_stop_ns = now;
  if (event == GC_EVENT_POST_STOP_WORLD) events_stopped_ns = now;
  if (event == GC_EVENT_POST_START_WORLD)
    events_add_stop(events_stop_ns, now - events_stop_ns, events_stopped_ns - events_stop_ns);
  if (event == GC_EVENT_END) events_add_cycle(events_cycle_ns, now);
}
static inline void events_start(void) {
  events.knows_arrival = true;
  events.base_ns = UINT64_MAX;
  GC_set_on_collection_event(events_hear);
}
static inline void events_begin(void) {
  events.base_ns = clock_ns(CLOCK_MONOTONIC);
}
static inline void events_poll(void) {}
static inline void events_report_work(void) {}

#else

static inline void events_start(void) {}
static inline void events_begin(void) {}
static inline void events_poll(void) {}
static inline void events_report_work(void) {}

#endif

static inline int events_by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/// The value that `permille` of them do not exceed.
static inline uint64_t events_quantile(const uint64_t *sorted, uint32_t count, uint32_t permille) {
  uint64_t rank = ((uint64_t)count * permille + 999) / 1000;
  return sorted[rank ? rank - 1 : 0];
}

static inline void events_report_part(const char *name, bool arrival, bool without_arrival) {
  static uint64_t ns[EVENTS_MAX];
  for (uint32_t i = 0; i < events.stop_count; i++) {
    const struct events_stop *stop = &events.stops[i];
    ns[i] = arrival ? stop->arrival_ns : without_arrival ? stop->ns - stop->arrival_ns : stop->ns;
  }
  qsort(ns, events.stop_count, sizeof *ns, events_by_value);
  char field[64];
  snprintf(field, sizeof field, "%s_ns_median", name);
  report_u64(field, events_quantile(ns, events.stop_count, 500));
  snprintf(field, sizeof field, "%s_ns_p99", name);
  report_u64(field, events_quantile(ns, events.stop_count, 990));
  snprintf(field, sizeof field, "%s_ns_longest", name);
  report_u64(field, ns[events.stop_count - 1]);
}

/// stops, stop_ns_..., and where they are known stop_arrival_ns_... and stop_work_ns_...; timeline_stops: "at:ns,...",
/// timeline_cycles: "begin-end,...", in microseconds since the beginning.
static inline void events_report(void) {
  if (!MEM_COLLECTED) return;
  events_report_work();
  report_u64("stops", events.stop_count);
  if (events.stop_count) events_report_part("stop", false, false);
  if (events.stop_count && events.knows_arrival) {
    events_report_part("stop_arrival", true, false);
    events_report_part("stop_work", false, true);
  }
  printf(",\"timeline_stops\":\"");
  for (uint32_t i = 0; i < events.stop_count; i++)
    printf("%s%llu:%llu", i ? "," : "", (unsigned long long)(events.stops[i].at_ns / 1000),
           (unsigned long long)events.stops[i].ns);
  printf("\",\"timeline_cycles\":\"");
  for (uint32_t i = 0; i < events.cycle_count; i++)
    printf("%s%llu-%llu", i ? "," : "", (unsigned long long)(events.cycles[i].begin_ns / 1000),
           (unsigned long long)(events.cycles[i].end_ns / 1000));
  printf("\"");
}

#endif
