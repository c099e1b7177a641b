#include "mutator/share.h"

#include "os/thread.h"

enum {
  // What is looked at together: larger makes up for a time slice of another thread, smaller notices sooner that a CPU
  // became free.
  TRI_SHARE_WINDOW_NS = 20000000,
  // A waiting time that small is an interrupt's.
  TRI_SHARE_CONTENDED_PERMILLE = 950,
  TRI_SHARE_REST_MIN_NS = 500000,
  TRI_SHARE_REST_MAX_NS = 5000000,
};

void tri_share_begin(tri_share *share, uint32_t permille) {
  *share = (tri_share){.permille = permille, .began_ns = tri_clock_ns(), .began_cpu_ns = tri_thread_cpu_ns()};
}

uint64_t tri_share_due_ns(uint32_t permille, uint64_t wall_ns, uint64_t cpu_ns) {
  uint64_t due_ns = cpu_ns * 1000 / permille;
  bool contended = cpu_ns * 1000 < wall_ns * TRI_SHARE_CONTENDED_PERMILLE;
  if (!contended || due_ns < wall_ns + TRI_SHARE_REST_MIN_NS) return 0;
  return due_ns - wall_ns < TRI_SHARE_REST_MAX_NS ? due_ns - wall_ns : TRI_SHARE_REST_MAX_NS;
}

bool tri_share_is_used_up(tri_share *share) {
  uint64_t wall_ns = tri_clock_ns() - share->began_ns, cpu_ns = tri_thread_cpu_ns() - share->began_cpu_ns;
  share->rest_ns = tri_share_due_ns(share->permille, wall_ns, cpu_ns);
  if (wall_ns >= TRI_SHARE_WINDOW_NS && !share->rest_ns) tri_share_begin(share, share->permille);
  return share->rest_ns != 0;
}

void tri_share_rest(tri_share *share) {
  tri_thread_sleep(share->rest_ns);
  // The scheduler would leave this thread where it was, beside the same mutator each time: that one would lose half of
  // its CPU while the others lose nothing.
  tri_thread_change_cpu();
  share->rest_ns = 0;
}
