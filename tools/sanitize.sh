#!/bin/sh
# Sanitizer runs. Conservative stack scanning reads other frames on purpose and is exempt from instrumentation; address
# runs keep frames on the real stack, where the scanner looks.
# usage: tools/sanitize.sh [seconds for each]
cd "$(dirname "$0")/.." || exit 1
. tools/steps.sh
seconds=${1:-60}
export SWIFT_BACKTRACE=enable=no

run() { # name, build flags...
  name=$1
  shift
  swift build --product tricolor-soak --scratch-path ".build-$name" "$@" >/dev/null || return 1
  log=".build-$name/soak.log"
  timeout -s KILL 1200 ".build-$name/debug/tricolor-soak" "$seconds" 1 >"$log" 2>&1 || {
    tail -n 80 "$log"
    return 1
  }
  tail -n 1 "$log"
}
address() {
  ASAN_OPTIONS=detect_stack_use_after_return=0:detect_leaks=0 run address --sanitize=address
}
thread() {
  TSAN_OPTIONS=halt_on_error=1:suppressions=$PWD/tools/tsan.supp run thread --sanitize=thread
}
undefined() {
  run undefined -Xcc -fsanitize=undefined -Xcc -fsanitize-trap=undefined
}
step "address" address
step "undefined" undefined
step "thread" thread
finish
