#include "mutator/mutator.h"

#include <string.h>

#include "collect/sweep.h"
#include "mutator/magazine.h"
#include "mutator/world.h"
#include "os/vm.h"
#include "span/ticket.h"

_Static_assert(sizeof(tri_mutator_full) <= TRI_MUTATOR_WINDOWS_OFFSET, "the header ends before the windows");

enum {
  // Zero pages until used: a thread that allocates from a few span classes touches a few of them.
  TRI_MUTATOR_MAPPING_BYTES = TRI_MUTATOR_MAGAZINES_OFFSET + TRI_MAGAZINES * (int)sizeof(tri_magazine),
};

_Noreturn void tri_report_owner(const tri_mutator_full *mutator, const char *what) {
  if (mutator->thread_token == tri_thread_token()) tri_fatal("%s inside a blocking region", what);
  tri_fatal("%s with a mutator that belongs to thread %llu: a mutator is used only by the thread that attached it",
            what, (unsigned long long)mutator->thread_id);
}

_Noreturn void tri_report_interrupted(const tri_mutator_full *mutator, const char *what) {
  tri_fatal("%s in a signal handler that interrupted %s of the same thread (%llu): handlers must not use the heap",
            what, mutator->busy, (unsigned long long)mutator->thread_id);
}

// What marking asks of stores is this cycle's to say, and only while there is one.
static uint32_t tri_barrier_while_marking(const tri_mutator_full *mutator) {
  if (mutator->world->dijkstra) return TRI_SHADES_NEW;
  return TRI_SHADES_OLD | (mutator->stack_grey ? TRI_SHADES_NEW : 0);
}

void tri_mutator_set_barrier(tri_mutator_full *mutator, bool marking, bool stack_grey) {
  mutator->stack_grey = stack_grey;
  if (!marking) mutator->allocates_black = false;
  uint32_t between_cycles = tri_load_relaxed(&mutator->world->collect.marks_kept) ? TRI_LOGS_OLD : 0;
  mutator->fast.barrier = marking ? tri_barrier_while_marking(mutator) : between_cycles;
}

void tri_mutator_follow(tri_mutator_full *mutator) {
  const tri_world *world = mutator->world;
  if (mutator->marking_ends == world->marking_ends) return;
  mutator->marking_ends = world->marking_ends;
  tri_mutator_set_barrier(mutator, false, false);
  mutator->fast.old_objects = world->collect.spans.space.bits.marked;
  mutator->assist_credit = 0;
  mutator->early_until_bytes = 0;
}

bool tri_mutator_is_settled(const tri_mutator_full *mutator) {
  return !mutator->stack_grey && mutator->barrier.count == 0 && mutator->loaded_windows == TRI_WINDOW_LIST_END &&
         !mutator->magazines_used && mutator->unaccounted_bytes == 0 &&
         mutator->freed_bytes == mutator->accounted_freed_bytes && mutator->logged_stores == 0;
}

static tri_mutator_full *tri_mutator_take_retired(tri_world *world) {
  tri_lock_acquire(&world->lock);
  tri_mutator_full *mutator = world->retired;
  if (mutator) world->retired = mutator->next;
  tri_lock_release(&world->lock);
  if (!mutator) return NULL;
  const size_t kept = offsetof(tri_mutator_full, number), rest = offsetof(tri_mutator_full, next);
  memset(mutator, 0, kept);
  memset((char *)mutator + rest, 0, offsetof(tri_mutator_full, barrier) - rest);
  mutator->barrier.count = 0;
  return mutator;
}

static void tri_mutator_number(tri_world *world, tri_mutator_full *mutator) {
  tri_lock_acquire(&world->lock);
  if (world->numbers < TRI_MUTATOR_NUMBERS) {
    tri_store_release(&world->numbered[world->numbers], mutator);
    mutator->number = (uint16_t)++world->numbers;
  }
  tri_lock_release(&world->lock);
}

static tri_mutator_full *tri_mutator_map(tri_world *world) {
  tri_mutator_full *mutator = tri_mutator_take_retired(world);
  if (mutator) return mutator;
  mutator = tri_vm_map((size_t)TRI_MUTATOR_MAPPING_BYTES);
  if (mutator) tri_mutator_number(world, mutator);
  return mutator;
}

tri_mutator_full *tri_mutator_make(struct tri_world *world, bool precise) {
  tri_mutator_full *mutator = tri_mutator_map(world);
  if (!mutator) return NULL;
  tri_space *space = &world->collect.spans.space;
  mutator->fast.heap_start = space->start;
  mutator->fast.heap_bytes = space->reserved_bytes;
  mutator->fast.heap = (tri_heap *)(void *)world;
  mutator->world = world;
  mutator->thread_token = tri_thread_token();
  mutator->thread_id = tri_thread_id();
  mutator->precise = precise;
  if (!precise) tri_collect_note(&world->collect.keeps_seen);
  mutator->loaded_windows = TRI_WINDOW_LIST_END;
  if (!tri_thread_stack_bounds(&mutator->stack)) {
    tri_lock_acquire(&world->lock);
    tri_mutator_retire_locked(mutator);
    tri_lock_release(&world->lock);
    return NULL;
  }
  mutator->native.bounds = mutator->stack;
  return mutator;
}

void tri_mutator_unmap(tri_mutator_full *mutator) {
  tri_vm_release(mutator, (size_t)TRI_MUTATOR_MAPPING_BYTES);
}

void tri_mutator_retire_locked(tri_mutator_full *mutator) {
  tri_world *world = mutator->world;
  tri_meta *meta = &mutator->world->collect.spans.space.meta;
  if (mutator->marker.stack) tri_marker_destroy(&mutator->marker);
  tri_scope_block *block = mutator->scopes;
  while (block && block->previous) block = block->previous;
  for (tri_scope_block *next; block; block = next) {
    next = block->next;
    tri_meta_free(meta, block, sizeof *block);
  }
  for (tri_operand_stack *stack = mutator->operand_stacks, *next; stack; stack = next) {
    next = stack->next;
    tri_meta_free(meta, stack, sizeof *stack);
  }
  tri_magazines_discard(mutator);
  mutator->next = world->retired;
  world->retired = mutator;
}

// There are as many as span classes this thread allocated from since the last cycle.
void tri_mutator_each_window(const tri_mutator_full *mutator,
                             void (*each)(void *context, const struct tri_window *window), void *context) {
  const struct tri_window *windows = tri_mutator_window((tri_mutator *)(uintptr_t)mutator, 0);
  for (uint32_t index = mutator->loaded_windows; index != TRI_WINDOW_LIST_END; index = windows[index].loaded_next)
    each(context, &windows[index]);
}

// Hands over the waiting slots of a window as bits of one bitmap word after another.
#define tri_each_window_word(space, window, word, slot_bits)                                                           \
  for (uint64_t left_ = tri_window_waiting(window), word, slot_bits; left_;)                                           \
    if (left_ = tri_window_next_word(space, window, left_, &word, &slot_bits), true)

static inline uint64_t tri_window_next_word(const tri_space *space, const struct tri_window *window, uint64_t left,
                                            uint64_t *out_word, uint64_t *out_bits) {
  uint64_t bits = 0, word = 0;
  for (bool first = true; left; left &= left - 1, first = false) {
    uintptr_t slot = window->base + (uint64_t)tri_first_set(left) * window->slot_bytes;
    uint64_t granule = tri_space_granule(space, slot);
    if (first) word = granule >> 6;
    if (granule >> 6 != word) break;
    bits |= UINT64_C(1) << (granule & 63);
  }
  *out_word = word;
  *out_bits = bits;
  return left;
}

// Shaded already, through a stale word in a root that was added just now: they are going to be scanned, and must not
// refer to what they referred to when they were objects.
static __attribute__((cold, noinline)) void
tri_window_zero_shaded(const tri_space *space, const struct tri_window *window, uint64_t word, uint64_t shaded) {
  for (uint64_t left = tri_window_waiting(window); left; left &= left - 1) {
    uintptr_t slot = window->base + (uint64_t)tri_first_set(left) * window->slot_bytes;
    uint64_t granule = tri_space_granule(space, slot);
    if (granule >> 6 == word && shaded >> (granule & 63) & 1) memset((void *)slot, 0, window->slot_bytes);
  }
}

void tri_window_mark(void *context, const struct tri_window *window) {
  tri_space *space = &((tri_collect *)context)->spans.space;
  tri_each_window_word(space, window, word, bits) {
    uint64_t shaded = tri_or_relaxed(&space->bits.marked[word], bits) & bits;
    if (__builtin_expect(shaded != 0, 0)) tri_window_zero_shaded(space, window, word, shaded);
  }
}

void tri_mutator_blacken(tri_mutator_full *mutator) {
  mutator->allocates_black = true;
  tri_mutator_each_window(mutator, tri_window_mark, &mutator->world->collect);
}

uint64_t tri_window_give_back(tri_collect *collect, const struct tri_window *window, bool stopped) {
  tri_space *space = &collect->spans.space;
  tri_each_window_word(space, window, word, bits) {
    // The window's own, and everyone's.
    uint64_t *allocated = &space->bits.allocated[word], *marked = &space->bits.marked[word];
    uint64_t others = tri_load_relaxed(allocated) & ~bits;
    if (stopped) {
      tri_store_relaxed(allocated, others);
      tri_store_relaxed(marked, tri_load_relaxed(marked) & ~bits);
      continue;
    }
    // In this order for tri_shade_uncertain().
    tri_store_ordered(allocated, others);
    if (tri_load_relaxed(marked) & bits) __atomic_fetch_and(marked, ~bits, __ATOMIC_SEQ_CST);
  }
  return tri_window_waiting_bytes(window);
}

uint64_t tri_mutator_waiting_bytes(const tri_mutator_full *mutator) {
  const struct tri_window *windows = tri_mutator_window((tri_mutator *)(uintptr_t)mutator, 0);
  uint64_t bytes = 0;
  for (uint32_t index = mutator->loaded_windows; index != TRI_WINDOW_LIST_END; index = windows[index].loaded_next)
    bytes += tri_window_waiting_bytes(&windows[index]);
  return bytes;
}

void tri_mutator_drop_windows(tri_mutator_full *mutator, bool stopped) {
  uint32_t next;
  for (uint32_t index = mutator->loaded_windows; index != TRI_WINDOW_LIST_END; index = next) {
    struct tri_window *window = tri_mutator_window(&mutator->fast, index);
    mutator->unaccounted_bytes -= (int64_t)tri_window_give_back(&mutator->world->collect, window, stopped);
    next = window->loaded_next;
    tri_window_clear(window);
  }
  mutator->loaded_windows = TRI_WINDOW_LIST_END;
  mutator->early_until_bytes = 0;
  tri_magazines_forget(mutator);
}

void tri_mutator_lay_down(tri_mutator_full *mutator) {
  tri_collect *collect = &mutator->world->collect;
  // A marker that scans any words looks them up some time before it marks what they lead to.
  if (tri_load_relaxed(&collect->spans.any_words)) return;
  tri_mutator_drop_windows(mutator, false);
  tri_mutator_account(mutator);
}

void tri_mutator_account(tri_mutator_full *mutator) {
  tri_collect *collect = &mutator->world->collect;
  if (mutator->logged_stores) tri_add_relaxed(&collect->logged_stores, mutator->logged_stores);
  mutator->logged_stores = 0;
  uint64_t freed_bytes = mutator->freed_bytes - mutator->accounted_freed_bytes;
  if (mutator->unaccounted_bytes == 0 && freed_bytes == 0) return;
  int64_t net = mutator->unaccounted_bytes - (int64_t)freed_bytes;
  tri_add_relaxed(&collect->allocated_since_bytes, net);
  tri_add_relaxed(&collect->allocated_total_bytes, (uint64_t)mutator->unaccounted_bytes);
  mutator->unaccounted_bytes = 0;
  mutator->accounted_freed_bytes = mutator->freed_bytes;
}

static void tri_window_zero(const struct tri_window *window) {
  for (uint64_t left = tri_window_waiting(window); left; left &= left - 1)
    memset((void *)(window->base + (uint64_t)tri_first_set(left) * window->slot_bytes), 0, window->slot_bytes);
}

// The groups of a run that were not used go back if nobody took later ones since.
static void tri_window_end_run_locked(tri_collect *collect, tri_span_class *class, struct tri_window *window) {
  if (!window->run_span) return;
  tri_span *span = tri_span_by_index(&collect->spans, window->run_span - 1);
  span->runs--;
  if (span->next_group == window->run_end) span->next_group = window->run_next;
  if (!span->listed && span->next_group < class->info->groups) tri_span_list_locked(collect, class, span);
  window->run_span = 0;
}

// The group stays nobody else's while slots of it wait (tri_slot_waits).
static void tri_window_orphan_locked(tri_collect *collect, tri_span_class *class, const struct tri_window *window,
                                     bool zeroed) {
  tri_spans *spans = &collect->spans;
  tri_orphan *orphan = tri_meta_allocate(&spans->space.meta, sizeof *orphan);
  if (!orphan) {
    // Without memory for the record the slots stay allocated until the next cycle finds them dead. Until then
    // they are all-zero objects, which may be scanned and destroyed.
    tri_window_zero(window);
    return;
  }
  orphan->window = *window;
  orphan->zeroed = zeroed;
  tri_span_at(spans, window->base)->runs++;
  orphan->next = class->orphans;
  tri_store_relaxed(&class->orphans, orphan);
  tri_add_relaxed(&spans->orphan_count, 1u);
  tri_tickets_void_group(spans, window);
}

void tri_mutator_orphan_windows(tri_mutator_full *mutator) {
  tri_collect *collect = &mutator->world->collect;
  uint32_t next;
  for (uint32_t index = mutator->loaded_windows; index != TRI_WINDOW_LIST_END; index = next) {
    struct tri_window *window = tri_mutator_window(&mutator->fast, index);
    tri_span_class *class = tri_spans_class_by_id(&collect->spans, index / 2);
    next = window->loaded_next;
    tri_lock_acquire(&class->lock);
    tri_window_end_run_locked(collect, class, window);
    if (tri_window_has_any(window)) tri_window_orphan_locked(collect, class, window, (index & TRI_WINDOW_ZEROED) != 0);
    if (tri_phase_is_off(collect))
      tri_span_relist_locked(collect, class, tri_span_at(&collect->spans, window->base), 0);
    tri_lock_release(&class->lock);
    tri_window_clear(window);
  }
  mutator->loaded_windows = TRI_WINDOW_LIST_END;
}
