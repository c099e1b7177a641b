// Hooks: what embedders want done at the very start of a cycle (S4), in the order they were added.
#include <string.h>

#include "base/callback.h"
#include "heap/heap.h"
#include "tricolor_api.h"

typedef struct tri_hook {
  tri_clear_function *function;
  void *context;
  uint32_t flags;
  uint64_t number; // rising in the order they were added
} tri_hook;

tri_status tri_hook_add(tri_heap *heap, tri_clear_function *function, void *context, uint32_t flags) {
  tri_status status = TRI_OK;
  tri_lock_acquire(&heap->hooks_lock);
  if (heap->hook_count == heap->hook_capacity) {
    size_t grown = heap->hook_capacity ? 2 * heap->hook_capacity : 8;
    tri_hook *hooks = tri_meta_grow(&heap->world.collect.spans.space.meta, heap->hooks,
                                    heap->hook_capacity * sizeof *hooks, grown * sizeof *hooks);
    if (hooks) {
      heap->hooks = hooks;
      heap->hook_capacity = grown;
    } else {
      status = TRI_OUT_OF_MEMORY;
    }
  }
  if (status == TRI_OK) {
    heap->hooks[heap->hook_count] = (tri_hook){function, context, flags, ++heap->hook_numbers};
    tri_store_release(&heap->hook_count, heap->hook_count + 1);
  }
  tri_lock_release(&heap->hooks_lock);
  return status;
}

tri_status tri_hook_remove(tri_heap *heap, tri_clear_function *function, void *context) {
  tri_status status = TRI_NOT_FOUND;
  tri_lock_acquire(&heap->hooks_lock);
  for (size_t index = 0; index < heap->hook_count; index++) {
    if (heap->hooks[index].function != function || heap->hooks[index].context != context) continue;
    tri_store_release(&heap->hook_count, heap->hook_count - 1);
    memmove(&heap->hooks[index], &heap->hooks[index + 1], (heap->hook_count - index) * sizeof *heap->hooks);
    status = TRI_OK;
    break;
  }
  tri_lock_release(&heap->hooks_lock);
  return status;
}

// The first hook added after number `after`. By number, not position: a hook may remove itself or others.
static bool tri_hook_next(tri_heap *heap, uint64_t after, tri_hook *out_hook) {
  bool found = false;
  if (tri_load_acquire(&heap->hook_count) == 0) return false;
  tri_lock_acquire(&heap->hooks_lock);
  for (size_t index = 0; index < heap->hook_count && !found; index++) {
    if (heap->hooks[index].number <= after) continue;
    *out_hook = heap->hooks[index];
    found = true;
  }
  tri_lock_release(&heap->hooks_lock);
  return found;
}

void tri_cycle_run_hooks(tri_heap *heap, tri_mode mode, bool needing_stop) {
  tri_assert_phase(&heap->world.collect, TRI_PHASE_OFF);
  tri_hook hook;
  if (tri_load_acquire(&heap->hook_count) == 0) return;
  // One at a time and without the lock: a hook may add or remove hooks. What it adds runs in the next cycle.
  tri_lock_acquire(&heap->hooks_lock);
  uint64_t last = heap->hook_numbers;
  tri_lock_release(&heap->hooks_lock);
  for (uint64_t number = 0; tri_hook_next(heap, number, &hook) && hook.number <= last; number = hook.number)
    if (((hook.flags & TRI_HOOK_NEEDS_STOP) != 0) == needing_stop) {
      tri_callback_begin();
      hook.function(mode, hook.context);
      tri_callback_end();
    }
}

bool tri_cycle_any_hook_needs_stop(tri_heap *heap) {
  tri_hook hook;
  for (uint64_t number = 0; tri_hook_next(heap, number, &hook); number = hook.number)
    if (hook.flags & TRI_HOOK_NEEDS_STOP) return true;
  return false;
}
