// Checkmark (S10): a second, simple mark with its own bits, after a concurrent one and before the barrier goes off.
//
// A miss reached from precise roots is fatal and prints object, referrer and slot; one reached only through
// conservative words (a stale word that appeared after its stack was scanned) is counted.
// Callers     the stop of mark termination. Cost: a depth-first mark of the whole heap, for tests and hunts.
#ifndef TRI_HEAP_CHECKMARK_H
#define TRI_HEAP_CHECKMARK_H

#include "heap/heap.h"

void tri_checkmark(tri_heap *heap);

#endif
