#!/bin/sh
# Tests of the recorder, the trace format and the replayer's refusals. Prints one line per test; exit code 1
# when one fails. Needs a C compiler, make, gzip.
#
#   test.sh [CC]
set -u

here=$(cd "$(dirname -- "$0")" && pwd)
CC=${1:-${CC:-cc}}
export CC
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

passed() { echo "ok      $1"; }
failed() { echo "FAILED  $1${2:+: $2}"; failures=$((failures + 1)); }

# check SENTENCE EXIT_CODE WORDS COMMAND...: the command ends with this code and says these words, if any, on
# stderr.
check() {
  sentence=$1 code=$2 words=$3
  shift 3
  status=0
  "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
  if [ $status != "$code" ]; then
    failed "$sentence" "exit code $status instead of $code; $(head -1 "$scratch/err")"
  elif [ -n "$words" ] && ! grep -q -- "$words" "$scratch/err"; then
    failed "$sentence" "said: $(head -1 "$scratch/err")"
  elif [ "$code" = 2 ] && [ "$(wc -l <"$scratch/err")" != 1 ]; then
    failed "$sentence" "more than one line on stderr"
  else
    passed "$sentence"
  fi
}

# expect SENTENCE PATTERN FILE: the file has a line that matches.
expect() {
  if grep -q -- "$2" "$3"; then passed "$1"; else failed "$1" "no '$2' in: $(tr '\n' ';' <"$3")"; fi
}

# put_byte FILE OFFSET: changes the byte there.
put_byte() {
  old=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
  printf "\\$(printf %03o $((old ^ 64)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

warnings="-Wall -Wextra -Wundef -Wconversion"
unalloc="-fno-builtin-malloc -fno-builtin-calloc -fno-builtin-free"
$CC -std=gnu11 -O2 $unalloc $warnings -Wno-unused-function -DMEMORY_MALLOC=1 "$here/../programs/replay.c" \
  -o "$scratch/replay" -lpthread -ldl || exit 1

# MARK: A program whose every allocation is known

cat >"$scratch/known.c" <<'END'
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void *volatile sink;
static void *worker(void *unused) {
  (void)unused;
  // A variable of its own: in one for all, a thread would free what another stored, and that one again.
  for (int i = 0; i < 1000; i++) { void *volatile block = malloc(100 + (size_t)i % 7); free(block); }
  return NULL;
}
int main(int argc, char **argv) {
  void *a = malloc(1000003), *b = calloc(3, 500001), *c = NULL;
  a = realloc(a, 2000003);
  if (posix_memalign(&c, 4096, 12345)) return 3;
  free(b);
  free(realloc(c, 1));
  sink = malloc(0);
  sink = realloc(sink, 77);
  if (argc > 1 && !strcmp(argv[1], "fork")) {
    if (fork() == 0) { for (int i = 0; i < 500; i++) sink = malloc(4000037); exit(0); }
    wait(NULL);
  }
  if (argc > 1 && !strcmp(argv[1], "threads")) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, worker, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  }
  if (argc > 1 && !strcmp(argv[1], "_exit")) _exit(0);
  if (argc > 1 && !strcmp(argv[1], "kill")) abort();
  errno = 99;
  sink = malloc(10);
  free(sink);
  return errno == 99 ? 0 : 4;
}
END
$CC -std=gnu11 -O0 -w "$scratch/known.c" -o "$scratch/known" -lpthread || exit 1
record="$here/record.sh"

check "a program is recorded" 0 "wrote" "$record" "$scratch/known.trc.gz" -- "$scratch/known"
cp "$scratch/err" "$scratch/info"
expect "its name is in the trace" '^program  *known$' "$scratch/info"
expect "its calls are counted: calloc" '^calloc  *1$' "$scratch/info"
expect "its calls are counted: aligned" '^aligned  *1$' "$scratch/info"
expect "its calls are counted: realloc" '^realloc  *3$' "$scratch/info"
expect "its calls are counted: malloc" '^malloc  *3$' "$scratch/info"
expect "its calls are counted: free" '^free  *3$' "$scratch/info"
expect "what it leaves behind is counted" '^left at the end  *2 blocks$' "$scratch/info"
expect "the peak is exact" '^peak live  *3 blocks, 3512351 bytes$' "$scratch/info"
expect "the total is exact" '^allocated  *8 blocks, 4512442 bytes$' "$scratch/info"

check "recording again refuses to overwrite" 2 "exists; --force" \
  "$record" "$scratch/known.trc.gz" -- "$scratch/known"
check "--force overwrites" 0 "wrote" "$record" --force "$scratch/known.trc.gz" -- "$scratch/known"
check "a missing program is named" 2 "program not found: no-such-program" \
  "$record" "$scratch/x.trc.gz" -- no-such-program
check "a missing folder is named" 2 "no such directory" "$record" "$scratch/no/x.trc.gz" -- "$scratch/known"
check "a name that does not say what it is is refused" 2 "must end in .trc.gz" "$record" "$scratch/x" -- true
check "a limit that is no number is refused" 2 "not a number" \
  env TRICOLOR_TRACE_LIMIT=many "$record" "$scratch/x.trc.gz" -- true
check "no process of the wanted name: nothing recorded" 1 "nothing recorded" \
  env TRICOLOR_TRACE_PROGRAM=somebody-else "$record" "$scratch/x.trc.gz" -- "$scratch/known"
check "a killed program leaves an unfinished trace, which is refused" 1 "unfinished" \
  "$record" "$scratch/x.trc.gz" -- "$scratch/known" kill
check "a refused recording leaves no file" 1 "" test -e "$scratch/x.trc.gz"

check "a fork child is not recorded" 0 "wrote" "$record" "$scratch/fork.trc.gz" -- "$scratch/known" fork
expect "nor its memory counted" '^peak live  *3 blocks, 3512351 bytes$' "$scratch/err"
check "a program that leaves by _exit is recorded" 0 "wrote" \
  "$record" "$scratch/exit.trc.gz" -- "$scratch/known" _exit
check "four threads are recorded" 0 "wrote" "$record" "$scratch/threads.trc.gz" -- "$scratch/known" threads
expect "with every one of their calls" '^free  *400[3-9]$' "$scratch/err"
check "the limit cuts the recording" 0 "cut at the event limit" \
  env TRICOLOR_TRACE_LIMIT=100 "$record" "$scratch/limit.trc.gz" -- "$scratch/known" threads
expect "at exactly that many events" '^events  *100$' "$scratch/err"
check "a program started by another is found by name" 0 "wrote" \
  env TRICOLOR_TRACE_PROGRAM=known "$record" "$scratch/child.trc.gz" -- \
  sh -c "'$scratch/known'; '$scratch/known'"
expect "and only the first of that name is recorded" '^malloc  *3$' "$scratch/err"
seq 1 20000 >"$scratch/numbers"
check "sort is recorded" 0 "wrote" "$record" "$scratch/sort.trc.gz" -- sort -r "$scratch/numbers"

# MARK: The replayer

gzip -dc "$scratch/known.trc.gz" >"$scratch/known.trc"
for name in known threads limit sort; do
  gzip -dc "$scratch/$name.trc.gz" >"$scratch/$name.trc"
  check "the trace $name replays" 0 "" "$scratch/replay" "$scratch/$name.trc"
  check "the trace $name replays with leaves only" 0 "" "$scratch/replay" --leaf "$scratch/$name.trc"
done
expect "the report names the trace" '"trace":"sort.trc"' "$scratch/out"

check "a missing file is refused" 2 "No such file" "$scratch/replay" "$scratch/none.trc"
check "a folder is refused" 2 "not a regular file" "$scratch/replay" "$scratch"
check "a compressed trace is refused with advice" 2 "decompress" "$scratch/replay" "$scratch/known.trc.gz"
check "another kind of file is refused" 2 "bad magic" "$scratch/replay" "$scratch/known.c"
check "no argument is refused" 2 "usage" "$scratch/replay"
check "an unknown option is refused" 2 "usage" "$scratch/replay" --lea "$scratch/known.trc"

# Every byte flipped, and every length: none may pass, none may crash.
size=$(wc -c <"$scratch/known.trc")
bad=0 offset=0
while [ $offset -lt "$size" ]; do
  cp "$scratch/known.trc" "$scratch/flipped.trc"
  put_byte "$scratch/flipped.trc" $offset
  "$scratch/replay" "$scratch/flipped.trc" >/dev/null 2>"$scratch/err"
  [ $? = 2 ] && [ "$(wc -l <"$scratch/err")" = 1 ] || bad=$((bad + 1))
  head -c $offset "$scratch/known.trc" >"$scratch/short.trc"
  "$scratch/replay" "$scratch/short.trc" >/dev/null 2>"$scratch/err"
  [ $? = 2 ] && [ "$(wc -l <"$scratch/err")" = 1 ] || bad=$((bad + 1))
  offset=$((offset + 1))
done
if [ $bad = 0 ]; then
  passed "each of $size bytes flipped and each of $size lengths is refused with exit code 2 and one line"
else
  failed "a flipped or shortened trace" "$bad of $((2 * size)) were not refused properly"
fi
cp "$scratch/known.trc" "$scratch/long.trc"
echo >>"$scratch/long.trc"
check "bytes after the end are refused" 2 "after the end" "$scratch/replay" "$scratch/long.trc"

# The same with the checksum made right, so that the decoder sees every bit flipped.
sanitizers="-fsanitize=address,undefined -fno-sanitize-recover=all"
if $CC -std=gnu11 -O1 -g $warnings $sanitizers "$here/test_decode.c" \
  -o "$scratch/test_decode" 2>"$scratch/err"; then
  check "a trace that lies under a right checksum never crashes the decoder" 0 " 0 crashed" \
    "$scratch/test_decode" "$scratch/known.trc" "$scratch/lying.trc"
else
  echo "skipped a trace that lies: $CC has no sanitizers here"
fi

# MARK: The committed traces

$CC -std=gnu11 -O2 $warnings "$here/test_links.c" -o "$scratch/test_links" || exit 1
for trace in "$here"/../traces/*.trc.gz; do
  [ -e "$trace" ] || continue
  gzip -dc "$trace" >"$scratch/committed.trc"
  check "$(basename "$trace") is whole" 0 "" "$here/.out/trace_info" "$scratch/committed.trc"
  check "its links go to blocks that outlive their holders" 0 " 0 wrong" \
    "$scratch/test_links" "$scratch/committed.trc"
done

[ $failures = 0 ] || { echo "$failures failed"; exit 1; }
