#include "mutator/thread_mutators.h"

#include <stdlib.h>
#include <string.h>

#include "mutator/states.h"

// This thread's mutators, innermost last. A thread may be attached to thousands of heaps: mutators lie pages apart, so
// what they are looked for by stands beside their addresses. Initial-exec: no call in a shared library either.
typedef struct tri_attachment {
  tri_world *world;
  tri_mutator_full *mutator;
} tri_attachment;
static __thread struct {
  tri_attachment *attachments; // NULL while there is none
  uint32_t count, capacity;
} tri_thread __attribute__((tls_model("initial-exec")));
// What inline code reads of it.
__thread tri_mutator *tri_thread_mutator_current;

// ---- The list ----

tri_mutator_full *tri_world_current_mutator(tri_world *world) {
  for (uint32_t index = tri_thread.count; index-- > 0;)
    if (tri_thread.attachments[index].world == world) return tri_thread.attachments[index].mutator;
  return NULL;
}

bool tri_thread_make_room(void) {
  if (tri_thread.count < tri_thread.capacity) return true;
  uint32_t capacity = tri_thread.capacity ? 2 * tri_thread.capacity : 4;
  tri_attachment *grown = realloc(tri_thread.attachments, capacity * sizeof *grown);
  if (!grown) return false;
  tri_thread.attachments = grown;
  tri_thread.capacity = capacity;
  return true;
}

void tri_thread_free_if_empty(void) {
  if (tri_thread.count) return;
  free(tri_thread.attachments);
  tri_thread.attachments = NULL;
  tri_thread.capacity = 0;
}

void tri_thread_add(tri_mutator_full *mutator) {
  TRI_ASSERT(tri_thread.count < tri_thread.capacity);
  tri_thread.attachments[tri_thread.count++] = (tri_attachment){mutator->world, mutator};
  tri_thread_mutator_current = &mutator->fast;
}

void tri_thread_remove(const tri_mutator_full *mutator) {
  uint32_t index = tri_thread.count - 1;
  while (tri_thread.attachments[index].mutator != mutator) index--;
  tri_thread.count--;
  tri_attachment *at = &tri_thread.attachments[index];
  memmove(at, at + 1, (tri_thread.count - index) * sizeof *at);
  tri_thread_mutator_current = tri_thread.count ? &tri_thread.attachments[tri_thread.count - 1].mutator->fast : NULL;
  tri_thread_free_if_empty();
}

tri_mutator_full *tri_thread_innermost(void) {
  return tri_thread.count ? tri_thread.attachments[tri_thread.count - 1].mutator : NULL;
}

tri_mutator *tri_current_mutator(tri_heap *heap) {
  tri_mutator_full *mutator = tri_world_current_mutator(tri_world_of_heap(heap));
  return mutator ? &mutator->fast : NULL;
}

// ---- Setting them aside ----

// How many waits this thread has set its other mutators aside for.
static __thread uint32_t tri_thread_waits;

// The mutator at an index, with the one that the caller comes to in a few steps on its way to the cache.
static tri_mutator_full *tri_thread_mutator_at(uint32_t index) {
  enum { AHEAD = 8 };
  if (index + AHEAD < tri_thread.count) {
    tri_mutator_full *later = tri_thread.attachments[index + AHEAD].mutator;
    __builtin_prefetch(&later->fast, 0);
    tri_prefetch_to_write(&later->stack_pointer);
  }
  return tri_thread.attachments[index].mutator;
}

void tri_thread_others_block(tri_mutator_full *waiting_for, uintptr_t stack_pointer, const tri_registers *saved) {
  if (tri_thread_waits++ != 0) return;
  for (uint32_t index = 0; index < tri_thread.count; index++) {
    tri_mutator_full *mutator = tri_thread_mutator_at(index);
    if (mutator == waiting_for || mutator->blocking) continue;
    mutator->away = true;
    tri_mutator_set_blocked(mutator, stack_pointer, saved);
  }
}

// NULL, or the first that is held.
static tri_mutator_full *tri_thread_take_back(void) {
  for (uint32_t index = 0; index < tri_thread.count; index++) {
    tri_mutator_full *mutator = tri_thread_mutator_at(index);
    if (!mutator->away) continue;
    if (!tri_mutator_take_back(mutator)) return mutator;
    mutator->away = false;
  }
  return NULL;
}

// While this thread waits to have one back, none of the others runs either: a fork holds all heaps at once.
static void tri_thread_take_back_held(void *context, uintptr_t stack_pointer) {
  for (tri_mutator_full *held = context; held; held = tri_thread_take_back()) {
    for (uint32_t index = 0; index < tri_thread.count; index++) {
      tri_mutator_full *mutator = tri_thread_mutator_at(index);
      if (!tri_mutator_is_usable(mutator)) continue;
      mutator->away = true;
      tri_mutator_set_blocked(mutator, stack_pointer, NULL);
    }
    tri_world_wait_for_start(held->world);
  }
}

void tri_thread_others_unblock(void) {
  if (--tri_thread_waits != 0) return;
  tri_mutator_full *held = tri_thread_take_back();
  if (held) tri_thread_with_stack(tri_thread_take_back_held, held);
}

void tri_thread_assert_not_interrupted(const char *what) {
  for (uint32_t index = 0; index < tri_thread.count; index++)
    tri_assert_not_interrupted(tri_thread.attachments[index].mutator, what);
}
