#if defined(__linux__)
#include "os/vm.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/bits.h"

typedef struct tri_vm_refusals {
  uint32_t skip, count; // [atomic]
} tri_vm_refusals;
static tri_vm_refusals tri_refuse_memory, tri_refuse_give_back;

static void tri_vm_set_refusals(tri_vm_refusals *refusals, uint32_t skip, uint32_t count) {
  tri_store_relaxed(&refusals->skip, skip);
  tri_store_relaxed(&refusals->count, count);
}
void tri_vm_refuse_testing(uint32_t skip, uint32_t count) {
  tri_vm_set_refusals(&tri_refuse_memory, skip, count);
}
void tri_vm_refuse_give_back_testing(uint32_t skip, uint32_t count) {
  tri_vm_set_refusals(&tri_refuse_give_back, skip, count);
}

static bool tri_vm_is_refused(tri_vm_refusals *refusals) {
  if (!TRI_STEPS || tri_load_relaxed(&refusals->count) == 0) return false;
  if (tri_load_relaxed(&refusals->skip) != 0) {
    tri_subtract_relaxed(&refusals->skip, 1u);
    return false;
  }
  tri_subtract_relaxed(&refusals->count, 1u);
  return true;
}
static bool tri_vm_refused(void) {
  return tri_vm_is_refused(&tri_refuse_memory);
}

void *tri_vm_reserve(size_t bytes, size_t alignment) {
  if (tri_vm_refused()) return NULL;
  size_t span = bytes + alignment;
  char *start = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return NULL;
  char *aligned = (char *)tri_align_up((uintptr_t)start, alignment);
  size_t before = (size_t)(aligned - start), after = span - before - bytes;
  if (before) munmap(start, before);
  if (after) munmap(aligned + bytes, after);
  return aligned;
}

bool tri_vm_commit(void *start, size_t bytes) {
  if (bytes == 0) return true;
  if (tri_vm_refused()) return false;
  return mprotect(start, bytes, PROT_READ | PROT_WRITE) == 0;
}

bool tri_vm_discard(void *start, size_t bytes) {
  return madvise(start, bytes, MADV_DONTNEED) == 0;
}

// MADV_FREE would cost a third and leave the pages counted as this process's until the system is short of memory: who
// watches resident memory, a container's limit among them, would see nothing come back.
bool tri_vm_give_back(void *start, size_t bytes) {
  return !tri_vm_is_refused(&tri_refuse_give_back) && tri_vm_discard(start, bytes);
}

void *tri_vm_map(size_t bytes) {
  if (tri_vm_refused()) return NULL;
  void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return start == MAP_FAILED ? NULL : start;
}

void tri_vm_release(void *start, size_t bytes) {
  munmap(start, bytes);
}

void tri_vm_wish_huge_pages(void *start, size_t bytes, bool wanted) {
  // A kernel without huge pages answers EINVAL, which is the same as a wish not granted.
  madvise(start, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

uint64_t tri_vm_physical_bytes(void) {
  long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
}
#endif
