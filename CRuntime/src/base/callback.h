// Callback: whether this thread runs a function of the embedder's from inside the collector.
//
// Counted where such a function is called outside of a cycle of this thread's own: marking and sweeping on behalf of
// others, explicit free, closing a heap. Hooks run in cycles, which have an owner. Asked by fork.
#ifndef TRI_BASE_CALLBACK_H
#define TRI_BASE_CALLBACK_H

#include <stdint.h>

extern __thread uint32_t tri_thread_in_callback __attribute__((tls_model("initial-exec")));

#define tri_callback_begin() ((void)tri_thread_in_callback++)
#define tri_callback_end() ((void)tri_thread_in_callback--)

#endif
