#!/bin/sh
# Records the traces in bench/traces anew, from the programs on this machine and the scripts beside this one.
#
#   record_all.sh [--force] [NAME...]      names: sqlite3 python3 cc1 git lua perl; all without one
#
# A program that is not installed is skipped with a line. Other versions of a program allocate differently, so
# compare numbers only between runs on the same traces (README.md says what the committed ones came from).
set -eu

here=$(cd "$(dirname -- "$0")" && pwd)
scripts=$here/scripts
traces=$(cd "$here/../traces" && pwd)
force=
if [ "${1-}" = --force ]; then
  force=--force
  shift
fi
[ $# -gt 0 ] || set -- sqlite3 python3 cc1 git lua perl

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LC_ALL=C

have() { command -v "$1" >/dev/null 2>&1 || { echo "skipped: $1 is not installed" >&2; return 1; }; }
record() { # NAME COMMAND...
  name=$1
  shift
  echo "== $name" >&2
  "$here/record.sh" ${force:+"$force"} "$traces/$name.trc.gz" -- "$@" >/dev/null
}

record_sqlite3() {
  have sqlite3 && have python3 || return 0
  { cat "$scripts/queries.sql"; python3 "$scripts/make_statements.py" 12000; } >"$scratch/all.sql"
  record sqlite3 sqlite3 -init /dev/null :memory: ".read $scratch/all.sql"
}

# PYTHONMALLOC=malloc: otherwise Python serves blocks up to 512 bytes from arenas of its own, unseen by us.
# -s -S: no site packages, which differ between machines.
record_python3() {
  have python3 || return 0
  python=$(python3 -c 'import sys; print(sys.executable)')
  PYTHONMALLOC=malloc PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH= \
    record python3 "$python" -s -S "$scripts/program.py"
}

record_cc1() {
  have gcc && have python3 || return 0
  python3 "$scripts/make_c_source.py" 60 >"$scratch/generated.c"
  TRICOLOR_TRACE_PROGRAM=cc1 record cc1 gcc -O2 -c "$scratch/generated.c" -o "$scratch/generated.o"
}

record_git() {
  have git && have python3 || return 0
  git init -q --bare -b main "$scratch/repository"
  python3 "$scripts/make_repository.py" 1500 | git -C "$scratch/repository" fast-import --quiet
  GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null \
    record git git --no-pager -C "$scratch/repository" log -p -M --stat main
}

record_lua() {
  have lua5.4 || return 0
  record lua lua5.4 "$scripts/program.lua"
}

record_perl() {
  have perl || return 0
  PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0 record perl perl "$scripts/program.pl"
}

for name in "$@"; do
  case $name in
    sqlite3 | python3 | cc1 | git | lua | perl) "record_$name" ;;
    *) echo "record_all.sh: no such trace: $name" >&2; exit 2 ;;
  esac
done
