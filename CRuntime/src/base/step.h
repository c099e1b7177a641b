// Step points: where tests hold a thread, switch threads or count. Every mutator, marker, handshake and
// sweep step passes one. Compiles to nothing when TRI_STEPS is 0.
#ifndef TRI_BASE_STEP_H
#define TRI_BASE_STEP_H

#include "base/config.h"
#include "tricolor_testing.h"

extern tri_step_function *tri_step_hook;

static inline void tri_step(tri_step_point point) {
  if (TRI_STEPS && __builtin_expect(tri_step_hook != 0, 0)) tri_step_hook(point);
}

#endif
