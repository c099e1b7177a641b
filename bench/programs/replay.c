// Question: what does a heap cost a real program? Replays the allocations of one, recorded by bench/recorder.
//
//   replay [--leaf] TRACE
//
// One program for every contender (memory.h). With malloc: malloc, calloc, realloc, posix_memalign and free
// as recorded. With a collected heap: a table, itself a heap object and the only root, refers to every live
// block; a free is a barriered store of NULL into it; a realloc is a new block, a copy, and a drop of the old
// one. In *every* contender each new block of 16 bytes or more also gets a reference to an earlier one in its
// first word (replay_links.h: never one that dies sooner), and the slot's number in its last word. The
// mutator's work is thereby the same, and the collector has a graph to trace, not just a list.
//
// --leaf: no references but the table's, blocks without references, uninitialised unless calloc: what a heap
// can do for buffers and strings; reported as a row of its own.
//
// A collected heap zeroes what calloc would, and the word that holds the link (bdwgc: every block with a link);
// alignments above 16 are not asked of it. Blocks smaller than 16 bytes are leaves.
//
// Passes over the whole trace are timed until 0.5 s of CPU time are spent, at least three. A program runs
// once: first_pass_cpu_ns and first_pass_peak_over_baseline_bytes are reported beside the totals, because
// later passes find the heap warm, and because allocators that give memory back by the clock (jemalloc, ten
// seconds) pile up more in passes that follow each other than the program would. Events are decoded before,
// outside the heap, and counted in baseline_rss_bytes; the peak is reset there. After the timed passes one
// more, untimed, compares every block's words with what was written when it is dropped: `check` is the number
// of blocks compared, and a difference (a block was reused while live) ends the program with exit code 1.
#include "measure.h"
#include "replay_links.h"
#include "replay_trace.h"

enum {
  REPLAY_CPU_NS_MIN = 500000000,
  REPLAY_PASSES_MIN = 3,
};

/// The one root.
static void *replay_table;

struct replay {
  struct replay_trace trace;
  bool leaf;
  uint32_t *link_of_slot; ///< for the checking pass: what the block's first word must refer to
  uint64_t blocks_checked, blocks_wrong;
};

// MARK: Blocks

static inline bool replay_is_linked(uint64_t bytes, bool leaf) {
  return !leaf && bytes >= REPLAY_LINKED_BYTES_MIN;
}

static inline void *replay_allocate(struct replay_event event, bool leaf) {
  size_t bytes = replay_size(event);
  void *block = NULL;
  if (MEMORY_MALLOC) {
    if (replay_kind(event) == REPLAY_CALLOC) return mem_leaf_zeroed(bytes);
    if (replay_kind(event) != REPLAY_ALIGNED) return mem_leaf(bytes);
    size_t alignment = replay_alignment(event);
    return posix_memalign(&block, alignment < sizeof(void *) ? sizeof(void *) : alignment, bytes) ? NULL : block;
  }
  if (replay_is_linked(bytes, leaf))
    return replay_kind(event) == REPLAY_CALLOC ? mem_mixed(bytes) : mem_mixed_raw(bytes);
  return replay_kind(event) == REPLAY_CALLOC ? mem_leaf_zeroed(bytes) : mem_leaf(bytes);
}

static inline uint64_t *replay_last_word(void *block, uint64_t bytes) {
  return (uint64_t *)(void *)((char *)block + ((bytes - sizeof(uint64_t)) & ~(uint64_t)7));
}

/// Writes what every new block gets: the link (or, without, a first word) and the stamp.
static inline void replay_fill(void **table, void *block, struct replay_event event, bool leaf) {
  uint64_t bytes = replay_size(event), stamp = (uint64_t)event.slot + 1;
  if (replay_is_linked(bytes, leaf)) {
    if (event.link != REPLAY_NO_LINK) mem_init(block, block, table[event.link]);
  } else if (bytes >= sizeof stamp) {
    *(uint64_t *)block = stamp;
  } else if (bytes) {
    *(char *)block = (char)stamp;
    return;
  }
  if (bytes >= sizeof stamp) *replay_last_word(block, bytes) = stamp;
}

/// The same for a block that stays: its link changes behind the barrier.
static inline void replay_refill(void **table, void *block, struct replay_event event, bool leaf) {
  uint64_t bytes = replay_size(event), stamp = (uint64_t)event.slot + 1;
  if (replay_is_linked(bytes, leaf)) {
    if (event.link != REPLAY_NO_LINK) mem_store(block, block, table[event.link]);
  } else if (bytes >= sizeof stamp) {
    *(uint64_t *)block = stamp;
  } else {
    *(char *)block = (char)stamp;
    return;
  }
  *replay_last_word(block, bytes) = stamp;
}

static inline void *replay_checked(void *block) {
  if (__builtin_expect(!block, 0)) mem_fail("replay: the heap has no memory left");
  return mem_opaque(block);
}

static inline void replay_birth(void **table, struct replay_event event, bool leaf) {
  void *block = replay_checked(replay_allocate(event, leaf));
  replay_fill(table, block, event, leaf);
  mem_store(table, &table[event.slot], block);
}

static inline void replay_drop(void **table, struct replay_event event) {
  // A collected heap needs not even look at what it drops.
  void *block = MEM_EXPLICIT_FREE ? table[event.slot] : NULL;
  mem_store(table, &table[event.slot], NULL);
  if (MEM_EXPLICIT_FREE) mem_free(block);
}

static inline void replay_realloc(void **table, struct replay_event event, uint64_t old_bytes, bool leaf) {
  uint64_t bytes = replay_size(event);
  void *old = table[event.slot];
  if (MEMORY_MALLOC) {
    // realloc to 0 may answer NULL in some allocators, which the recorded one did not: ask for one byte.
    void *block = replay_checked(realloc(old, bytes ? bytes : 1));
    replay_fill(table, block, event, leaf);
    mem_store(table, &table[event.slot], block);
    return;
  }
  // Not into a block of another kind, nor for less than half of it.
  bool same_kind = replay_is_linked(bytes, leaf) == replay_is_linked(old_bytes, leaf);
  if (old && bytes && same_kind && bytes >= old_bytes / 2 && mem_resize(old, bytes)) {
    replay_refill(table, old, event, leaf);
    return;
  }
  void *block = replay_checked(replay_allocate(event, leaf));
  // The first word of a linked block is a reference and gets a new value: it is not copied behind the
  // barrier's back.
  size_t skip = replay_is_linked(bytes, leaf) ? sizeof(void *) : 0;
  size_t common = bytes < old_bytes ? bytes : old_bytes;
  if (common > skip) memcpy((char *)block + skip, (char *)old + skip, common - skip);
  replay_fill(table, block, event, leaf);
  mem_store(table, &table[event.slot], block);
  if (MEM_EXPLICIT_FREE) mem_free(old);
}

// MARK: The checking pass

/// Compares a block that is about to be dropped with what replay_fill() wrote.
static void replay_check_block(struct replay *replay, void **table, uint32_t slot, uint64_t bytes, bool left_behind) {
  if (bytes < sizeof(uint64_t)) return;
  char *block = table[slot];
  bool right = *replay_last_word(block, bytes) == (uint64_t)slot + 1;
  uint32_t link = replay->link_of_slot[slot];
  // The target outlives this block and does not move, so the table still has it; only among what the program
  // left behind may it have been dropped a moment earlier.
  if (replay_is_linked(bytes, replay->leaf) && link != REPLAY_NO_LINK && !(left_behind && !table[link]))
    right = right && *(mem_slot *)(void *)block == table[link];
  replay->blocks_checked++;
  replay->blocks_wrong += !right;
}

static void replay_check_event(struct replay *replay, void **table, const struct replay_event *event) {
  bool left_behind = event >= replay->trace.events + replay->trace.count_to_end;
  if (replay_kind(*event) == REPLAY_FREE)
    replay_check_block(replay, table, event->slot, replay_size(*event), left_behind);
  if (replay_kind(*event) == REPLAY_REALLOC)
    replay_check_block(replay, table, event->slot, replay_size(event[1]), left_behind);
  replay->link_of_slot[event->slot] = event->link;
}

// MARK: Passes

/// One pass over the trace. `leaf` and `check` are constants where this is called, so each gets a loop of its
/// own.
static inline __attribute__((always_inline)) void replay_pass(struct replay *replay, bool leaf, bool check) {
  const struct replay_event *event = replay->trace.events, *end = event + replay->trace.count;
  void **table = mem_opaque(replay_table);
  for (; event < end; event++) {
    if (check) replay_check_event(replay, table, event);
    switch (replay_kind(*event)) {
    case REPLAY_MALLOC:
    case REPLAY_CALLOC:
    case REPLAY_ALIGNED: replay_birth(table, *event, leaf); break;
    case REPLAY_FREE: replay_drop(table, *event); break;
    case REPLAY_REALLOC:
      replay_realloc(table, *event, replay_size(event[1]), leaf);
      event++;
      break;
    case REPLAY_OLD_SIZE: break;
    }
  }
}

static void replay_pass_timed(struct replay *replay) {
  if (replay->leaf)
    replay_pass(replay, true, false);
  else
    replay_pass(replay, false, false);
}

static void replay_pass_checked(struct replay *replay) {
  if (replay->leaf)
    replay_pass(replay, true, true);
  else
    replay_pass(replay, false, true);
}

// MARK: Memory and report

static uint64_t replay_rss_bytes(void) {
  char text[128] = "";
  unsigned long long pages = 0;
  int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  if (read(fd, text, sizeof text - 1) < 0) text[0] = '\0';
  close(fd);
  return sscanf(text, "%*u %llu", &pages) == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/// Starts the kernel's count of the peak anew: decoding needed more than replaying keeps. Where that is
/// forbidden the peak includes it, which shows as a larger difference in every contender.
static void replay_reset_peak(void) {
  int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t written = write(fd, "5", 1);
  (void)written;
  close(fd);
}

/// The timed passes together, and the first alone.
struct replay_result {
  struct measure total;
  uint64_t passes, baseline_rss_bytes;
  uint64_t first_pass_cpu_ns, first_pass_peak_rss_bytes;
};

static struct replay_result replay_time_passes(struct replay *replay, uint64_t baseline_rss_bytes) {
  struct replay_result result = {.baseline_rss_bytes = baseline_rss_bytes};
  while (result.passes < REPLAY_PASSES_MIN || result.total.cpu_ns < REPLAY_CPU_NS_MIN) {
    struct measure pass = measure_begin();
    replay_pass_timed(replay);
    measure_end(&pass);
    result.total.cpu_ns += pass.cpu_ns;
    result.total.wall_ns += pass.wall_ns;
    result.total.cycles += pass.cycles;
    if (++result.passes > 1) continue;
    result.first_pass_cpu_ns = pass.cpu_ns;
    result.first_pass_peak_rss_bytes = peak_rss_bytes();
  }
  return result;
}

static uint64_t replay_over(uint64_t peak, uint64_t baseline) {
  return peak > baseline ? peak - baseline : 0;
}

static void replay_report(const struct replay *replay, const struct replay_result *result, size_t links) {
  const struct replay_trace *trace = &replay->trace;
  const char *slash = strrchr(trace->path, '/');
  uint64_t baseline = result->baseline_rss_bytes;
  report_open("replay", replay->leaf ? "leaf only" : "linked");
  report_text("trace", slash ? slash + 1 : trace->path);
  report_text("program", trace->header.program);
  report_u64("events", trace->header.event_count);
  report_u64("passes", result->passes);
  report_u64("first_pass_cpu_ns", result->first_pass_cpu_ns);
  report_u64("links", links);
  report_u64("trace_peak_live_bytes", trace->header.peak_live_bytes);
  report_u64("trace_peak_live_blocks", trace->header.peak_live_blocks);
  report_u64("baseline_rss_bytes", baseline);
  report_u64("first_pass_peak_over_baseline_bytes", replay_over(result->first_pass_peak_rss_bytes, baseline));
  report_u64("peak_over_baseline_bytes", replay_over(peak_rss_bytes(), baseline));
  report_close(&result->total, result->passes * trace->header.event_count, replay->blocks_checked);
}

int main(int argument_count, char **arguments) {
  struct replay replay = {.leaf = argument_count == 3 && strcmp(arguments[1], "--leaf") == 0};
  if (argument_count != 2 + replay.leaf || arguments[argument_count - 1][0] == '-') {
    fprintf(stderr, "usage: %s [--leaf] TRACE\n", arguments[0]);
    return 2;
  }
  replay_trace_load(&replay.trace, arguments[argument_count - 1]);
  if (replay.trace.count == 0) replay_refuse(replay.trace.path, "the trace has no events");
  size_t links = replay.leaf ? 0 : replay_choose_links(&replay.trace);
  size_t slots = replay.trace.header.slot_count;
  replay.link_of_slot = replay_map_pages(replay.trace.path, slots * sizeof(uint32_t));
  memset(replay.link_of_slot, 0xff, slots * sizeof(uint32_t));

  replay_reset_peak();
  uint64_t baseline_rss = replay_rss_bytes();
  mem_start();
  mem_root(&replay_table);
  mem_root_store(&replay_table, replay_checked(mem_array(slots ? slots : 1)));

  struct replay_result result = replay_time_passes(&replay, baseline_rss);
  replay_pass_checked(&replay);
  if (replay.blocks_wrong) {
    fprintf(stderr, "%s: %llu of %llu blocks were changed while live\n", replay.trace.path,
            (unsigned long long)replay.blocks_wrong, (unsigned long long)replay.blocks_checked);
    return 1;
  }
  replay_report(&replay, &result, links);
  mem_finish();
  return 0;
}
