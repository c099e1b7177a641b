#!/bin/sh
# Formatting, and the C sources without a warning under clang and gcc.
cd "$(dirname "$0")/.." || exit 1
. tools/steps.sh
tools/install-tools.sh --optional clang-format gcc

warnings() { # compiler
  command -v "$1" >/dev/null 2>&1 || {
    echo "$1 is not installed: skipped"
    return 0
  }
  out=$(find CRuntime/src -name '*.c' -exec "$1" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wundef -Wconversion -Werror \
    -ICRuntime/include -ICRuntime/src -fsyntax-only {} \; 2>&1)
  [ -z "$out" ] || {
    printf '%s\n' "$out"
    return 1
  }
}
c_format() {
  command -v clang-format >/dev/null 2>&1 || {
    echo "clang-format is not installed: skipped"
    return 0
  }
  find CRuntime Tests/Support -name '*.[ch]' -exec clang-format --dry-run -Werror {} +
}
step "clang warnings" warnings clang
step "gcc warnings" warnings gcc
step "clang-format" c_format
step "swift format" swift format lint --strict -r Package.swift Sources Tests Extras
finish
