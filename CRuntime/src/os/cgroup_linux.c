#if defined(__linux__)
#include "os/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/thread.h"

enum {
  TRI_CGROUP_PATH_BYTES = 1024, // longer paths are not looked at
  TRI_CGROUP_LINE_BYTES = 4096, // longer lines are skipped: those of a group are short
};

// ---- Files ----

static char tri_cgroup_root[TRI_CGROUP_PATH_BYTES];

static int tri_cgroup_open(const char *path) {
  char full[2 * TRI_CGROUP_PATH_BYTES];
  int length = snprintf(full, sizeof full, "%s%s", tri_cgroup_root, path);
  if (length < 0 || (size_t)length >= sizeof full) return -1;
  return open(full, O_RDONLY | O_CLOEXEC);
}

static ssize_t tri_cgroup_read_some(int file, char *bytes, size_t count) {
  for (;;) {
    ssize_t got = read(file, bytes, count);
    if (got >= 0 || errno != EINTR) return got;
  }
}

typedef struct tri_line_reader {
  int file;
  size_t begin, end;
  char bytes[TRI_CGROUP_LINE_BYTES];
} tri_line_reader;

// The next line without its end, or NULL. One that does not fit comes in pieces, none of which looks like a whole one.
static char *tri_line_next(tri_line_reader *reader) {
  for (;;) {
    char *start = reader->bytes + reader->begin;
    char *newline = memchr(start, '\n', reader->end - reader->begin);
    if (newline) {
      *newline = 0;
      reader->begin = (size_t)(newline + 1 - reader->bytes);
      return start;
    }
    memmove(reader->bytes, start, reader->end - reader->begin);
    reader->end -= reader->begin;
    reader->begin = 0;
    if (reader->end == sizeof reader->bytes - 1) reader->end = 0;
    ssize_t got =
        tri_cgroup_read_some(reader->file, reader->bytes + reader->end, sizeof reader->bytes - 1 - reader->end);
    if (got <= 0) {
      if (reader->end == 0) return NULL;
      reader->bytes[reader->end] = 0; // the last line, without its end
      reader->end = 0;
      return reader->bytes;
    }
    reader->end += (size_t)got;
  }
}

// A whole small file as text; false if there is none.
static bool tri_cgroup_read_text(const char *directory, const char *name, char *text, size_t text_bytes) {
  char path[2 * TRI_CGROUP_PATH_BYTES];
  int length = snprintf(path, sizeof path, "%s/%s", directory, name);
  if (length < 0 || (size_t)length >= sizeof path) return false;
  int file = tri_cgroup_open(path);
  if (file < 0) return false;
  ssize_t got = tri_cgroup_read_some(file, text, text_bytes - 1);
  close(file);
  if (got <= 0) return false;
  text[got] = 0;
  return true;
}

// ---- Numbers ----

static const char *tri_skip_spaces(const char *text) {
  while (*text == ' ' || *text == '\t' || *text == '\n') text++;
  return text;
}

// A positive number, ended by white space or the text's end; false for anything else.
static bool tri_cgroup_number(const char **text, uint64_t *out_value) {
  const char *start = tri_skip_spaces(*text);
  if (*start < '0' || *start > '9') return false;
  errno = 0;
  char *end;
  *out_value = strtoull(start, &end, 10);
  *text = end;
  return errno == 0 && *out_value > 0 && (*end == 0 || *tri_skip_spaces(end) == 0 || tri_skip_spaces(end) != end);
}

static void tri_take_smaller(uint64_t *limit, uint64_t value) {
  if (value && (*limit == 0 || value < *limit)) *limit = value;
}

static void tri_cgroup_take_bytes(const char *directory, const char *name, uint64_t *limit) {
  char text[64];
  uint64_t bytes;
  if (!tri_cgroup_read_text(directory, name, text, sizeof text)) return;
  const char *rest = text;
  // Version 1 says "none" with the largest number of pages that it knows.
  if (tri_cgroup_number(&rest, &bytes) && *tri_skip_spaces(rest) == 0 && bytes < UINT64_C(1) << 60)
    tri_take_smaller(limit, bytes);
}

static void tri_cgroup_take_quota(uint64_t quota_us, uint64_t period_us, uint64_t *permille) {
  if (quota_us > UINT64_MAX / 1000) return;
  uint64_t share = quota_us * 1000 / period_us;
  tri_take_smaller(permille, share ? share : 1);
}

static void tri_cgroup_take_cpu_2(const char *directory, uint64_t *permille) {
  char text[64];
  uint64_t quota_us, period_us;
  if (!tri_cgroup_read_text(directory, "cpu.max", text, sizeof text)) return;
  const char *rest = text;
  if (tri_cgroup_number(&rest, &quota_us) && tri_cgroup_number(&rest, &period_us))
    tri_cgroup_take_quota(quota_us, period_us, permille);
}

static void tri_cgroup_take_cpu_1(const char *directory, uint64_t *permille) {
  char quota[64], period[64];
  uint64_t quota_us, period_us;
  if (!tri_cgroup_read_text(directory, "cpu.cfs_quota_us", quota, sizeof quota)) return;
  if (!tri_cgroup_read_text(directory, "cpu.cfs_period_us", period, sizeof period)) return;
  const char *quota_rest = quota, *period_rest = period;
  if (tri_cgroup_number(&quota_rest, &quota_us) && tri_cgroup_number(&period_rest, &period_us))
    tri_cgroup_take_quota(quota_us, period_us, permille);
}

// ---- Where this process is ----

typedef enum tri_controller { TRI_CONTROLLER_ALL, TRI_CONTROLLER_MEMORY, TRI_CONTROLLER_CPU } tri_controller;
enum { TRI_CONTROLLER_COUNT = 3 };

typedef struct tri_membership {
  bool known[TRI_CONTROLLER_COUNT];
  char path[TRI_CONTROLLER_COUNT][TRI_CGROUP_PATH_BYTES];
} tri_membership;

// Whether `word` is one of the words between commas.
static bool tri_list_has(const char *list, const char *word) {
  size_t length = strlen(word);
  for (const char *at = list; (at = strstr(at, word)); at += length)
    if ((at == list || at[-1] == ',') && (at[length] == 0 || at[length] == ',')) return true;
  return false;
}

static void tri_membership_set(tri_membership *membership, tri_controller controller, const char *path) {
  if (strlen(path) >= TRI_CGROUP_PATH_BYTES) return;
  // A group outside of what this process may see.
  bool outside = strstr(path, "/..") != NULL || path[0] != '/';
  strcpy(membership->path[controller], outside ? "/" : path);
  membership->known[controller] = true;
}

// "4:memory:/path", and for version 2 "0::/path".
static void tri_membership_read(tri_membership *membership) {
  memset(membership, 0, sizeof *membership);
  tri_line_reader reader = {.file = tri_cgroup_open("/proc/self/cgroup")};
  if (reader.file < 0) return;
  for (char *line; (line = tri_line_next(&reader));) {
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) continue;
    *controllers++ = 0;
    *path++ = 0;
    if (strcmp(line, "0") == 0 && *controllers == 0) tri_membership_set(membership, TRI_CONTROLLER_ALL, path);
    if (tri_list_has(controllers, "memory")) tri_membership_set(membership, TRI_CONTROLLER_MEMORY, path);
    if (tri_list_has(controllers, "cpu")) tri_membership_set(membership, TRI_CONTROLLER_CPU, path);
  }
  close(reader.file);
}

// ---- Where the files are ----

typedef struct tri_cgroup_mount {
  bool known, covers; // covers: the group of this process lies below `root`
  char root[TRI_CGROUP_PATH_BYTES], point[TRI_CGROUP_PATH_BYTES];
} tri_cgroup_mount;

// \040 and the like.
static bool tri_unescape(const char *text, char *out) {
  size_t length = 0;
  for (; *text; length++) {
    if (length + 1 >= TRI_CGROUP_PATH_BYTES) return false;
    bool escape = text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' && text[2] <= '7' &&
                  text[3] >= '0' && text[3] <= '7';
    out[length] = escape ? (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0')) : *text;
    text += escape ? 4 : 1;
  }
  out[length] = 0;
  return true;
}

// Whether `path` is `root` or below it; what is below.
static const char *tri_path_below(const char *root, const char *path) {
  size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
  if (strncmp(root, path, length) != 0) return NULL;
  if (path[length] != 0 && path[length] != '/') return NULL;
  return path + length;
}

// A group may be mounted several times; the first mount that covers this process counts, else the first there is.
static void tri_mount_offer(tri_cgroup_mount *mount, const char *root, const char *point, const char *path) {
  bool covers = tri_path_below(root, path) != NULL;
  if (mount->known && (mount->covers || !covers)) return;
  strcpy(mount->root, root);
  strcpy(mount->point, point);
  mount->known = true;
  mount->covers = covers;
}

// "32 31 0:29 / /sys/fs/cgroup/memory rw,relatime shared:5 - cgroup cgroup rw,memory"
static void tri_mount_line(tri_cgroup_mount *mounts, const tri_membership *membership, char *line) {
  char *separator = strstr(line, " - ");
  if (!separator) return;
  *separator = 0;
  char *fields[5], *type = separator + 3, *save = NULL;
  uint32_t count = 0;
  for (char *word = strtok_r(line, " ", &save); word && count < 5; word = strtok_r(NULL, " ", &save))
    fields[count++] = word;
  char *kind = strtok_r(type, " ", &save), *source = kind ? strtok_r(NULL, " ", &save) : NULL;
  const char *options = source ? strtok_r(NULL, " ", &save) : NULL;
  char root[TRI_CGROUP_PATH_BYTES], point[TRI_CGROUP_PATH_BYTES];
  if (count < 5 || !options || !tri_unescape(fields[3], root) || !tri_unescape(fields[4], point)) return;
  if (strcmp(kind, "cgroup2") == 0 && membership->known[TRI_CONTROLLER_ALL])
    tri_mount_offer(&mounts[TRI_CONTROLLER_ALL], root, point, membership->path[TRI_CONTROLLER_ALL]);
  if (strcmp(kind, "cgroup") != 0) return;
  if (tri_list_has(options, "memory") && membership->known[TRI_CONTROLLER_MEMORY])
    tri_mount_offer(&mounts[TRI_CONTROLLER_MEMORY], root, point, membership->path[TRI_CONTROLLER_MEMORY]);
  if (tri_list_has(options, "cpu") && membership->known[TRI_CONTROLLER_CPU])
    tri_mount_offer(&mounts[TRI_CONTROLLER_CPU], root, point, membership->path[TRI_CONTROLLER_CPU]);
}

// ---- From the group up to the root ----

static void tri_cgroup_take(tri_controller controller, const char *directory, tri_cgroup_limits *limits) {
  if (controller == TRI_CONTROLLER_ALL) {
    tri_cgroup_take_bytes(directory, "memory.max", &limits->memory_bytes);
    tri_cgroup_take_bytes(directory, "memory.high", &limits->memory_bytes);
    tri_cgroup_take_cpu_2(directory, &limits->cpu_permille);
  } else if (controller == TRI_CONTROLLER_MEMORY) {
    tri_cgroup_take_bytes(directory, "memory.limit_in_bytes", &limits->memory_bytes);
  } else {
    tri_cgroup_take_cpu_1(directory, &limits->cpu_permille);
  }
}

static void tri_cgroup_walk(tri_controller controller, const tri_cgroup_mount *mount, const char *path,
                            tri_cgroup_limits *limits) {
  char directory[2 * TRI_CGROUP_PATH_BYTES];
  const char *below = mount->covers ? tri_path_below(mount->root, path) : "";
  size_t top = strlen(mount->point);
  size_t end = (size_t)snprintf(directory, sizeof directory, "%s%s", mount->point, below);
  for (;;) {
    tri_cgroup_take(controller, directory, limits);
    while (end > top && directory[end - 1] != '/') end--;
    if (end <= top) return;
    directory[--end] = 0;
  }
}

static tri_cgroup_limits tri_cgroup_read_now(void) {
  tri_cgroup_limits limits = {0, 0};
  tri_membership membership;
  tri_cgroup_mount mounts[TRI_CONTROLLER_COUNT];
  memset(mounts, 0, sizeof mounts);
  tri_membership_read(&membership);
  tri_line_reader reader = {.file = tri_cgroup_open("/proc/self/mountinfo")};
  if (reader.file < 0) return limits;
  for (char *line; (line = tri_line_next(&reader));) tri_mount_line(mounts, &membership, line);
  close(reader.file);
  for (uint32_t controller = 0; controller < TRI_CONTROLLER_COUNT; controller++)
    if (mounts[controller].known)
      tri_cgroup_walk((tri_controller)controller, &mounts[controller], membership.path[controller], &limits);
  return limits;
}

// ---- What was read last ----

// Of the whole process, as the limits are: a program may make thousands of heaps.
static struct {
  pthread_mutex_t lock;
  uint64_t read_ns; // 0: never
  tri_cgroup_limits limits;
} tri_cgroup_last = {.lock = PTHREAD_MUTEX_INITIALIZER};

tri_cgroup_limits tri_cgroup_read(uint64_t age_ns) {
  // In a forked child the lock may be held by a thread that is not there any more: nobody waits for it.
  if (pthread_mutex_trylock(&tri_cgroup_last.lock) != 0) return tri_cgroup_read_now();
  uint64_t now_ns = tri_clock_ns();
  if (tri_cgroup_last.read_ns == 0 || now_ns - tri_cgroup_last.read_ns >= age_ns) {
    tri_cgroup_last.limits = tri_cgroup_read_now();
    tri_cgroup_last.read_ns = now_ns;
  }
  tri_cgroup_limits limits = tri_cgroup_last.limits;
  pthread_mutex_unlock(&tri_cgroup_last.lock);
  return limits;
}

void tri_cgroup_root_testing(const char *root) {
  pthread_mutex_lock(&tri_cgroup_last.lock);
  snprintf(tri_cgroup_root, sizeof tri_cgroup_root, "%s", root ? root : "");
  tri_cgroup_last.read_ns = 0;
  pthread_mutex_unlock(&tri_cgroup_last.lock);
}
#endif
