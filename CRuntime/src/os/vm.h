// Address space: reserved -> committed -> released, and the only door to mmap.
//
// Every call answers false or NULL when the system refuses; nothing here reports or aborts. Tests make the
// next calls fail with tri_vm_refuse_testing().
#ifndef TRI_OS_VM_H
#define TRI_OS_VM_H

#include "base/config.h"

/// Address space without memory, aligned to a power of two. NULL when refused.
void *tri_vm_reserve(size_t bytes, size_t alignment);
/// Makes reserved pages usable; they read as zero until written. Memory comes on first touch.
bool tri_vm_commit(void *start, size_t bytes);
/// Gives the memory of committed pages back; they stay usable and read as zero.
bool tri_vm_discard(void *start, size_t bytes);
/// Usable zero pages in one step, for the collector's own data. NULL when refused.
void *tri_vm_map(size_t bytes);
/// Ends a reservation or a mapping.
void tri_vm_release(void *start, size_t bytes);
/// The same where memory is to go back and nobody needs the zeros: tests may have it refused.
bool tri_vm_give_back(void *start, size_t bytes);
/// Asks for, or against, huge pages. A wish: no answer.
void tri_vm_wish_huge_pages(void *start, size_t bytes, bool wanted);
/// Physical memory of the machine; 0 if unknown.
uint64_t tri_vm_physical_bytes(void);

/// The next `count` calls that ask for memory are refused, after `skip` that are not. Tests only.
void tri_vm_refuse_testing(uint32_t skip, uint32_t count);
/// The same for tri_vm_give_back().
void tri_vm_refuse_give_back_testing(uint32_t skip, uint32_t count);

#endif
