// Registry: the process's table of reservations, the only data that heaps share.
//
// Callers     heap creation and destruction; checked builds, to tell a reference into another heap from a foreign word.
//             Fast paths know their heap and never look here.
#ifndef TRI_SPACE_REGISTRY_H
#define TRI_SPACE_REGISTRY_H

#include "base/config.h"

/// false when memory for the table is refused.
bool tri_registry_add(uintptr_t start, uint64_t bytes);
void tri_registry_remove(uintptr_t start);
/// The start of the heap that an address lies in; 0 if it lies in none.
uintptr_t tri_registry_find(uintptr_t address);

#endif
