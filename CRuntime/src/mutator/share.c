#include "mutator/share.h"

#include "mutator/placement.h"
#include "os/thread.h"

enum {
  // What is looked at together: larger makes up for a time slice of another thread, smaller forgets sooner what was
  // taken of idle CPUs.
  TRI_SHARE_WINDOW_NS = 20000000,
  // Naps: shorter ones cost more switches than they spare waits, longer ones miss CPUs that became idle.
  TRI_SHARE_NAP_MIN_NS = 500000,
  TRI_SHARE_NAP_MAX_NS = 1000000,
  // Of one CPU, for each there is.
  TRI_SHARE_ON_TIME_PERMILLE = 100,
  TRI_SHARE_UNPLANNED_PERMILLE = 250,
};

uint32_t tri_share_permille(uint32_t cpus, int64_t loan_objects, int64_t pool_objects) {
  if (loan_objects <= 0) return cpus < 4 ? cpus * TRI_SHARE_UNPLANNED_PERMILLE : 1000;
  if (pool_objects <= 0) return 1000;
  uint32_t least = cpus < 10 ? cpus * TRI_SHARE_ON_TIME_PERMILLE : 1000;
  double behind = 1 - (double)pool_objects / (double)loan_objects;
  return behind <= 0 ? least : least + (uint32_t)((1000 - least) * behind);
}

uint64_t tri_share_due_ns(uint32_t permille, uint64_t wall_ns, uint64_t cpu_ns) {
  uint64_t due_ns = cpu_ns * 1000 / permille;
  if (due_ns < wall_ns + TRI_SHARE_NAP_MIN_NS) return 0;
  return due_ns - wall_ns < TRI_SHARE_NAP_MAX_NS ? due_ns - wall_ns : TRI_SHARE_NAP_MAX_NS;
}

bool tri_world_fills_cpus(tri_world *world, uint32_t cpus) {
  uint32_t running = 0;
  tri_lock_acquire(&world->lock);
  for (const tri_mutator_full *mutator = world->mutators; mutator && running < cpus; mutator = mutator->next)
    running += tri_load_relaxed(&mutator->state) == TRI_MUTATOR_RUNNING;
  tri_lock_release(&world->lock);
  return running >= cpus;
}

void tri_share_begin(tri_share *share, uint32_t cpus) {
  *share = (tri_share){.cpus = cpus, .began_ns = tri_clock_ns(), .began_cpu_ns = tri_thread_cpu_ns()};
}

bool tri_share_is_used_up(tri_share *share, tri_world *world) {
  uint64_t wall_ns = tri_clock_ns() - share->began_ns, cpu_ns = tri_thread_cpu_ns() - share->began_cpu_ns;
  uint32_t permille = tri_share_permille(share->cpus, tri_load_relaxed(&world->assist_loan_objects),
                                         tri_load_relaxed(&world->assist_pool_objects));
  share->rest_ns = tri_share_due_ns(permille, wall_ns, cpu_ns);
  if (share->rest_ns && !tri_world_fills_cpus(world, share->cpus)) share->rest_ns = 0;
  if (wall_ns >= TRI_SHARE_WINDOW_NS && !share->rest_ns) tri_share_begin(share, share->cpus);
  return share->rest_ns != 0;
}

void tri_share_rest(tri_share *share, tri_world *world) {
  tri_world_begin_rest(world);
  tri_thread_sleep(share->rest_ns);
  tri_world_end_rest(world);
  share->rest_ns = 0;
}
