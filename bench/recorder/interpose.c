// The malloc family, interposed: forward to the next allocator, tell the recording. Loaded by LD_PRELOAD.
//
// Invariants  a call before the next allocator is known (dlsym itself allocates) is served from a small
//             buffer that is never freed; no function here calls another one of the family by its name.
// Not here    malloc_usable_size, which stays the next allocator's own; what an event looks like (record.c).
#include <dlfcn.h>
#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "record.h"

#define INTERPOSE_EXPORT __attribute__((visibility("default")))

// Declared here instead of in stdlib.h and malloc.h, whose attributes (alloc_size, nonnull) let compilers
// assume things about the very functions defined here.
INTERPOSE_EXPORT void *malloc(size_t bytes);
INTERPOSE_EXPORT void *calloc(size_t count, size_t element_bytes);
INTERPOSE_EXPORT void *realloc(void *block, size_t bytes);
INTERPOSE_EXPORT void free(void *block);
INTERPOSE_EXPORT int posix_memalign(void **out, size_t alignment, size_t bytes);
INTERPOSE_EXPORT void *aligned_alloc(size_t alignment, size_t bytes);
INTERPOSE_EXPORT void *memalign(size_t alignment, size_t bytes);
INTERPOSE_EXPORT void *valloc(size_t bytes);
INTERPOSE_EXPORT void *pvalloc(size_t bytes);
INTERPOSE_EXPORT void _exit(int status) __attribute__((noreturn));
INTERPOSE_EXPORT void _Exit(int status) __attribute__((noreturn));

static struct {
  void *(*malloc)(size_t);
  void *(*calloc)(size_t, size_t);
  void *(*realloc)(void *, size_t);
  void (*free)(void *);
  int (*posix_memalign)(void **, size_t, size_t);
  void *(*aligned_alloc)(size_t, size_t);
  void *(*memalign)(size_t, size_t);
  void *(*valloc)(size_t);
  void *(*pvalloc)(size_t);
  bool resolving;
  bool resolved;
} next;

// MARK: Before the next allocator is known

enum {
  // glibc's dlsym asks for a few dozen bytes at most; other libcs for less than 4 KiB.
  INTERPOSE_BOOTSTRAP_BYTES = 16384,
};
static alignas(16) char interpose_bootstrap[INTERPOSE_BOOTSTRAP_BYTES];
static size_t interpose_bootstrap_used;

static void *interpose_bootstrap_allocate(size_t bytes) {
  size_t rounded = (bytes + 15) & ~(size_t)15;
  if (rounded < bytes || rounded > sizeof interpose_bootstrap - interpose_bootstrap_used) return NULL;
  void *block = interpose_bootstrap + interpose_bootstrap_used;
  interpose_bootstrap_used += rounded;
  return block; // zero: it is never reused
}

static bool interpose_is_bootstrap(const void *block) {
  return (uintptr_t)block - (uintptr_t)interpose_bootstrap < sizeof interpose_bootstrap;
}

static void interpose_find(void *function, const char *name) {
  // A function pointer through memcpy: ISO C has no conversion from what dlsym answers.
  void *address = dlsym(RTLD_NEXT, name);
  memcpy(function, &address, sizeof address);
}

/// True once the next allocator is known. The first call comes before there is a second thread.
static bool interpose_ready(void) {
  if (__builtin_expect(next.resolved, 1)) return true;
  if (next.resolving) return false;
  next.resolving = true;
  interpose_find(&next.malloc, "malloc");
  interpose_find(&next.calloc, "calloc");
  interpose_find(&next.realloc, "realloc");
  interpose_find(&next.free, "free");
  interpose_find(&next.posix_memalign, "posix_memalign");
  interpose_find(&next.aligned_alloc, "aligned_alloc");
  interpose_find(&next.memalign, "memalign");
  interpose_find(&next.valloc, "valloc");
  interpose_find(&next.pvalloc, "pvalloc");
  next.resolved = true;
  record_start();
  return true;
}

// MARK: The family

void *malloc(size_t bytes) {
  if (!interpose_ready()) return interpose_bootstrap_allocate(bytes);
  void *block = next.malloc(bytes);
  record_allocate(TRACE_MALLOC, block, bytes, 1);
  return block;
}

void *calloc(size_t count, size_t element_bytes) {
  if (!interpose_ready()) {
    size_t bytes;
    return __builtin_mul_overflow(count, element_bytes, &bytes) ? NULL : interpose_bootstrap_allocate(bytes);
  }
  void *block = next.calloc(count, element_bytes);
  record_allocate(TRACE_CALLOC, block, count * element_bytes, 1); // no overflow, or block is NULL
  return block;
}

void free(void *block) {
  if (!block || interpose_is_bootstrap(block) || !interpose_ready()) return;
  record_free(block);
  next.free(block);
}

void *realloc(void *block, size_t bytes) {
  if (interpose_is_bootstrap(block)) {
    void *moved = malloc(bytes);
    // How long the old block was is not known: copy up to the end of the buffer, more than enough.
    size_t rest = sizeof interpose_bootstrap - (size_t)((char *)block - interpose_bootstrap);
    if (moved) memcpy(moved, block, bytes < rest ? bytes : rest);
    return moved;
  }
  if (!interpose_ready()) return interpose_bootstrap_allocate(bytes);
  if (!record_is_on()) return next.realloc(block, bytes);
  record_realloc_begin();
  void *moved = next.realloc(block, bytes);
  record_realloc_end(block, moved, bytes);
  return moved;
}

int posix_memalign(void **out, size_t alignment, size_t bytes) {
  if (!interpose_ready()) return ENOMEM;
  int error = next.posix_memalign(out, alignment, bytes);
  if (!error) record_allocate(TRACE_ALIGNED, *out, bytes, alignment);
  return error;
}

void *aligned_alloc(size_t alignment, size_t bytes) {
  if (!interpose_ready()) return NULL;
  void *block = next.aligned_alloc(alignment, bytes);
  record_allocate(TRACE_ALIGNED, block, bytes, alignment);
  return block;
}

void *memalign(size_t alignment, size_t bytes) {
  if (!interpose_ready()) return NULL;
  void *block = next.memalign(alignment, bytes);
  record_allocate(TRACE_ALIGNED, block, bytes, alignment);
  return block;
}

void *valloc(size_t bytes) {
  if (!interpose_ready() || !next.valloc) return NULL;
  void *block = next.valloc(bytes);
  record_allocate(TRACE_ALIGNED, block, bytes, (size_t)getpagesize());
  return block;
}

void *pvalloc(size_t bytes) {
  if (!interpose_ready() || !next.pvalloc) return NULL;
  void *block = next.pvalloc(bytes);
  record_allocate(TRACE_ALIGNED, block, bytes, (size_t)getpagesize());
  return block;
}

// MARK: Ends without destructors

void _exit(int status) {
  record_finish();
  for (;;)
    syscall(SYS_exit_group, status);
}

void _Exit(int status) { _exit(status); }
