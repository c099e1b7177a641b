// Phase: the phase word, and what each phase implies. Which moves are legal is decided in one place, the
// Swift Phase; this is the word itself.
//
//   off              barrier off; refills set A only; sweeping may run
//   mark             barrier on; refills set A and M; sweeping is over
//   markTermination  world stopped; barrier on; nothing may be allocated
#ifndef TRI_COLLECT_PHASE_H
#define TRI_COLLECT_PHASE_H

#include "base/assert.h"
#include "base/atomics.h"

/// Derived, never set by itself (S5, S6).
static inline bool tri_phase_barrier_is_on(tri_phase phase) {
  return phase != TRI_PHASE_OFF;
}

/// Off, as every thread sees it that has seen a consequence of the phase changing.
#define tri_phase_is_off(collect) (tri_load_ordered(&(collect)->phase) == TRI_PHASE_OFF)

/// Says in the first lines of a function what phase it belongs to.
#define tri_assert_phase(collect, expected)                                                                            \
  do {                                                                                                                 \
    tri_phase tri_phase_now = tri_load_relaxed(&(collect)->phase);                                                     \
    TRI_CHECK(tri_phase_now == (expected), "%s in phase %s, expected %s", __func__, tri_phase_name(tri_phase_now),     \
              tri_phase_name(expected));                                                                               \
  } while (0)

#endif
