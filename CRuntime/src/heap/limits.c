#include "heap/limits.h"

#include "heap/heap.h"
#include "mutator/thread_mutators.h"
#include "os/cgroup.h"

enum {
  TRI_FORCE_ROOM_SHARE = 16,        // a forced collection that leaves less than this part of the limit was for nothing
  TRI_FORCE_ATTEMPTS = 8,           // such collections in a row, however long they take
  TRI_FORCE_BUDGET_NS = 250000000,  // what more of them may take at once
  TRI_CONTAINER_LIMIT_PERCENT = 90, // the rest is for stacks, code, and memory that is not the heap's
};
#define TRI_EXTERNAL_BYTES_MAX (INT64_C(1) << 46)

static void tri_limits_lock(tri_heap *heap) {
  tri_lock_acquire(&heap->limits.lock);
}
static void tri_limits_unlock(tri_heap *heap) {
  tri_lock_release(&heap->limits.lock);
}

uint64_t tri_limits_held_bytes(tri_heap *heap) {
  const tri_space *space = &heap->world.collect.spans.space;
  int64_t external = tri_load_relaxed(&heap->limits.external_bytes);
  return (tri_load_relaxed(&space->used_pages) << TRI_PAGE_LOG2) + tri_load_relaxed(&space->meta.mapped_bytes) +
         (uint64_t)external;
}

// ---- Events ----

// What does not fit pushes the oldest out: who does not get events delivered for so long has newer troubles.
static void tri_event_push_locked(tri_heap *heap, tri_event_kind kind, uint64_t limit_bytes) {
  tri_limits *limits = &heap->limits;
  if (!limits->function) return;
  if (limits->waiting_count == TRI_EVENTS_WAITING) {
    for (uint32_t index = 1; index < TRI_EVENTS_WAITING; index++) limits->waiting[index - 1] = limits->waiting[index];
    limits->waiting_count--;
  }
  tri_event *event = &limits->waiting[limits->waiting_count];
  *event = (tri_event){kind, 0, tri_clock_ns(), tri_limits_held_bytes(heap), limit_bytes};
  tri_store_relaxed(&limits->waiting_count, limits->waiting_count + 1);
}

// The limit that is, or is not, kept: the lower one.
static uint64_t tri_limits_lower_locked(const tri_limits *limits) {
  uint64_t soft = limits->soft_bytes, hard = limits->hard_bytes;
  return soft && (!hard || soft < hard) ? soft : hard;
}

static void tri_limits_set_exceeded_locked(tri_heap *heap, bool exceeded, uint64_t limit_bytes) {
  tri_limits *limits = &heap->limits;
  if (limits->exceeded == exceeded) return;
  tri_store_relaxed(&limits->exceeded, exceeded ? 1u : 0u);
  tri_event_push_locked(heap, exceeded ? TRI_EVENT_HEAP_LIMIT_EXCEEDED : TRI_EVENT_HEAP_LIMIT_RECOVERED, limit_bytes);
}

void tri_events_set(tri_heap *heap, tri_event_function *function, void *context) {
  tri_limits_lock(heap);
  heap->limits.function = function;
  heap->limits.context = context;
  tri_store_relaxed(&heap->limits.waiting_count, 0u);
  tri_limits_unlock(heap);
}

// The handler may take its time: meanwhile this thread is stopped for whoever wants to stop it, and may not allocate.
static void tri_event_call(tri_heap *heap, tri_event_function *function, const tri_event *event, void *context) {
  tri_mutator_full *own = tri_world_current_mutator(&heap->world);
  if (own && !tri_mutator_is_usable(own)) own = NULL;
  if (own) tri_blocking_begin(&own->fast);
  function(event, context);
  if (own) tri_blocking_end(&own->fast);
}

// One thread at a time, so that events arrive in the order in which they came.
void tri_events_deliver(tri_heap *heap) {
  tri_limits *limits = &heap->limits;
  if (tri_load_relaxed(&limits->waiting_count) == 0) return;
  tri_limits_lock(heap);
  if (limits->deliverer) {
    tri_limits_unlock(heap);
    return;
  }
  tri_store_relaxed(&limits->deliverer, tri_thread_token());
  while (limits->waiting_count && limits->function) {
    tri_event event = limits->waiting[0];
    for (uint32_t index = 1; index < limits->waiting_count; index++)
      limits->waiting[index - 1] = limits->waiting[index];
    tri_store_relaxed(&limits->waiting_count, limits->waiting_count - 1);
    tri_event_function *function = limits->function;
    void *context = limits->context;
    tri_limits_unlock(heap);
    tri_event_call(heap, function, &event, context);
    tri_limits_lock(heap);
  }
  tri_store_relaxed(&limits->deliverer, (uintptr_t)0);
  tri_limits_unlock(heap);
}

// ---- The hard limit ----

static void tri_limits_forgive_locked(tri_limits *limits) {
  limits->force_budget_ns = TRI_FORCE_BUDGET_NS;
  limits->forced_in_vain = 0;
}

static uint64_t tri_limits_free_pages_bytes(tri_heap *heap, uint64_t *out_limit_bytes) {
  const tri_space *space = &heap->world.collect.spans.space;
  uint64_t limit = tri_load_relaxed(&heap->world.limit_bytes), used;
  if (limit == 0 || limit > space->reserved_bytes) limit = space->reserved_bytes;
  used = tri_load_relaxed(&space->used_pages) << TRI_PAGE_LOG2;
  *out_limit_bytes = limit;
  return limit > used ? limit - used : 0;
}

static bool tri_limits_has_room(tri_heap *heap) {
  uint64_t limit_bytes, room_bytes = tri_limits_free_pages_bytes(heap, &limit_bytes);
  return room_bytes >= limit_bytes / TRI_FORCE_ROOM_SHARE;
}

// ---- External bytes ----

static int64_t tri_less(int64_t planned, int64_t bytes) {
  int64_t result;
  if (planned == INT64_MAX) return planned; // never
  if (__builtin_sub_overflow(planned, bytes, &result)) return bytes > 0 ? 0 : INT64_MAX - 1;
  return result < 0 ? 0 : result;
}

static void tri_limits_apply_locked(tri_heap *heap) {
  const tri_limits *limits = &heap->limits;
  tri_world *world = &heap->world;
  int64_t more = limits->external_bytes - limits->swept_external_bytes;
  tri_store_relaxed(&world->trigger_bytes, tri_less(limits->planned_trigger_bytes, more));
  tri_store_relaxed(&world->urgent_bytes, tri_less(limits->planned_urgent_bytes, more));
  tri_store_relaxed(&world->hold_bytes, tri_less(limits->planned_hold_bytes, more));
  uint64_t external = (uint64_t)limits->external_bytes, pages_limit = 0;
  if (limits->hard_bytes) pages_limit = limits->hard_bytes > external ? limits->hard_bytes - external : 1;
  tri_store_relaxed(&world->limit_bytes, pages_limit);
}

static void tri_world_external_bytes_add(tri_world *world, int64_t delta) {
  tri_heap *heap = (tri_heap *)(void *)world;
  tri_limits_lock(heap);
  int64_t before = heap->limits.external_bytes, after = 0;
  bool overflow = __builtin_add_overflow(before, delta, &after);
  TRI_CHECK(!overflow && after <= TRI_EXTERNAL_BYTES_MAX, "external bytes: %lld more than %lld is no memory there is",
            (long long)delta, (long long)before);
  TRI_CHECK(after >= 0, "external bytes: %lld taken from %lld, more than was ever added", (long long)-delta,
            (long long)before);
  tri_store_relaxed(&heap->limits.external_bytes, after);
  tri_limits_apply_locked(heap);
  tri_limits_unlock(heap);
}

void tri_heap_external_bytes_add(tri_heap *heap, int64_t delta) {
  tri_world_external_bytes_add(&heap->world, delta);
}

void tri_limits_swept(tri_heap *heap) {
  bool room = tri_limits_has_room(heap);
  tri_limits_lock(heap);
  if (room) tri_limits_forgive_locked(&heap->limits);
  heap->limits.swept_external_bytes = heap->limits.external_bytes;
  tri_limits_unlock(heap);
}

// ---- What the pacer says ----

void tri_pacing_set(tri_heap *heap, const tri_pacing *pacing) {
  tri_world *world = &heap->world;
  tri_limits *limits = &heap->limits;
  tri_store_relaxed(&world->inline_cycles, pacing->inline_cycles ? 1u : 0u);
  tri_store_relaxed(&world->assist_objects_per_mib, pacing->assist_objects_per_mib);
  tri_store_relaxed(&world->assist_loan_objects, pacing->assist_loan_objects);
  tri_store_relaxed(&world->account_bytes, pacing->account_bytes);
  tri_store_relaxed(&heap->goal_bytes, pacing->goal_bytes);
  tri_store_relaxed(&world->next_is_minor, pacing->minor ? 1u : 0u);
  tri_store_relaxed(&world->keep_marks, pacing->keep_marks ? 1u : 0u);
  tri_limits_lock(heap);
  limits->planned_trigger_bytes = pacing->trigger_bytes;
  limits->planned_urgent_bytes = pacing->urgent_bytes;
  limits->planned_hold_bytes = pacing->hold_bytes;
  tri_limits_apply_locked(heap);
  tri_limits_set_exceeded_locked(heap, pacing->limit_exceeded, tri_limits_lower_locked(limits));
  if (!pacing->limit_exceeded) tri_store_relaxed(&limits->allocation_failed, 0u);
  tri_limits_unlock(heap);
}

void tri_limits_read(tri_heap *heap, uint64_t *out_soft_bytes, uint64_t *out_hard_bytes) {
  tri_limits_lock(heap);
  *out_soft_bytes = heap->limits.soft_bytes;
  *out_hard_bytes = heap->limits.hard_bytes;
  tri_limits_unlock(heap);
}

// ---- Forced collections ----

// A program may drop what it can spare and try again, so the first few are run whatever they cost; after those such
// collections get half of the time that goes by.
bool tri_limits_allow_force(tri_heap *heap) {
  tri_limits *limits = &heap->limits;
  tri_limits_lock(heap);
  uint64_t now_ns = tri_clock_ns(), earned_ns = now_ns - limits->force_budget_at_ns;
  limits->force_budget_at_ns = now_ns;
  bool full = earned_ns >= (uint64_t)(TRI_FORCE_BUDGET_NS - limits->force_budget_ns);
  limits->force_budget_ns = full ? TRI_FORCE_BUDGET_NS : limits->force_budget_ns + (int64_t)earned_ns;
  bool allowed = limits->forced_in_vain < TRI_FORCE_ATTEMPTS || limits->force_budget_ns > 0;
  tri_limits_unlock(heap);
  return allowed;
}

void tri_limits_forced(tri_heap *heap, uint64_t took_ns) {
  bool room = tri_limits_has_room(heap);
  tri_limits *limits = &heap->limits;
  tri_limits_lock(heap);
  limits->force_budget_ns -= (int64_t)took_ns;
  // It has to be earned before the next: not more than what this one took, or a few would shut it off for long.
  if (limits->force_budget_ns < -(int64_t)took_ns) limits->force_budget_ns = -(int64_t)took_ns;
  limits->forced_in_vain++;
  limits->force_budget_at_ns = tri_clock_ns();
  if (room) tri_limits_forgive_locked(limits);
  tri_limits_unlock(heap);
}

static void tri_world_limit_reached(tri_world *world) {
  tri_heap *heap = (tri_heap *)(void *)world;
  if (__atomic_exchange_n(&heap->limits.allocation_failed, 1u, __ATOMIC_RELAXED)) return;
  tri_limits_lock(heap);
  uint64_t limit = heap->limits.hard_bytes ? heap->limits.hard_bytes : world->collect.spans.space.reserved_bytes;
  tri_limits_set_exceeded_locked(heap, true, limit);
  tri_limits_unlock(heap);
  tri_events_deliver(heap);
}

// ---- Setting ----

static uint64_t tri_limits_soft_locked(const tri_limits *limits) {
  uint64_t container = limits->container_bytes;
  if (limits->soft_given_bytes == TRI_SOFT_LIMIT_OFF) return 0;
  if (limits->soft_given_bytes != TRI_SOFT_LIMIT_AUTOMATIC) return limits->soft_given_bytes;
  return container ? container / 100 * TRI_CONTAINER_LIMIT_PERCENT + container % 100 : 0;
}

static void tri_limits_follow_locked(tri_heap *heap) {
  tri_limits *limits = &heap->limits;
  tri_store_relaxed(&limits->soft_bytes, tri_limits_soft_locked(limits));
  tri_store_relaxed(&heap->world.collect.counts_cpu, limits->soft_bytes || limits->hard_bytes ? 1u : 0u);
}

tri_status tri_limits_set_locked(tri_heap *heap, uint64_t soft_limit_bytes, uint64_t limit_bytes) {
  tri_limits *limits = &heap->limits;
  if (tri_limits_complaint(soft_limit_bytes, limit_bytes)) return TRI_BAD_OPTIONS;
  uint64_t container =
      soft_limit_bytes == TRI_SOFT_LIMIT_AUTOMATIC ? tri_cgroup_read(TRI_CGROUP_AGE_NS).memory_bytes : 0;
  tri_limits_lock(heap);
  tri_store_relaxed(&limits->soft_given_bytes, soft_limit_bytes);
  limits->hard_bytes = limit_bytes;
  limits->container_bytes = container;
  tri_limits_follow_locked(heap);
  tri_limits_apply_locked(heap);
  tri_limits_unlock(heap);
  tri_store_relaxed(&limits->container_ns, tri_clock_ns());
  return TRI_OK;
}

static bool tri_limits_follow_container(tri_heap *heap) {
  tri_limits *limits = &heap->limits;
  uint64_t container = tri_cgroup_read(TRI_CGROUP_AGE_NS / 2).memory_bytes;
  tri_limits_lock(heap);
  bool changed = limits->soft_given_bytes == TRI_SOFT_LIMIT_AUTOMATIC && container != limits->container_bytes;
  if (changed) {
    limits->container_bytes = container;
    tri_limits_follow_locked(heap);
    tri_event_push_locked(heap, TRI_EVENT_CONTAINER_LIMIT_CHANGED, limits->soft_bytes);
  }
  tri_limits_unlock(heap);
  return changed;
}

bool tri_limits_refresh_is_due(const tri_heap *heap, uint64_t now_ns) {
  return tri_load_relaxed(&heap->limits.soft_given_bytes) == TRI_SOFT_LIMIT_AUTOMATIC &&
         now_ns - tri_load_relaxed(&heap->limits.container_ns) >= TRI_CGROUP_AGE_NS;
}

void tri_limits_refresh(tri_heap *heap, uint64_t now_ns) {
  if (!tri_limits_refresh_is_due(heap, now_ns)) return;
  tri_store_relaxed(&heap->limits.container_ns, now_ns);
  if (tri_limits_follow_container(heap)) heap->front.limits_changed(heap->front.context);
}

void tri_limits_init(tri_heap *heap) {
  tri_limits *limits = &heap->limits;
  tri_lock_init(&limits->lock, TRI_RANK_LIMITS);
  limits->force_budget_ns = TRI_FORCE_BUDGET_NS;
  limits->planned_trigger_bytes = limits->planned_urgent_bytes = limits->planned_hold_bytes = INT64_MAX;
  limits->force_budget_at_ns = tri_clock_ns();
  heap->world.limit_reached = tri_world_limit_reached;
  heap->world.external_bytes_add = tri_world_external_bytes_add;
  tri_limits_set_locked(heap, heap->options.soft_limit_bytes, heap->options.limit_bytes);
}

void tri_limits_destroy(tri_heap *heap) {
  tri_lock_destroy(&heap->limits.lock);
}
