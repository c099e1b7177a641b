#include "mutator/assist.h"

#include "base/step.h"

enum {
  // Debts are let grow to this: the clock is read twice for each that is paid.
  TRI_ASSIST_DEBT_MIN = 256,
  // Objects marked between two looks at the clock: 64 are 1 to 5 us, or 200 if each has 64 words that all miss the
  // cache. Portions that are over in a small part of the time there is are followed by larger ones: between two of
  // them the marker's pipeline runs dry.
  TRI_ASSIST_PORTION = 64,
  TRI_ASSIST_PORTION_MAX = 1024,
  TRI_ASSIST_QUICK = 32,
  // What the collector marks between two gifts to the pool: larger means fewer shared writes and a pipeline that runs
  // dry less often, smaller that allocating threads wait less for what is marked already.
  TRI_ASSIST_CREDIT = 1024,
};
#define TRI_ASSIST_DEBT_MAX (INT64_C(1) << 40)

// ---- Owing ----

static void tri_assist_owe(tri_mutator_full *mutator, uint64_t bytes, uint32_t rate) {
  uint64_t product;
  bool huge = __builtin_mul_overflow(bytes, (uint64_t)rate, &product) || product >> 20 > (uint64_t)TRI_ASSIST_DEBT_MAX;
  mutator->assist_credit -= huge ? TRI_ASSIST_DEBT_MAX : (int64_t)(product >> 20);
  if (mutator->assist_credit < -TRI_ASSIST_DEBT_MAX) mutator->assist_credit = -TRI_ASSIST_DEBT_MAX;
}

// What the collector marked pays first.
static void tri_assist_take_credit(tri_mutator_full *mutator) {
  int64_t *pool = &mutator->world->assist_pool_objects, owed = -mutator->assist_credit;
  int64_t there = tri_load_relaxed(pool);
  while (there > 0) {
    int64_t taken = there < owed ? there : owed;
    if (!__atomic_compare_exchange_n(pool, &there, there - taken, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) continue;
    mutator->assist_credit += taken;
    return;
  }
}

// ---- Giving ----

typedef struct tri_credit_pace {
  tri_mark_pace pace; // first
  tri_world *world;
  tri_share *share; // NULL: without end
} tri_credit_pace;

// Threads that would allocate wait (heap/trigger.c): nobody else needs the processor.
static bool tri_assist_is_beyond_limit(const tri_world *world) {
  return tri_load_relaxed(&world->collect.allocated_since_bytes) >= tri_load_relaxed(&world->hold_bytes);
}

static bool tri_assist_give(tri_mark_pace *pace, uint64_t scanned_objects) {
  const tri_credit_pace *credit = (const tri_credit_pace *)(const void *)pace;
  tri_add_relaxed(&credit->world->assist_pool_objects, (int64_t)scanned_objects);
  return !credit->share || tri_assist_is_beyond_limit(credit->world) ||
         !tri_share_is_used_up(credit->share, credit->world);
}

uint64_t tri_assist_marker_run(tri_world *world, tri_marker *marker, uint64_t budget_objects, tri_share *share) {
  uint64_t scanned = 0;
  for (;;) {
    tri_credit_pace pace = {{TRI_ASSIST_CREDIT, tri_assist_give}, world, share};
    scanned += tri_marker_run_paced(marker, budget_objects - scanned, true, &pace.pace);
    // What it had is shared when a run ends: others may go on with it.
    if (!share || !share->rest_ns) return scanned;
    tri_share_rest(share, world);
  }
}

// ---- Marking ----

// Half of what a limit leaves is allocated: marking cannot be left to who has the work and no processor.
static bool tri_assist_is_pressed(const tri_world *world) {
  int64_t hold_bytes = tri_load_relaxed(&world->hold_bytes);
  return hold_bytes != INT64_MAX && tri_load_relaxed(&world->collect.allocated_since_bytes) >= hold_bytes / 2;
}

typedef struct tri_assist_pace {
  tri_mark_pace pace; // first
  uint64_t began_ns, last_ns, longest_ns, most_ns;
  bool late;
} tri_assist_pace;

// Whether another portion, if it takes as long as the longest so far, ends in time.
static bool tri_assist_goes_on(tri_mark_pace *pace, uint64_t scanned) {
  (void)scanned;
  tri_assist_pace *assist = (tri_assist_pace *)(void *)pace;
  uint64_t now_ns = tri_clock_ns(), took_ns = now_ns - assist->last_ns;
  if (took_ns > assist->longest_ns) assist->longest_ns = took_ns;
  if (took_ns < assist->most_ns / TRI_ASSIST_QUICK && pace->portion_objects < TRI_ASSIST_PORTION_MAX)
    pace->portion_objects *= 2;
  assist->last_ns = now_ns;
  assist->late = now_ns - assist->began_ns + assist->longest_ns >= assist->most_ns;
  return !assist->late;
}

static void tri_assist_record(tri_world *world, uint64_t took_ns) {
  tri_add_relaxed(&world->assist_ns_total, took_ns);
  uint64_t longest = tri_load_relaxed(&world->assist_ns_longest);
  while (took_ns > longest && !__atomic_compare_exchange_n(&world->assist_ns_longest, &longest, took_ns, 0,
                                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

static void tri_assist_mark(tri_mutator_full *mutator) {
  tri_world *world = mutator->world;
  uint64_t began_cpu_ns = tri_thread_cpu_ns(), now_ns = tri_clock_ns();
  uint64_t owed = (uint64_t)-mutator->assist_credit;
  tri_assist_pace assist = {{TRI_ASSIST_PORTION, tri_assist_goes_on}, now_ns, now_ns, 0, world->assist_ns_max, false};
  tri_grey_worker_begin(&world->collect.grey);
  uint64_t done = tri_marker_run_paced(&mutator->marker, owed, false, &assist.pace);
  tri_grey_worker_end(&world->collect.grey);
  // Where there was nothing to mark the debt is forgiven: the collector is ahead, or holds all there is. (Near a limit,
  // a collector that was given a quarter of a processor held it while threads allocated 118 MiB of 256, and marked
  // 17,000 objects of the 1.4 million there were.)
  bool found_nothing = done < owed && !assist.late;
  if (found_nothing && tri_assist_is_pressed(world)) tri_grey_ask(&world->collect.grey);
  mutator->assist_credit = found_nothing ? 0 : mutator->assist_credit + (int64_t)done;
  tri_assist_record(world, tri_thread_cpu_ns() - began_cpu_ns);
}

void tri_assist(tri_mutator_full *mutator, uint64_t bytes) {
  tri_world *world = mutator->world;
  uint32_t rate = tri_load_relaxed(&world->assist_objects_per_mib);
  // Before the snapshot of S12 nothing may be marked: a marker takes what lies beyond it for black.
  if (rate == 0 || tri_load_acquire(&world->collect.mark_limit_bytes) == 0) return;
  tri_assist_owe(mutator, bytes, rate);
  if (mutator->assist_credit > -TRI_ASSIST_DEBT_MIN) return;
  tri_assist_take_credit(mutator);
  if (mutator->assist_credit > -TRI_ASSIST_DEBT_MIN) return;
  if (!mutator->marker.stack && !tri_marker_init(&mutator->marker, &world->collect)) return;
  tri_step(TRI_STEP_ASSIST);
  tri_assist_mark(mutator);
}

void tri_assist_forget(tri_world *world) {
  int64_t pool = tri_load_relaxed(&world->assist_pool_objects);
  TRI_CHECK(pool >= 0, "allocating threads took %lld objects more than the collector marked ahead", (long long)-pool);
  tri_store_relaxed(&world->assist_pool_objects, (int64_t)0);
  tri_grey_ask_no_more(&world->collect.grey);
}
