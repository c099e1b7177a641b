// Options: one table, read once when a heap is made.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "heap/limits.h"
#include "tricolor_runtime.h"

void tri_options_init(tri_options *options) {
  memset(options, 0, sizeof *options);
  options->struct_bytes = sizeof *options;
  options->growth_percent = 100;
  options->minimum_heap_bytes = 4 << 20;
  options->soft_limit_bytes = TRI_SOFT_LIMIT_AUTOMATIC;
  options->assist_ns_max = 200000;
  options->periodic_cycle_ms = 120000;
  options->tag_value = 0;
  options->scavenge_after_ms = 2000;
  options->read_environment = 1;
}

// A non-negative decimal number that fills the whole text.
static bool tri_parse_number(const char *text, const char **out_rest, uint64_t *out_value) {
  if (*text < '0' || *text > '9') return false;
  errno = 0;
  char *rest;
  unsigned long long value = strtoull(text, &rest, 10);
  *out_rest = rest;
  *out_value = value;
  return errno == 0;
}

static bool tri_parse_bytes(const char *text, uint64_t *out_bytes) {
  static const struct {
    const char *suffix;
    uint32_t shift;
  } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
  const char *rest;
  uint64_t value;
  if (!tri_parse_number(text, &rest, &value)) return false;
  for (size_t unit = 0; unit < sizeof units / sizeof *units; unit++) {
    if (strcmp(rest, units[unit].suffix) != 0) continue;
    if (value > UINT64_MAX >> units[unit].shift) return false;
    *out_bytes = value << units[unit].shift;
    return true;
  }
  return false;
}

static bool tri_growth_is_valid(uint64_t percent) {
  return percent == TRI_GROWTH_OFF || (percent >= 25 && percent <= 100000);
}

static bool tri_set_growth(tri_options *options, const char *text) {
  const char *rest;
  uint64_t percent;
  if (strcmp(text, "off") == 0) {
    options->growth_percent = TRI_GROWTH_OFF;
    return true;
  }
  if (!tri_parse_number(text, &rest, &percent) || *rest || percent > 100000 || !tri_growth_is_valid(percent))
    return false;
  options->growth_percent = (uint32_t)percent;
  return true;
}

static bool tri_set_limit(tri_options *options, const char *text) {
  if (strcmp(text, "off") == 0) {
    options->limit_bytes = 0;
    return true;
  }
  uint64_t bytes;
  if (!tri_parse_bytes(text, &bytes) || bytes == 0) return false;
  options->limit_bytes = bytes;
  return true;
}

static bool tri_set_soft_limit(tri_options *options, const char *text) {
  uint64_t bytes = TRI_SOFT_LIMIT_AUTOMATIC;
  if (strcmp(text, "off") == 0)
    bytes = TRI_SOFT_LIMIT_OFF;
  else if (strcmp(text, "auto") != 0 && (!tri_parse_bytes(text, &bytes) || bytes == 0))
    return false;
  options->soft_limit_bytes = bytes;
  return true;
}

static bool tri_set_small(uint32_t *field, const char *text, uint32_t max) {
  const char *rest;
  uint64_t value;
  if (!tri_parse_number(text, &rest, &value) || *rest || value > max) return false;
  *field = (uint32_t)value;
  return true;
}

enum { TRI_POLICIES = 3 };
static const char *const tri_generations_names[TRI_POLICIES] = {"auto", "off", "always"};
static const char *const tri_huge_pages_names[TRI_POLICIES] = {"auto", "always", "off"};

// What stands where the text does; TRI_POLICIES if it is nowhere.
static uint32_t tri_policy_named(const char *const names[TRI_POLICIES], const char *text) {
  uint32_t policy = 0;
  while (policy < TRI_POLICIES && strcmp(text, names[policy]) != 0) policy++;
  return policy;
}

static bool tri_set_generations(tri_generations *field, const char *text) {
  uint32_t policy = tri_policy_named(tri_generations_names, text);
  if (policy < TRI_POLICIES) *field = (tri_generations)policy;
  return policy < TRI_POLICIES;
}

static bool tri_set_huge_pages(uint32_t *field, const char *text) {
  uint32_t policy = tri_policy_named(tri_huge_pages_names, text);
  if (policy < TRI_POLICIES) *field = policy;
  return policy < TRI_POLICIES;
}

static bool tri_set_scavenge(uint32_t *field, const char *text) {
  if (strcmp(text, "off") == 0) {
    *field = 0;
    return true;
  }
  return tri_set_small(field, text, UINT32_MAX);
}

tri_status tri_options_set(tri_options *options, const char *name, const char *value) {
  bool understood = false;
  if (strcmp(name, "GC") == 0) understood = tri_set_growth(options, value);
  if (strcmp(name, "LIMIT") == 0) understood = tri_set_limit(options, value);
  if (strcmp(name, "SOFT_LIMIT") == 0) understood = tri_set_soft_limit(options, value);
  if (strcmp(name, "TRACE") == 0) understood = tri_set_small(&options->trace, value, 2);
  if (strcmp(name, "CHECKMARK") == 0) understood = tri_set_small(&options->checkmark, value, 1);
  if (strcmp(name, "VERIFY") == 0) understood = tri_set_small(&options->verify, value, 1);
  if (strcmp(name, "STRESS") == 0) understood = tri_set_small(&options->stress_interval, value, UINT32_MAX);
  if (strcmp(name, "GENERATIONS") == 0) understood = tri_set_generations(&options->generations, value);
  if (strcmp(name, "HUGE_PAGES") == 0) understood = tri_set_huge_pages(&options->huge_pages, value);
  if (strcmp(name, "SCAVENGE") == 0) understood = tri_set_scavenge(&options->scavenge_after_ms, value);
  return understood ? TRI_OK : TRI_BAD_OPTIONS;
}

static const struct {
  const char *variable, *name, *expected;
} tri_environment[] = {
    {"TRICOLOR_GC", "GC", "a percentage from 25 to 100000, or off"},
    {"TRICOLOR_LIMIT", "LIMIT", "bytes, as 512MiB or 2GiB, or off"},
    {"TRICOLOR_SOFT_LIMIT", "SOFT_LIMIT", "bytes, as 512MiB or 2GiB, auto, or off"},
    {"TRICOLOR_TRACE", "TRACE", "0, 1 or 2"},
    {"TRICOLOR_CHECKMARK", "CHECKMARK", "0 or 1"},
    {"TRICOLOR_VERIFY", "VERIFY", "0 or 1"},
    {"TRICOLOR_GENERATIONS", "GENERATIONS", "auto, off or always"},
    {"TRICOLOR_HUGE_PAGES", "HUGE_PAGES", "auto, always or off"},
    {"TRICOLOR_SCAVENGE", "SCAVENGE", "milliseconds, 0 or off for never"},
    {"TRICOLOR_STRESS", "STRESS", "a number of slow-path allocations, 0 for off"},
};

static tri_status tri_options_read_environment(tri_options *options) {
  for (size_t index = 0; index < sizeof tri_environment / sizeof *tri_environment; index++) {
    const char *value = getenv(tri_environment[index].variable);
    if (!value || tri_options_set(options, tri_environment[index].name, value) == TRI_OK) continue;
    tri_report("%s=%s is not understood: expected %s", tri_environment[index].variable, value,
               tri_environment[index].expected);
    return TRI_BAD_OPTIONS;
  }
  return TRI_OK;
}

// The same for the setter (heap/limits.h).
const char *tri_limits_complaint(uint64_t soft_limit_bytes, uint64_t limit_bytes) {
  bool number = soft_limit_bytes != TRI_SOFT_LIMIT_AUTOMATIC && soft_limit_bytes != TRI_SOFT_LIMIT_OFF;
  if (number && limit_bytes && soft_limit_bytes > limit_bytes) return "soft_limit_bytes is above limit_bytes";
  return NULL;
}

static const char *tri_options_complaint(const tri_options *options) {
  if (!tri_growth_is_valid(options->growth_percent)) return "growth_percent is neither 25...100000 nor off";
  if ((uint32_t)options->barrier > TRI_BARRIER_STOP_THE_WORLD) return "barrier is not a known policy";
  if ((uint32_t)options->generations > TRI_GENERATIONS_ALWAYS) return "generations is not a known policy";
  if (options->huge_pages > TRI_HUGE_PAGES_OFF) return "huge_pages is not a known policy";
  if (options->trace > 2) return "trace is 0, 1 or 2";
  if (options->checkmark > 1 || options->verify > 1 || options->manual_cleanups > 1)
    return "a switch is neither 0 nor 1";
  if (options->tag_value & ~options->tag_mask) return "tag_value has bits outside tag_mask, so no word could match";
  if (options->tag_mask && options->tag_value == 0) return "tag_value 0 would make every reference an immediate";
  if (options->assist_ns_max < 1000 || options->assist_ns_max > 1000000000)
    return "assist_ns_max is not 1000...1000000000";
  if (options->periodic_cycle_ms > UINT64_C(366) * 24 * 3600 * 1000) return "periodic_cycle_ms is more than a year";
  const char *limits = tri_limits_complaint(options->soft_limit_bytes, options->limit_bytes);
  if (limits) return limits;
  if (options->reservation_bytes > UINT64_C(1) << 46) return "reservation_bytes exceeds the address space";
  return NULL;
}

tri_status tri_options_resolve(const tri_options *given, tri_options *out_options) {
  tri_options options;
  tri_options_init(&options);
  if (given) {
    if (given->struct_bytes != sizeof options) {
      tri_report("options of %u bytes, expected %zu: use tri_options_init()", given->struct_bytes, sizeof options);
      return TRI_BAD_OPTIONS;
    }
    options = *given;
  }
  tri_status status = options.read_environment ? tri_options_read_environment(&options) : TRI_OK;
  if (status != TRI_OK) return status;
  const char *complaint = tri_options_complaint(&options);
  if (complaint) {
    tri_report("options: %s", complaint);
    return TRI_BAD_OPTIONS;
  }
  *out_options = options;
  return TRI_OK;
}

const char *tri_status_text(tri_status status) {
  switch (status) {
  case TRI_OK: return "done";
  case TRI_OUT_OF_MEMORY: return "the system refused memory";
  case TRI_LIMIT_REACHED: return "the heap's limit or reservation is full";
  case TRI_TOO_LARGE: return "the size is larger than any object may be";
  case TRI_BAD_ALIGNMENT: return "the alignment is no power of two, or too large";
  case TRI_BAD_LAYOUT: return "the layout contradicts itself or the size";
  case TRI_BAD_OPTIONS: return "an option is not understood";
  case TRI_TOO_MANY_LAYOUTS: return "the heap has too many layouts and sizes";
  case TRI_ALREADY_ATTACHED: return "this thread is attached to this heap already";
  case TRI_NOT_ATTACHED: return "this thread is not attached to this heap";
  case TRI_SCOPE_OPEN: return "a handle scope or blocking region is still open";
  case TRI_MUTATORS_ATTACHED: return "mutators are still attached to the heap";
  case TRI_NOT_FOUND: return "it was never added";
  case TRI_STACK_OVERLAPS: return "the stack overlaps one that is known already";
  case TRI_THREAD_REFUSED: return "the system refused a thread";
  }
  return "unknown status";
}
