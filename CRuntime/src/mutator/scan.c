#include "mutator/scan.h"

#include "base/step.h"

typedef struct tri_scan {
  tri_mutator_full *mutator;
  tri_each_word *each;
  void *context;
} tri_scan;

// Reads other frames' memory word by word: sanitizers would call it what it is.
TRI_NO_ASAN void tri_scan_stack_words(const tri_world *world, uintptr_t stack_pointer, uintptr_t high,
                                      const tri_registers *registers, tri_each_word *each, void *context) {
  const tri_space *space = &world->collect.spans.space;
  // Most words are no addresses of the heap: they are sorted out here, without a call. One past the end counts, as
  // an end pointer.
  uintptr_t start = space->start;
  uint64_t bytes = tri_load_acquire(&space->committed_bytes);
  for (uintptr_t at = tri_align_up(stack_pointer, sizeof(uintptr_t)); at + sizeof(uintptr_t) <= high;
       at += sizeof(uintptr_t)) {
    uintptr_t word = *(volatile uintptr_t *)at;
    if (word - start <= bytes) each(context, word, TRI_WORD_AMBIGUOUS);
  }
  for (int index = 0; registers && index < TRI_REGISTER_COUNT; index++)
    each(context, registers->words[index], TRI_WORD_AMBIGUOUS);
}

static void tri_scan_scopes(const tri_scan *scan) {
  const tri_mutator_full *mutator = scan->mutator;
  size_t in_block = mutator->scope_depth % TRI_SCOPE_BLOCK_SLOTS;
  if (mutator->scope_depth && in_block == 0) in_block = TRI_SCOPE_BLOCK_SLOTS;
  if (!mutator->scope_depth) return;
  for (const tri_scope_block *block = mutator->scopes; block; block = block->previous) {
    for (size_t slot = 0; slot < in_block; slot++)
      scan->each(scan->context, (uintptr_t)block->slots[slot], TRI_WORD_PRECISE);
    in_block = TRI_SCOPE_BLOCK_SLOTS;
  }
}

static void tri_scan_operand_stacks(const tri_scan *scan) {
  for (const tri_operand_stack *stack = scan->mutator->operand_stacks; stack; stack = stack->next)
    for (void **slot = stack->base, **top = *(void ***)(void *)stack->top; slot < top; slot++)
      scan->each(scan->context, (uintptr_t)*slot, TRI_WORD_PRECISE);
}

// The stack has to be known here: by the caller for its own thread, as published for a stopped one.
static void tri_scan_from(const tri_scan *scan, uintptr_t stack_pointer, bool with_registers) {
  const tri_mutator_full *mutator = scan->mutator;
  tri_scan_scopes(scan);
  tri_scan_operand_stacks(scan);
  if (mutator->precise) return;
  TRI_CHECK(
      stack_pointer >= mutator->stack.low && stack_pointer < mutator->stack.high,
      "thread %llu runs on a stack it was not attached with: references on a fiber's stack would be missed; tell of it "
      "with tri_fiber_switch(), or attach with TRI_ATTACH_PRECISE and hold them in handle scopes",
      (unsigned long long)mutator->thread_id);
  tri_scan_stack_words(mutator->world, stack_pointer, mutator->stack.high, with_registers ? &mutator->registers : NULL,
                       scan->each, scan->context);
  // On a fiber: what the thread left of its own.
  if (mutator->fiber)
    tri_scan_stack_words(mutator->world, mutator->native.stack_pointer, mutator->native.bounds.high,
                         &mutator->native.registers, scan->each, scan->context);
}

static void tri_scan_own(void *context, uintptr_t stack_pointer) {
  tri_scan_from(context, stack_pointer, false);
}

static void tri_mutator_scan(tri_mutator_full *mutator, tri_each_word *each, void *context) {
  tri_scan scan = {mutator, each, context};
  if (mutator->thread_token == tri_thread_token())
    tri_thread_with_stack(tri_scan_own, &scan);
  else
    tri_scan_from(&scan, mutator->stack_pointer, true);
}

typedef struct tri_shading {
  tri_collect *collect;
  tri_grey_chunk *chunk;
} tri_shading;

static void tri_shading_word(void *context, uintptr_t word, tri_word_kind kind) {
  tri_shading *shading = context;
  tri_shade_word(shading->collect, word, kind, &shading->chunk);
}

void tri_mutator_shade(tri_mutator_full *mutator) {
  tri_step(TRI_STEP_SCAN_STACK);
  tri_collect *collect = &mutator->world->collect;
  TRI_CHECK(tri_phase_barrier_is_on(tri_load_relaxed(&collect->phase)), "a stack is scanned in phase off");
  tri_shading shading = {collect, NULL};
  tri_mutator_scan(mutator, tri_shading_word, &shading);
  if (shading.chunk) tri_grey_share(&collect->grey, shading.chunk);
  tri_mutator_set_barrier(mutator, true, false);
}

void tri_mutator_each_root(tri_mutator_full *mutator, tri_each_word *each, void *context) {
  tri_mutator_scan(mutator, each, context);
}
