#include "collect/barrier.h"

#include "base/step.h"

bool tri_barrier_flush(tri_barrier_buffer *buffer, tri_collect *collect) {
  tri_step(TRI_STEP_BARRIER_FLUSH);
  if (buffer->count == 0) return false;
  TRI_CHECK(tri_phase_barrier_is_on(tri_load_relaxed(&collect->phase)),
            "a write barrier buffer holds %u words in phase off", buffer->count);
  tri_grey_chunk *chunk = NULL;
  bool any =
      tri_shade_batch(collect, buffer->words, buffer->count, tri_load_relaxed(&collect->spans.any_words), &chunk) != 0;
  buffer->count = 0;
  if (chunk) tri_grey_share(&collect->grey, chunk);
  return any;
}
