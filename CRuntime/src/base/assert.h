// Assertions: three kinds, one report.
//
// TRI_ASSERT   debug builds only: what this file's own logic promises.
// TRI_CHECK    always: cheap, and guards against corruption or misuse. The sentence is for the embedder.
// tri_fatal    the report itself: prints the sentence to standard error and aborts. From C, because Swift's
//              precondition prints nothing in release builds.
#ifndef TRI_BASE_ASSERT_H
#define TRI_BASE_ASSERT_H

#include "base/config.h"

_Noreturn void tri_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), cold, noinline));
/// One line on standard error, beginning "tricolor: "; allocates nothing.
void tri_report(const char *format, ...) __attribute__((format(printf, 1, 2), cold, noinline));

#define TRI_CHECK(condition, ...)                                                                                      \
  do {                                                                                                                 \
    if (__builtin_expect(!(condition), 0)) tri_fatal(__VA_ARGS__);                                                     \
  } while (0)

#define TRI_ASSERT(condition)                                                                                          \
  do {                                                                                                                 \
    if (TRI_CHECKS && __builtin_expect(!(condition), 0))                                                               \
      tri_fatal("%s:%d: assertion failed: %s", __FILE__, __LINE__, #condition);                                        \
  } while (0)

const char *tri_phase_name(tri_phase phase);

#endif
