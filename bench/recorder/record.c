#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record_map.h"
#include "record_stream.h"

// All of it under `lock`, except `on`, which is also read without: a call that sees a stale `true` takes the
// lock and looks again.
static struct {
  pthread_mutex_t lock;
  atomic_bool on;
  bool decided; // the environment was read: recording, or never
  pid_t process;
  uint64_t event_limit;
  uint32_t last_slot;
  uint64_t live_bytes;
  struct trace_header header;
  struct record_map map;
  struct record_stream stream;
} record = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void record_complain(const char *what, const char *detail) {
  char line[512];
  int length = snprintf(line, sizeof line, "tricolor recorder: %s: %s\n", what, detail);
  if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0) return; // nobody left to tell
}

// MARK: Whether to record

static const char *record_base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/// The program's name twice: as it was called, and as its file is called. libc's own variables for it are not
/// set yet at the first allocation.
static void record_program_names(char *called, char *file, size_t bytes) {
  called[0] = file[0] = '\0';
  int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    ssize_t length = read(fd, called, bytes - 1);
    called[length > 0 ? length : 0] = '\0'; // arguments are separated by NUL: this is argv[0]
    close(fd);
  }
  ssize_t length = readlink("/proc/self/exe", file, bytes - 1);
  file[length > 0 ? length : 0] = '\0';
}

/// Whether this is the program to record; writes its name into the header.
static bool record_is_the_program(const char *wanted) {
  static char called[PATH_MAX], file[PATH_MAX];
  record_program_names(called, file, PATH_MAX);
  const char *called_name = record_base_name(called), *file_name = record_base_name(file);
  if (wanted && *wanted && strcmp(wanted, called_name) != 0 && strcmp(wanted, file_name) != 0) return false;
  snprintf(record.header.program, sizeof record.header.program, "%s", *called_name ? called_name : file_name);
  return true;
}

static void record_begin(const char *path) {
  const char *limit = getenv("TRICOLOR_TRACE_LIMIT");
  record.event_limit = limit && *limit ? strtoull(limit, NULL, 10) : UINT64_MAX;
  if (record.event_limit == 0) record.event_limit = UINT64_MAX;
  if (!record_stream_open(&record.stream, path)) {
    // An existing file: another process of this run records already.
    if (errno != EEXIST) record_complain(path, strerror(errno));
    return;
  }
  if (!record_map_start(&record.map)) {
    record_complain(path, "no memory for the table of live blocks");
    return;
  }
  record.process = getpid();
  atomic_store_explicit(&record.on, true, memory_order_relaxed);
}

void record_start(void) {
  if (!environ) return;
  int saved_errno = errno;
  pthread_mutex_lock(&record.lock);
  if (!record.decided) {
    record.decided = true;
    const char *path = getenv("TRICOLOR_TRACE_FILE");
    if (path && *path && record_is_the_program(getenv("TRICOLOR_TRACE_PROGRAM"))) record_begin(path);
  }
  pthread_mutex_unlock(&record.lock);
  errno = saved_errno;
}

bool record_is_on(void) { return atomic_load_explicit(&record.on, memory_order_relaxed); }

// MARK: The end

static void record_finish_locked(void) {
  if (!record_is_on()) return;
  atomic_store_explicit(&record.on, false, memory_order_relaxed);
  record.header.slot_count = record.map.slot_count;
  if (!record_stream_close(&record.stream, &record.header))
    record_complain("cannot write the end of the trace", strerror(errno));
}

/// A write failed or memory ran out: what is there is kept as an unfinished file.
static void record_abandon_locked(const char *why) {
  atomic_store_explicit(&record.on, false, memory_order_relaxed);
  record_complain("recording stopped", why);
  close(record.stream.fd);
}

void record_finish(void) {
  // A child of vfork shares this memory and may call _exit(): the recording is still its parent's.
  if (!record_is_on() || getpid() != record.process) return;
  int saved_errno = errno;
  pthread_mutex_lock(&record.lock);
  record_finish_locked();
  pthread_mutex_unlock(&record.lock);
  errno = saved_errno;
}

// Fork: the lock is held across it, so that the child does not inherit it from a thread it does not have. The
// child stops recording; the events that the parent has buffered are the parent's to write.
static void record_fork_prepare(void) { pthread_mutex_lock(&record.lock); }

static void record_fork_parent(void) { pthread_mutex_unlock(&record.lock); }

static void record_fork_child(void) {
  atomic_store_explicit(&record.on, false, memory_order_relaxed);
  pthread_mutex_unlock(&record.lock);
}

__attribute__((constructor)) static void record_constructor(void) {
  record_start();
  if (record_is_on()) pthread_atfork(record_fork_prepare, record_fork_parent, record_fork_child);
}

__attribute__((destructor)) static void record_destructor(void) { record_finish(); }

// MARK: Events

static void record_event_locked(enum trace_operation operation, uint64_t value, const uint8_t *extra,
                                size_t extra_bytes) {
  if (!record_stream_event(&record.stream, operation, value, extra, extra_bytes)) {
    record_abandon_locked(strerror(errno));
    return;
  }
  if (++record.header.event_count >= record.event_limit) {
    record.header.flags |= TRACE_FLAG_LIMIT;
    record_finish_locked();
  }
}

static void record_count_allocation_locked(uint64_t bytes) {
  struct trace_header *header = &record.header;
  header->allocated_blocks++;
  header->allocated_bytes += bytes;
  record.live_bytes += bytes;
  if (record.live_bytes > header->peak_live_bytes) header->peak_live_bytes = record.live_bytes;
  if (record.map.used > header->peak_live_blocks) header->peak_live_blocks = record.map.used;
}

static uint64_t record_slot_difference_locked(uint32_t slot) {
  uint64_t difference = trace_zigzag((int64_t)slot - (int64_t)record.last_slot);
  record.last_slot = slot;
  return difference;
}

static void record_free_locked(struct record_block *block) {
  record.live_bytes -= block->size_bytes;
  uint64_t difference = record_slot_difference_locked(block->slot);
  record_map_remove(&record.map, block);
  record_event_locked(TRACE_FREE, difference, NULL, 0);
}

static void record_allocate_locked(enum trace_operation operation, const void *block, size_t bytes,
                                   size_t alignment) {
  // Freed in a way that we do not see (inside libc, say): its end is noted now, late but in a legal order.
  struct record_block *stale = record_map_find(&record.map, (uintptr_t)block);
  if (stale) record_free_locked(stale);
  if (!record_is_on()) return; // that was the last event of the limit
  uint32_t slot;
  if (!record_map_add(&record.map, (uintptr_t)block, bytes, &slot)) {
    record_abandon_locked("no memory for the table of live blocks");
    return;
  }
  record.last_slot = slot;
  record_count_allocation_locked(bytes);
  uint8_t alignment_log2 = (uint8_t)__builtin_ctzll(alignment | 1ull << TRACE_ALIGNMENT_LOG2_MAX);
  record_event_locked(operation, bytes, &alignment_log2, operation == TRACE_ALIGNED ? 1 : 0);
}

void record_allocate(enum trace_operation operation, const void *block, size_t bytes, size_t alignment) {
  if (!block || !record_is_on()) return;
  int saved_errno = errno;
  pthread_mutex_lock(&record.lock);
  if (record_is_on()) record_allocate_locked(operation, block, bytes, alignment);
  pthread_mutex_unlock(&record.lock);
  errno = saved_errno;
}

void record_free(const void *block) {
  if (!block || !record_is_on()) return;
  int saved_errno = errno;
  pthread_mutex_lock(&record.lock);
  // Blocks from before the recording are unknown, and are none of its business.
  struct record_block *known = record_is_on() ? record_map_find(&record.map, (uintptr_t)block) : NULL;
  if (known) record_free_locked(known);
  pthread_mutex_unlock(&record.lock);
  errno = saved_errno;
}

void record_realloc_begin(void) { pthread_mutex_lock(&record.lock); }

static void record_realloc_locked(struct record_block *old, const void *new_block, size_t bytes) {
  record.live_bytes -= old->size_bytes;
  uint64_t difference = record_slot_difference_locked(old->slot);
  record_map_move(&record.map, old, (uintptr_t)new_block, bytes);
  record_count_allocation_locked(bytes);
  uint8_t size[TRACE_VARINT_BYTES_MAX];
  record_event_locked(TRACE_REALLOC, difference, size, trace_put_varint(size, bytes));
}

void record_realloc_end(const void *old_block, const void *new_block, size_t bytes) {
  int saved_errno = errno;
  // As in record_allocate_locked(): freed unseen, and its address handed out again.
  struct record_block *stale = NULL;
  if (record_is_on() && new_block && new_block != old_block)
    stale = record_map_find(&record.map, (uintptr_t)new_block);
  if (stale) record_free_locked(stale);
  struct record_block *old = NULL;
  if (record_is_on() && old_block) old = record_map_find(&record.map, (uintptr_t)old_block);
  if (record_is_on() && new_block) {
    if (old)
      record_realloc_locked(old, new_block, bytes);
    else
      record_allocate_locked(TRACE_MALLOC, new_block, bytes, 1);
  } else if (old && bytes == 0) {
    record_free_locked(old); // glibc: realloc to 0 frees and answers NULL; any other NULL is a failure
  }
  pthread_mutex_unlock(&record.lock);
  errno = saved_errno;
}
