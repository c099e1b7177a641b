// Ephemerons while marking: a value is reached when its key is.
//
// Markers know nothing of them. When nothing is grey, all ephemerons are looked at, and the values of marked keys are
// shaded; until that shades nothing. Chains (a value leads to the next key) would take a round for each link: after a
// few rounds what was shaded is marked the slow way, which looks for the ephemerons of every object it reaches, so that
// a chain is followed to its end in one round.
//
// Invariants  marking is complete only if no object was marked since all ephemerons were looked at last
//             (tri_ephemerons_are_settled). A mark that comes later is counted: by who shaded it, before it lets go of
//             the world. So the final stop compares two numbers, and looks only where they differ.
//             An ephemeron made, and a value set, after that look have their value recorded by the barrier.
// Callers     the thread that holds the cycle lock.
// Not here    the records (ties.h), what loads do (mutator/tied.h).
#ifndef TRI_COLLECT_EPHEMERONS_H
#define TRI_COLLECT_EPHEMERONS_H

#include "collect/shade.h"

/// Phases mark and markTermination: shades the values of all marked keys. True if any was white; what is grey then is
/// in the shared queue.
bool tri_ephemerons_shade(tri_collect *collect);
/// Marks what is in the shared queue, following the ephemerons of whatever it reaches. Slower than a marker.
void tri_ephemerons_trace(tri_collect *collect);
/// Nothing was marked since the last tri_ephemerons_shade(), or there are no ephemerons.
bool tri_ephemerons_are_settled(const tri_collect *collect);
/// A cycle's count of marked objects begins anew.
void tri_ephemerons_forget(tri_collect *collect);

/// Hands over every ephemeron whose key has not ended. Under the lock, a block at a time.
void tri_ephemerons_each(tri_collect *collect, void (*each)(void *context, uintptr_t key, uintptr_t value),
                         void *context);

#endif
