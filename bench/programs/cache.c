// How long does an operation on a large cache take at worst, and what stops it: the collector, or the machine?
//
//   cache closed THREADS LIVE_MIB MILLISECONDS          as fast as it goes; an operation lasts from the last one's end
//   cache open THREADS LIVE_MIB MILLISECONDS RATE       RATE operations a second fall due, evenly; each is as late as
//   it
//                                                       ends after its due time, so waiting behind others counts
//   cache stops THREADS LIVE_MIB MILLISECONDS           as closed, while one cycle after the other is asked for
//
// Each thread has a cache of its own (cache_table.h), together of LIVE_MIB. A quarter of the time, at least half a
// second, goes before as a warm-up, and in the loops as many operations as allocate twice what lives: heaps have grown
// to their size then, and the first touch of memory, which may cost more than all else, is over. The check is over the
// first CHECKED operations of each thread, which are the same for everybody however fast; afterwards every entry is
// verified once more.
#include "team.h"

#include "cache_table.h"
#include "events.h"
#include "latency.h"

enum { CHECKED = 20000, POLL_EVERY = 256, WARM_OPERATIONS_PER_KEY = 3 };

static struct {
  bool open, stops;
  uint32_t threads;
  uint64_t live_bytes, run_ns, warm_ns;
  double interval_ns; ///< between two due times of a thread
  _Atomic bool done;
} job;

static struct member {
  struct cache cache;
  struct latency *latency;
  uint64_t check;
  uint64_t unused[16];
} members[TEAM_MAX] __attribute__((aligned(128)));

static uint64_t now_ns(void) {
  return clock_ns(CLOCK_MONOTONIC);
}

static void operate(struct member *member, uint64_t *done) {
  cache_operate(&member->cache);
  if (++*done == CHECKED) member->check = member->cache.seen;
}

/// Until the time is over and everything was replaced; answers the operations so far.
static uint64_t warm_up(struct member *member) {
  uint64_t done = 0, end = now_ns() + job.warm_ns, least = CHECKED;
  uint64_t replacing = (uint64_t)member->cache.keys * WARM_OPERATIONS_PER_KEY;
  if (!job.stops && replacing > least) least = replacing;
  while (done < least || now_ns() < end) operate(member, &done);
  return done;
}

static void run_closed(struct member *member, uint64_t done) {
  uint64_t start = now_ns(), last = start;
  while (last - start < job.run_ns) {
    operate(member, &done);
    if (member == members && done % POLL_EVERY == 0) events_poll();
    uint64_t now = now_ns();
    latency_record(member->latency, now - last, now - start);
    last = now;
  }
}

static void wait_until(uint64_t due, uint64_t now) {
  uint64_t ns = due - now;
  struct timespec rest = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
  mem_blocking_begin();
  nanosleep(&rest, NULL);
  mem_blocking_end();
}

/// Whoever is ahead sleeps, as a server does that waits for its socket; whoever is behind works off what is due.
static void run_open(struct member *member, uint64_t done) {
  uint64_t start = now_ns(), now = start, count = 0;
  double offset = job.interval_ns * (double)(member - members) / job.threads;
  for (;;) {
    uint64_t due = start + (uint64_t)(offset + job.interval_ns * (double)count++);
    if (due - start >= job.run_ns) break;
    while (now < due) {
      wait_until(due, now);
      now = now_ns();
    }
    operate(member, &done);
    if (member == members && done % POLL_EVERY == 0) events_poll();
    now = now_ns();
    latency_record(member->latency, now - due, now - start);
  }
}

static void worker(int index) {
  struct member *member = &members[index];
  member->latency = calloc(1, sizeof *member->latency);
  if (!member->latency) mem_fail("cache: no memory for the histogram");
  cache_build(&member->cache, job.live_bytes / job.threads, 1000 + (uint64_t)index);
  team_ready();
  uint64_t done = warm_up(member);
  team_ready();
  if (index == 0) events_begin(); // by the thread that looks at them
  if (job.open)
    run_open(member, done);
  else
    run_closed(member, done);
  if (index == 0) events_poll();
  team_done();
  cache_check(&member->cache);
}

/// Asks for cycles one after the other, with a little time in between.
static void *ask_for_cycles(void *unused) {
  (void)unused;
  mem_thread_start();
  while (!job.done) {
    mem_cycle();
    mem_blocking_begin();
    nanosleep(&(struct timespec){0, 5000000}, NULL);
    mem_blocking_end();
  }
  mem_thread_finish();
  return NULL;
}

static struct measure measure_members(void) {
  static struct team team;
  team_start(&team, (int)job.threads, worker);
  team_wait();
  pthread_t asker;
  if (job.stops && pthread_create(&asker, NULL, ask_for_cycles, NULL) != 0) mem_fail("no more threads");
  team_wait();
  struct measure m = measure_begin();
  team_wait();
  measure_end(&m);
  job.done = true;
  mem_blocking_begin();
  if (job.stops) pthread_join(asker, NULL);
  mem_blocking_end();
  team_finish(&team);
  return m;
}

/// The whole argument must be a number in the range.
static uint64_t number(const char *text, const char *what, uint64_t least, uint64_t most) {
  char *end, message[160];
  unsigned long long value = strtoull(text, &end, 10);
  if (*text >= '0' && *text <= '9' && *end == 0 && value >= least && value <= most) return value;
  snprintf(message, sizeof message, "cache: %s must be a number from %llu to %llu, not '%.40s'", what,
           (unsigned long long)least, (unsigned long long)most, text);
  mem_fail(message);
}

static void read_arguments(int argc, char **argv) {
  job.open = argc > 1 && strcmp(argv[1], "open") == 0;
  job.stops = argc > 1 && strcmp(argv[1], "stops") == 0;
  bool known = job.open || job.stops || (argc > 1 && strcmp(argv[1], "closed") == 0);
  if (!known || argc != (job.open ? 6 : 5))
    mem_fail(
        "usage: cache closed|stops THREADS LIVE_MIB MILLISECONDS, or cache open THREADS LIVE_MIB MILLISECONDS RATE");
  job.threads = (uint32_t)number(argv[2], "THREADS", 1, TEAM_MAX - 1);
  job.live_bytes = number(argv[3], "LIVE_MIB", 1, 65536) << 20;
  job.run_ns = number(argv[4], "MILLISECONDS", 10, 200000) * 1000000;
  job.warm_ns = job.run_ns / 4 < 500000000 && job.run_ns >= 1000000000 ? 500000000 : job.run_ns / 4;
  if (job.open) job.interval_ns = 1e9 * job.threads / (double)number(argv[5], "RATE", 1, 1000000000);
}

int main(int argc, char **argv) {
  read_arguments(argc, argv);
  events_start();
  mem_start();
  cache_types();
  for (uint32_t i = 0; i < job.threads; i++) mem_root((void **)&members[i].cache.buckets);
  struct measure m = measure_members();

  static struct latency all;
  uint64_t check = 0, held = 0;
  for (uint32_t i = 0; i < job.threads; i++) {
    latency_add(&all, members[i].latency);
    check = check * 31 + members[i].check;
    held += members[i].cache.held_bytes;
  }
  report_open("cache", argv[1]);
  report_u64("threads", job.threads);
  report_u64("held_bytes", held);
  if (job.open) report_u64("rate", strtoull(argv[5], NULL, 10));
  latency_report(&all);
  events_report();
  report_close(&m, all.operations, check);
  mem_finish();
  return 0;
}
