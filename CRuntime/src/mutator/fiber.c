#include "mutator/fiber.h"

#include <inttypes.h>

#include "base/step.h"
#include "mutator/scan.h"
#include "mutator/stopping.h"
#include "tricolor_api.h"

static bool tri_bounds_overlap(tri_stack_bounds a, tri_stack_bounds b) {
  return a.low < b.high && b.low < a.high;
}

static bool tri_fiber_overlaps(tri_world *world, tri_stack_bounds bounds) {
  bool overlaps = false;
  tri_lock_acquire(&world->lock);
  for (const tri_mutator_full *mutator = world->mutators; mutator && !overlaps; mutator = mutator->next)
    overlaps = tri_bounds_overlap(bounds, mutator->native.bounds);
  tri_lock_acquire(&world->fibers_lock);
  for (const tri_fiber *fiber = world->fibers; fiber && !overlaps; fiber = fiber->next)
    overlaps = tri_bounds_overlap(bounds, fiber->bounds);
  tri_lock_release(&world->fibers_lock);
  tri_lock_release(&world->lock);
  return overlaps;
}

tri_status tri_fiber_add(tri_heap *heap, void *low, void *high, tri_fiber **out_fiber) {
  tri_world *world = tri_world_of_heap(heap);
  tri_stack_bounds bounds = {(uintptr_t)low, (uintptr_t)high};
  TRI_CHECK(bounds.low < bounds.high, "adding a fiber whose stack ends at %p, before it begins", high);
  if (tri_fiber_overlaps(world, bounds)) return TRI_STACK_OVERLAPS;
  tri_fiber *fiber = tri_meta_allocate(&world->collect.spans.space.meta, sizeof *fiber);
  if (!fiber) return TRI_OUT_OF_MEMORY;
  *fiber = (tri_fiber){.world = world, .bounds = bounds, .stack_pointer = bounds.high};
  tri_lock_acquire(&world->fibers_lock);
  fiber->next = world->fibers;
  if (fiber->next) fiber->next->previous = fiber;
  tri_store_release(&world->fibers, fiber);
  tri_lock_release(&world->fibers_lock);
  *out_fiber = fiber;
  return TRI_OK;
}

// ---- Scanning ----

static void tri_fiber_each_word(const tri_fiber *fiber, tri_each_word *each, void *context) {
  tri_scan_stack_words(fiber->world, fiber->stack_pointer, fiber->bounds.high, &fiber->registers, each, context);
}

typedef struct tri_fiber_shading {
  tri_collect *collect;
  tri_grey_chunk *chunk;
} tri_fiber_shading;

static void tri_fiber_shade_word(void *context, uintptr_t word, tri_word_kind kind) {
  tri_fiber_shading *shading = context;
  tri_shade_word(shading->collect, word, kind, &shading->chunk);
}

// Suspended, or about to be, by this thread.
static void tri_fiber_blacken_locked(tri_fiber *fiber) {
  tri_world *world = fiber->world;
  uint64_t epoch = tri_load_relaxed(&world->scan_epoch);
  if (fiber->scanned == epoch) return;
  tri_step(TRI_STEP_SCAN_STACK);
  tri_fiber_shading shading = {&world->collect, NULL};
  tri_fiber_each_word(fiber, tri_fiber_shade_word, &shading);
  if (shading.chunk) tri_grey_share(&world->collect.grey, shading.chunk);
  fiber->scanned = epoch;
}

void tri_fibers_shade(tri_world *world) {
  TRI_CHECK(tri_phase_barrier_is_on(tri_load_relaxed(&world->collect.phase)), "fibers are scanned in phase off");
  if (!tri_load_acquire(&world->fibers)) return;
  tri_lock_acquire(&world->fibers_lock);
  for (tri_fiber *fiber = world->fibers; fiber; fiber = fiber->next)
    if (!fiber->runner) tri_fiber_blacken_locked(fiber);
  tri_lock_release(&world->fibers_lock);
}

void tri_fibers_reset(tri_world *world) {
  tri_store_relaxed(&world->scan_epoch, world->scan_epoch + 1);
}

void tri_fibers_each_root(tri_world *world, tri_each_word *each, void *context) {
  tri_lock_acquire(&world->fibers_lock);
  for (const tri_fiber *fiber = world->fibers; fiber; fiber = fiber->next)
    if (!fiber->runner) tri_fiber_each_word(fiber, each, context);
  tri_lock_release(&world->fibers_lock);
}

void tri_fibers_assert_black(tri_world *world) {
  if (!tri_load_acquire(&world->fibers)) return;
  tri_lock_acquire(&world->fibers_lock);
  for (const tri_fiber *fiber = world->fibers; fiber; fiber = fiber->next)
    TRI_CHECK(fiber->runner || fiber->scanned == tri_load_relaxed(&world->scan_epoch),
              "phase markTermination: marking ends with the stack of a suspended fiber at %p not scanned",
              (void *)fiber->bounds.low);
  tri_lock_release(&world->fibers_lock);
}

// ---- Switching ----

static void tri_fiber_leave_locked(tri_mutator_full *mutator, const tri_registers *saved) {
  tri_fiber *fiber = mutator->fiber;
  uintptr_t stack_pointer = tri_registers_stack_pointer(saved);
  TRI_CHECK(stack_pointer >= mutator->stack.low && stack_pointer < mutator->stack.high,
            "thread %" PRIu64
            " leaves a stack that it does not run on: tri_fiber_switch() comes right before the switch",
            mutator->thread_id);
  if (!fiber) {
    mutator->native.stack_pointer = stack_pointer;
    mutator->native.registers = *saved;
    return;
  }
  fiber->stack_pointer = stack_pointer;
  fiber->registers = *saved;
  bool marking = mutator->fast.barrier & TRI_SHADES_ANY;
  fiber->scanned = marking && !mutator->stack_grey ? tri_load_relaxed(&fiber->world->scan_epoch) : 0;
  if (marking) tri_fiber_blacken_locked(fiber);
  fiber->runner = NULL;
}

static void tri_fiber_enter_locked(tri_mutator_full *mutator, tri_fiber *fiber) {
  mutator->fiber = fiber;
  mutator->stack = fiber ? fiber->bounds : mutator->native.bounds;
  if (!fiber) return;
  if (mutator->fast.barrier & TRI_SHADES_ANY) tri_fiber_blacken_locked(fiber);
  fiber->runner = mutator;
}

void tri_fiber_switch_saved(tri_mutator *mutator, tri_fiber *to, const tri_registers *saved);
void tri_fiber_switch_saved(tri_mutator *mutator, tri_fiber *to, const tri_registers *saved) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_assert_owner(full, "switching fibers");
  tri_assert_not_interrupted(full, "switching fibers");
  TRI_CHECK(!full->precise, "switching fibers with a mutator whose native stack is not scanned (TRI_ATTACH_PRECISE)");
  TRI_CHECK(!to || to->world == full->world, "switching to %p, which is no fiber of this heap", (void *)to);
  TRI_CHECK(to != full->fiber, "switching to the stack that this thread runs on already");
  tri_lock_acquire(&full->world->fibers_lock);
  TRI_CHECK(!to || !to->runner, "switching to a fiber that thread %" PRIu64 " runs", to->runner->thread_id);
  tri_fiber_leave_locked(full, saved);
  tri_fiber_enter_locked(full, to);
  tri_lock_release(&full->world->fibers_lock);
}

tri_fiber *tri_fiber_current(tri_mutator *mutator) {
  return tri_mutator_of(mutator)->fiber;
}

void tri_fiber_end_with(tri_mutator_full *mutator) {
  tri_fiber *fiber = mutator->fiber;
  if (!fiber) return;
  tri_lock_acquire(&fiber->world->fibers_lock);
  fiber->runner = NULL;
  fiber->stack_pointer = fiber->bounds.high;
  fiber->registers = (tri_registers){{0}};
  fiber->scanned = tri_load_relaxed(&fiber->world->scan_epoch); // there is nothing
  mutator->fiber = NULL;
  mutator->stack = mutator->native.bounds;
  tri_lock_release(&fiber->world->fibers_lock);
}

tri_status tri_fiber_remove(tri_heap *heap, tri_fiber *fiber) {
  tri_world *world = tri_world_of_heap(heap);
  // What it holds is deleted from the roots; while marking that is a deletion like any other.
  bool locked = tri_world_keep_running(world);
  tri_lock_acquire(&world->fibers_lock);
  const tri_fiber *known = world->fibers;
  while (known && known != fiber) known = known->next;
  if (known) {
    TRI_CHECK(!fiber->runner, "removing a fiber that thread %" PRIu64 " runs", fiber->runner->thread_id);
    if (tri_phase_barrier_is_on(tri_load_relaxed(&world->collect.phase))) tri_fiber_blacken_locked(fiber);
    if (fiber->previous)
      fiber->previous->next = fiber->next;
    else
      tri_store_release(&world->fibers, fiber->next);
    if (fiber->next) fiber->next->previous = fiber->previous;
    fiber->world = NULL;
    tri_meta_free(&world->collect.spans.space.meta, fiber, sizeof *fiber);
  }
  tri_lock_release(&world->fibers_lock);
  if (locked) tri_lock_release(&world->lock);
  return known ? TRI_OK : TRI_NOT_FOUND;
}
