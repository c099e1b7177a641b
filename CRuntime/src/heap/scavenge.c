// Scavenge: when free memory goes back to the system, and at what pace.
//
// By the clock, on the collector thread. Pages that are freed, if there is then a chunk's worth of free memory, have it
// look once they may have been free for scavenge_after (2 s); what pages were handed out of or freed to since is left
// for a later look. Of what is old enough it keeps as much as the program takes in five times that long, counted by the
// pages handed out lately: a program whose cycles are further apart than scavenge_after does not get its pages back one
// by one after each of them. A program that rests is forgotten after twice scavenge_after. So memory nobody wants is on
// its way back after three times scavenge_after, 6 s, and usually after one.
//
// It works in slices of about 1 ms of CPU, and sleeps 99 times as long as it worked: 1 % of a CPU. That gives back some
// 250 MiB/s in chunks, 100 MiB/s in small runs. What comes on top is paid by who allocates next: a page that the system
// must supply costs five times what giving it back did. When a look finds nothing left that could ever go back, no
// other is planned until pages are freed: a heap that rests wakes nobody.
//
// Not here    what goes back (space/scavenge.h).
#include "heap/heap.h"
#include "mutator/safepoint.h"
#include "mutator/thread_mutators.h"

enum {
  // Longer means fewer wakeups, shorter that a cycle that is asked for waits less.
  TRI_SCAVENGE_SLICE_NS = 1000000,
  TRI_SCAVENGE_REST_TIMES = 99,
  TRI_SCAVENGE_KEEP_TIMES = 5,
};

// ---- Planning ----

static void tri_scavenger_wish(tri_space *space, uint64_t when_ns) {
  // Without a thread memory stays until tri_trim(); the next pages freed ask again.
  tri_collector_thread_tick_at((tri_heap *)(void *)space, when_ns);
}

void tri_scavenger_init(tri_heap *heap) {
  tri_scavenge_plan *plan = &heap->world.collect.spans.space.plan;
  plan->wish = tri_scavenger_wish;
  heap->scavenger.window_began_ns = tri_clock_ns();
  tri_store_relaxed(&plan->after_ns, (uint64_t)heap->options.scavenge_after_ms * 1000000);
}

void tri_scavenger_end(tri_heap *heap) {
  tri_store_relaxed(&heap->world.collect.spans.space.plan.after_ns, (uint64_t)0);
}

static uint64_t tri_scavenger_after_ns(const tri_heap *heap) {
  return tri_load_relaxed(&heap->world.collect.spans.space.plan.after_ns);
}

void tri_scavenger_note_cycle(tri_heap *heap) {
  uint64_t after_ns = tri_scavenger_after_ns(heap);
  if (after_ns == 0 || !tri_grey_has_much_unused(&heap->world.collect.grey)) return;
  uint64_t now_ns = tri_clock_ns(), when_ns = tri_scavenge_plan_look(&heap->world.collect.spans.space, now_ns);
  if (when_ns) tri_collector_thread_tick_at(heap, when_ns);
}

// ---- A look ----

// Dirty pages that the program will want soon, if it goes on as lately.
static uint64_t tri_scavenger_wanted_pages(tri_heap *heap, uint64_t taken_pages, uint64_t now_ns) {
  tri_scavenger *scavenger = &heap->scavenger;
  uint64_t after_ns = tri_scavenger_after_ns(heap), elapsed_ns = now_ns - scavenger->window_began_ns;
  uint64_t taken = taken_pages - scavenger->window_taken_pages;
  bool whole = elapsed_ns >= after_ns;
  if (whole) taken = (uint64_t)((double)taken * (double)after_ns / (double)elapsed_ns);
  uint64_t most = taken > scavenger->last_window_pages ? taken : scavenger->last_window_pages;
  if (whole) {
    scavenger->last_window_pages = taken;
    scavenger->window_began_ns = now_ns;
    scavenger->window_taken_pages = taken_pages;
  }
  return most * TRI_SCAVENGE_KEEP_TIMES;
}

static uint64_t tri_scavenger_give_back_buffers(tri_heap *heap) {
  tri_space *space = &heap->world.collect.spans.space;
  tri_lock_acquire(&space->scavenge_lock);
  uint64_t bytes = tri_grey_release_unused(&heap->world.collect.grey);
  tri_lock_release(&space->scavenge_lock);
  return bytes;
}

// Buffers of a cycle go when the next one is late; until then they are looked at again.
static uint64_t tri_scavenger_look_at_buffers(tri_heap *heap, uint64_t now_ns) {
  if (!tri_grey_has_much_unused(&heap->world.collect.grey)) return UINT64_MAX;
  uint64_t due_ns = tri_load_relaxed(&heap->start_ns_at_last_cycle) + tri_scavenger_after_ns(heap);
  if (tri_load_relaxed(&heap->cycle_running)) due_ns = now_ns + tri_scavenger_after_ns(heap);
  if (now_ns < due_ns) return due_ns;
  tri_scavenger_give_back_buffers(heap);
  return UINT64_MAX;
}

static void tri_scavenger_begin_pass(tri_heap *heap, uint64_t now_ns) {
  tri_space *space = &heap->world.collect.spans.space;
  uint64_t wanted = tri_scavenger_wanted_pages(heap, tri_scavenge_look(space), now_ns);
  heap->scavenger.pass = tri_scavenge_begin(space, tri_scavenger_after_ns(heap), wanted, TRI_SCAVENGE_RUN_PAGES);
  heap->scavenger.in_pass = true;
}

// Plans the next look, if there is anything to wait for.
static void tri_scavenger_end_pass(tri_heap *heap) {
  tri_scavenger *scavenger = &heap->scavenger;
  const tri_scavenge *pass = &scavenger->pass;
  uint64_t now_ns = tri_clock_ns(), after_ns = tri_scavenger_after_ns(heap);
  uint64_t next_ns = tri_scavenger_look_at_buffers(heap, now_ns);
  // What the system refused now it will refuse in a while: not again before something changes.
  if (!pass->refused && pass->next_due_ns < next_ns) next_ns = pass->next_due_ns;
  if (pass->kept && now_ns + after_ns < next_ns) next_ns = now_ns + after_ns;
  // Not for every chunk that comes of age.
  if (next_ns < now_ns + after_ns / 4) next_ns = now_ns + after_ns / 4;
  scavenger->in_pass = false;
  if (pass->given_pages) heap->front.memory_given_back(heap->front.context);
  next_ns = tri_scavenge_looked(pass->space, next_ns, now_ns);
  if (next_ns != UINT64_MAX && after_ns) tri_collector_thread_tick_at(heap, next_ns);
}

// False when the pass is over.
static bool tri_scavenger_work(tri_heap *heap) {
  tri_scavenger *scavenger = &heap->scavenger;
  uint64_t began_ns = tri_thread_cpu_ns(), spent_ns = 0;
  bool more = true;
  while (more && spent_ns < TRI_SCAVENGE_SLICE_NS) {
    more = tri_scavenger_after_ns(heap) && tri_scavenge_step(&scavenger->pass);
    spent_ns = tri_thread_cpu_ns() - began_ns;
  }
  tri_store_relaxed(&scavenger->cpu_ns, scavenger->cpu_ns + spent_ns);
  scavenger->next_ns = tri_clock_ns() + spent_ns * TRI_SCAVENGE_REST_TIMES;
  return more;
}

void tri_scavenger_tick(tri_heap *heap, uint64_t now_ns) {
  tri_scavenger *scavenger = &heap->scavenger;
  tri_space *space = &heap->world.collect.spans.space;
  if (tri_scavenger_after_ns(heap) == 0) return;
  uint64_t due_ns = scavenger->in_pass ? scavenger->next_ns : tri_scavenge_due_ns(space);
  if (due_ns == 0) return;
  if (now_ns < due_ns) { // somebody else's tick
    tri_collector_thread_tick_at(heap, due_ns);
    return;
  }
  tri_store_relaxed(&scavenger->ticks, scavenger->ticks + 1);
  if (!scavenger->in_pass) tri_scavenger_begin_pass(heap, now_ns);
  if (tri_scavenger_work(heap))
    tri_collector_thread_tick_at(heap, scavenger->next_ns);
  else
    tri_scavenger_end_pass(heap);
}

// ---- At once ----

typedef struct tri_trim_call {
  tri_heap *heap;
  uint64_t given_pages;
} tri_trim_call;

// Under the cycle lock, as spans must not be taken from under a cycle.
static void tri_trim_free_spans(tri_heap *heap) {
  tri_lock_acquire(&heap->cycle_lock);
  tri_store_relaxed(&heap->cycle_owner, tri_thread_token());
  tri_sweep_finish(&heap->world.collect);
  tri_sweep_drop_empty_spans(&heap->world.collect);
  tri_store_relaxed(&heap->cycle_owner, (uintptr_t)0);
  tri_lock_release(&heap->cycle_lock);
}

// Below the frames that hold references: this thread counts as stopped, so that nobody waits for it.
static void tri_trim_below(void *context, uintptr_t stack_pointer) {
  tri_trim_call *call = context;
  tri_heap *heap = call->heap;
  tri_mutator_full *own = tri_world_current_mutator(&heap->world);
  if (own && !tri_mutator_is_usable(own)) own = NULL;
  tri_thread_others_block(own, stack_pointer, NULL);
  if (own) tri_mutator_wait_below(own, stack_pointer);
  tri_trim_free_spans(heap);
  tri_scavenge pass = tri_scavenge_begin(&heap->world.collect.spans.space, 0, 0, 1);
  while (tri_scavenge_step(&pass)) {
  }
  tri_scavenger_give_back_buffers(heap);
  if (pass.given_pages) heap->front.memory_given_back(heap->front.context);
  call->given_pages = pass.given_pages;
  if (own) tri_mutator_wait_over(own);
  tri_thread_others_unblock();
}

uint64_t tri_trim(tri_heap *heap) {
  TRI_CHECK(!tri_sweep_is_destroying(&heap->world.collect), "tri_trim: called from a destroy callback of this heap");
  TRI_CHECK(tri_load_relaxed(&heap->cycle_owner) != tri_thread_token(),
            "tri_trim: called by the thread that runs a cycle of this heap, from a hook or a root function");
  tri_trim_call call = {heap, 0};
  tri_thread_with_stack(tri_trim_below, &call);
  return call.given_pages << TRI_PAGE_LOG2;
}
