// Stores: the slow half of the write barrier, and bulk stores.
//
// Which values a store shades follows from the mutator's barrier state and the colour of its stack (the invariant
// is in collect/barrier.h). There is no safepoint between recording and storing.
#ifndef TRI_MUTATOR_STORE_H
#define TRI_MUTATOR_STORE_H

#include "mutator/mutator.h"
#include "tricolor_api.h"

#endif
