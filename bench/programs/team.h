// Threads that start together: each builds what it needs, waits for the others, works, and waits again, so that the
// time between the two waits is that of the work alone.
//
//   static void worker(int index) { ...build...; team_ready(); ...work...; team_done(); }
//   struct measure m = team_run(2, worker);
//
// Whoever waits is in a blocking region: a collection need not wait for it.
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include "measure.h"

#include <pthread.h>

enum { TEAM_MAX = 128 };

static pthread_barrier_t team_barrier;

static void team_wait(void) {
  mem_blocking_begin();
  pthread_barrier_wait(&team_barrier);
  mem_blocking_end();
}
/// A worker has built what it needs; returns when all have.
static void team_ready(void) {
  team_wait();
}
/// A worker's work is done; returns when that of all is.
static void team_done(void) {
  team_wait();
}

struct team_member {
  pthread_t thread;
  int index;
  void (*work)(int index);
};

static void *team_main(void *argument) {
  struct team_member *member = argument;
  mem_thread_start();
  member->work(member->index);
  mem_thread_finish();
  return NULL;
}

struct team {
  struct team_member members[TEAM_MAX];
  int count;
};

/// Every worker, and whoever started them, must call team_wait() equally often.
static void team_start(struct team *team, int threads, void (*work)(int index)) {
  if (threads < 1 || threads > TEAM_MAX) mem_fail("the number of threads is out of range");
  team->count = threads;
  pthread_barrier_init(&team_barrier, NULL, (unsigned)threads + 1);
  for (int i = 0; i < threads; i++) {
    struct team_member *member = &team->members[i];
    *member = (struct team_member){.index = i, .work = work};
    if (pthread_create(&member->thread, NULL, team_main, member) != 0) mem_fail("no more threads");
  }
}

static void team_finish(struct team *team) {
  mem_blocking_begin();
  for (int i = 0; i < team->count; i++) pthread_join(team->members[i].thread, NULL);
  mem_blocking_end();
  pthread_barrier_destroy(&team_barrier);
}

/// What all threads together took between ready and done.
static struct measure team_run(int threads, void (*work)(int index)) {
  static struct team team;
  team_start(&team, threads, work);
  team_wait();
  struct measure m = measure_begin();
  team_wait();
  measure_end(&m);
  team_finish(&team);
  return m;
}

#endif
