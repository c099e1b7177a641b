#include "base/callback.h"

__thread uint32_t tri_thread_in_callback;
