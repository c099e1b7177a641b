// Handle scopes and operand stacks: precise roots that belong to one mutator and are scanned with its stack.
#include "mutator/world.h"
#include "tricolor_api.h"

tri_scope tri_scope_begin(tri_mutator *mutator) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_assert_owner(full, "beginning a handle scope");
  full->scope_open++;
  return (tri_scope){full->scope_depth, full->scope_open};
}

// The block that slot number `depth` falls into; NULL when memory is refused.
static tri_scope_block *tri_scope_block_for(tri_mutator_full *mutator) {
  tri_scope_block *block = mutator->scopes;
  if (block && (mutator->scope_depth % TRI_SCOPE_BLOCK_SLOTS != 0 || mutator->scope_depth == 0)) return block;
  if (block && block->next) return mutator->scopes = block->next;
  tri_scope_block *grown = tri_meta_allocate(&mutator->world->collect.spans.space.meta, sizeof *grown);
  if (!grown) return NULL;
  grown->previous = block;
  if (block) block->next = grown;
  return mutator->scopes = grown;
}

void **tri_scope_slot(tri_mutator *mutator, void *object) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  if (TRI_CHECKS) tri_assert_owner(full, "making a slot in a handle scope");
  TRI_CHECK(full->scope_open, "a handle scope slot outside any scope");
  tri_scope_block *block = tri_scope_block_for(full);
  if (!block) return NULL;
  void **slot = &block->slots[full->scope_depth % TRI_SCOPE_BLOCK_SLOTS];
  *slot = object;
  full->scope_depth++;
  return slot;
}

void tri_scope_end(tri_mutator *mutator, tri_scope scope) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_assert_owner(full, "ending a handle scope");
  TRI_CHECK(full->scope_open && scope.level == full->scope_open && scope.depth <= full->scope_depth,
            "a handle scope ends out of order: scopes end in the opposite order they began");
  full->scope_open--;
  // Step back over blocks that are empty now; the newest block in use holds slot depth - 1.
  size_t blocks_now = full->scope_depth ? (full->scope_depth - 1) / TRI_SCOPE_BLOCK_SLOTS : 0;
  size_t blocks_then = scope.depth ? (scope.depth - 1) / TRI_SCOPE_BLOCK_SLOTS : 0;
  for (; blocks_now > blocks_then; blocks_now--) full->scopes = full->scopes->previous;
  full->scope_depth = scope.depth;
}

tri_status tri_operand_stack_add(tri_mutator *mutator, void *base, void **top) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_assert_owner(full, "adding an operand stack");
  tri_operand_stack *stack = tri_meta_allocate(&full->world->collect.spans.space.meta, sizeof *stack);
  if (!stack) return TRI_OUT_OF_MEMORY;
  stack->base = base;
  stack->top = top;
  stack->next = full->operand_stacks;
  full->operand_stacks = stack;
  // Its contents are part of this mutator's stack, which is grey again until they are scanned.
  if (mutator->barrier & TRI_SHADES_ANY) tri_mutator_set_barrier(full, true, true);
  return TRI_OK;
}

tri_status tri_operand_stack_remove(tri_mutator *mutator, void *base) {
  tri_mutator_full *full = tri_mutator_of(mutator);
  tri_assert_owner(full, "removing an operand stack");
  for (tri_operand_stack **link = &full->operand_stacks; *link; link = &(*link)->next) {
    tri_operand_stack *stack = *link;
    if (stack->base != base) continue;
    *link = stack->next;
    tri_meta_free(&full->world->collect.spans.space.meta, stack, sizeof *stack);
    return TRI_OK;
  }
  return TRI_NOT_FOUND;
}
