// Verify: the invariants of the headers, as code, over the whole heap.
//
// Page runs and counts; spans and maps; A bits only at slot starts and never on free pages; M within A; slots in
// windows allocated, in one window only; and after a complete mark no black object with a white reference.
// Callers     the world is stopped. Traps with a sentence. Cost: a walk of everything.
#ifndef TRI_HEAP_VERIFY_H
#define TRI_HEAP_VERIFY_H

#include "heap/heap.h"

void tri_verify(tri_heap *heap);

#endif
