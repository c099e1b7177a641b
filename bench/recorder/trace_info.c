// Checks a trace as the replayer does and prints what is in it: `trace_info FILE`. Exit code 2 and one line
// when it is not a whole trace.
#include "../programs/replay_trace.h"

enum { INFO_SIZE_CLASSES = TRACE_SIZE_LOG2 + 1 };

struct info {
  uint64_t events_by_kind[REPLAY_OLD_SIZE + 1];
  uint64_t blocks_by_size_log2[INFO_SIZE_CLASSES]; ///< i: sizes above 2^(i-1) up to 2^i; 0 and 1 byte in 0
};

static unsigned info_size_log2(uint64_t bytes) {
  return bytes <= 1 ? 0 : 64u - (unsigned)__builtin_clzll(bytes - 1);
}

static void info_count(const struct replay_trace *trace, struct info *info) {
  for (size_t i = 0; i < trace->count_to_end; i++) {
    struct replay_event event = trace->events[i];
    enum replay_kind kind = replay_kind(event);
    info->events_by_kind[kind]++;
    if (kind != REPLAY_FREE && kind != REPLAY_OLD_SIZE)
      info->blocks_by_size_log2[info_size_log2(replay_size(event))]++;
  }
}

static void info_print_header(const struct replay_trace *trace) {
  const struct trace_header *header = &trace->header;
  printf("program           %s%s\n", header->program,
         header->flags & TRACE_FLAG_LIMIT ? " (cut at the event limit)" : "");
  printf("events            %llu\n", (unsigned long long)header->event_count);
  printf("allocated         %llu blocks, %llu bytes\n", (unsigned long long)header->allocated_blocks,
         (unsigned long long)header->allocated_bytes);
  printf("peak live         %llu blocks, %llu bytes\n", (unsigned long long)header->peak_live_blocks,
         (unsigned long long)header->peak_live_bytes);
  printf("left at the end   %zu blocks\n", trace->count - trace->count_to_end);
}

static void info_print(const struct replay_trace *trace, const struct info *info) {
  static const char *const names[] = {"malloc", "calloc", "aligned", "free", "realloc"};
  info_print_header(trace);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    printf("%-17s %llu\n", names[i], (unsigned long long)info->events_by_kind[i]);
  printf("blocks by size (realloc counts with the new one):\n");
  for (unsigned i = 0; i < INFO_SIZE_CLASSES; i++)
    if (info->blocks_by_size_log2[i])
      printf("  up to %-11llu %llu\n", 1ull << i, (unsigned long long)info->blocks_by_size_log2[i]);
}

int main(int argument_count, char **arguments) {
  if (argument_count != 2) {
    fprintf(stderr, "usage: %s TRACE\n", arguments[0]);
    return 2;
  }
  struct replay_trace trace;
  struct info info = {{0}, {0}};
  replay_trace_load(&trace, arguments[1]);
  info_count(&trace, &info);
  info_print(&trace, &info);
  return 0;
}
