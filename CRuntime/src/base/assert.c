#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void tri_report_arguments(const char *format, va_list arguments) {
  char line[1024];
  int head = snprintf(line, sizeof line, "tricolor: ");
  int body = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, arguments);
  size_t length = (size_t)head + (body > 0 ? (size_t)body : 0);
  if (length > sizeof line - 2) length = sizeof line - 2;
  line[length++] = '\n';
  // One write, so that lines of several threads do not mix. Nothing can be done if it fails.
  ssize_t written = write(STDERR_FILENO, line, length);
  (void)written;
}

void tri_report(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  tri_report_arguments(format, arguments);
  va_end(arguments);
}

_Noreturn void tri_fatal(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  tri_report_arguments(format, arguments);
  va_end(arguments);
  abort();
}

const char *tri_phase_name(tri_phase phase) {
  switch (phase) {
  case TRI_PHASE_OFF: return "off";
  case TRI_PHASE_MARK: return "mark";
  case TRI_PHASE_MARK_TERMINATION: return "markTermination";
  }
  return "an unknown phase";
}
