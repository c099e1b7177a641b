#!/bin/sh
# Records the allocations of a program into a compressed trace that bench/programs/replay.c plays back.
#
#   record.sh [--force] OUT.trc.gz -- COMMAND [ARGUMENT...]
#
# Environment, all optional:
#   TRICOLOR_TRACE_PROGRAM  record the first process of this name that COMMAND starts (or is), not COMMAND
#                           itself: TRICOLOR_TRACE_PROGRAM=cc1 record.sh cc.trc.gz -- gcc -c file.c
#   TRICOLOR_TRACE_LIMIT    stop recording after this many events; the program runs on
#   CC                      compiler for building the recorder the first time (default cc)
#
# Exit code: 0 recorded; 1 nothing recorded, or not a whole trace; 2 wrong use.
set -eu

say() { printf 'record.sh: %s\n' "$*" >&2; }
usage() {
  say "usage: record.sh [--force] OUT.trc.gz -- COMMAND [ARGUMENT...]"
  exit 2
}

force=no
if [ "${1-}" = --force ]; then
  force=yes
  shift
fi
[ $# -ge 3 ] && [ "$2" = -- ] || usage
out=$1
shift 2

case $out in
  *.trc.gz) ;;
  *) say "the trace's name must end in .trc.gz: $out"; exit 2 ;;
esac
if [ -e "$out" ] && [ $force = no ]; then
  say "$out exists; --force overwrites it"
  exit 2
fi
if [ ! -d "$(dirname -- "$out")" ]; then
  say "no such directory: $(dirname -- "$out")"
  exit 2
fi
if ! command -v -- "$1" >/dev/null 2>&1; then
  say "program not found: $1"
  exit 2
fi
case ${TRICOLOR_TRACE_LIMIT-0} in
  *[!0-9]*) say "TRICOLOR_TRACE_LIMIT is not a number: $TRICOLOR_TRACE_LIMIT"; exit 2 ;;
esac

here=$(cd "$(dirname -- "$0")" && pwd)
make -s -C "$here" CC="${CC:-cc}" OUT=.out >&2 || { say "cannot build the recorder"; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
trace=$scratch/trace

# By name, so that a wrapper (a shell script that ends in exec, a compiler driver) is not recorded instead.
TRICOLOR_TRACE_PROGRAM=${TRICOLOR_TRACE_PROGRAM:-$(basename -- "$1")}
status=0
env LD_PRELOAD="$here/.out/librecord.so${LD_PRELOAD:+:$LD_PRELOAD}" TRICOLOR_TRACE_FILE="$trace" \
  TRICOLOR_TRACE_PROGRAM="$TRICOLOR_TRACE_PROGRAM" "$@" || status=$?
[ $status = 0 ] || say "warning: $1 ended with exit code $status"

if [ ! -e "$trace" ]; then
  say "nothing recorded: no process named $TRICOLOR_TRACE_PROGRAM loaded the recorder (statically linked," \
      "set-user-id, or under another name: see TRICOLOR_TRACE_PROGRAM)"
  exit 1
fi
"$here/.out/trace_info" "$trace" >"$scratch/info" 2>"$scratch/error" || {
  say "not a whole trace: $(sed 's/^[^:]*: //' "$scratch/error")"
  exit 1
}
if grep -q '^events  *0$' "$scratch/info"; then
  say "nothing recorded: $TRICOLOR_TRACE_PROGRAM allocated nothing"
  exit 1
fi
# -n: no time stamp, so that the same recording gives the same file. Moved into place whole.
gzip -9 -n <"$trace" >"$scratch/trace.gz"
cp -- "$scratch/trace.gz" "$out.partial" && mv -f -- "$out.partial" "$out"
cat "$scratch/info" >&2
say "wrote $out, $(wc -c <"$out") bytes"
