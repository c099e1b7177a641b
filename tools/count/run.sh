#!/bin/sh
# The counted gate: instructions of the fast paths and of a cycle over a fixed graph, beside what thresholds.txt allows.
# usage: tools/count/run.sh [--accept]   --accept writes what was measured into thresholds.txt
cd "$(dirname "$0")/../.." || exit 1
root=$PWD
here=$root/tools/count
thresholds=$here/thresholds.txt
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
: >"$work/measured"

fail() {
  echo "tricolor: $1" >&2
  exit 1
}
# Without a tool there is nothing to compare: a line, and its counters are left out.
skip() {
  echo "skipped: $1"
  touch "$work/skipped"
}
can_have() { # command...
  for command in "$@"; do
    command -v "$command" >/dev/null 2>&1 || return 1
  done
}
measured() { echo "$1 $2" >>"$work/measured"; } # name, number

# ---- Counters: callgrind ----

build_counters() {
  # valgrind 3.19 cannot read DWARF 5; the symbols, which it needs, stay.
  objcopy --strip-debug .build-lib/libtricolor.so "$work/libtricolor.so" &&
    clang -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -I CRuntime/include "$here/counters.c" \
      -L "$work" -ltricolor -pthread -Wl,-rpath,"$work" -o "$work/counters"
}

count() { # counter: prints the instructions counted and the operations done
  # The same memset and memcpy on every processor.
  operations=$(
    GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-AVX_Fast_Unaligned_Load \
      valgrind --tool=callgrind --toggle-collect=count_measured --callgrind-out-file="$work/callgrind" \
      "$work/counters" "$1" 2>"$work/log"
  ) || {
    cat "$work/log" >&2
    return 1
  }
  instructions=$(awk '$1 == "summary:" || $1 == "totals:" {n = $2} END {print n + 0}' "$work/callgrind")
  echo "$instructions $operations"
}

# Every counter runs twice: one that does not repeat cannot gate anything.
measure_counters() {
  build_counters || fail "the counters could not be built"
  for counter in $("$work/counters"); do
    first=$(count "$counter") || fail "$counter did not run"
    second=$(count "$counter") || fail "$counter did not run again"
    per_operation=$(echo "$first $second" | awk '{
      spread = $1 > $3 ? $1 - $3 : $3 - $1
      if ($1 == 0 || $2 == 0 || $2 != $4 || spread > $1 / 1000) exit 1
      printf "%.2f", ($1 > $3 ? $1 : $3) / $2
    }') || fail "$counter is not repeatable: instructions and operations were $first, then $second"
    measured "$counter" "$per_operation"
  done
}

# ---- Fast paths: disassembly ----

measure_object() { # language, object file, function=name...
  language=$1 object=$2
  shift 2
  objdump -dr --no-show-raw-insn "$object" >"$work/disassembly"
  for pair in "$@"; do
    numbers=$(awk -v wanted="${pair%%=*}" -f "$here/fast_path.awk" "$work/disassembly") ||
      fail "${pair%%=*} is not in the disassembly"
    # 0 instructions: every way through the function makes a call.
    way=${numbers% *}
    [ "$way" -gt 0 ] || way=9999
    measured "path-$language-${pair#*=}" "$way"
    measured "path-$language-${pair#*=}-calls" "${numbers#* }"
  done
  # Functions that the compiler took for cold: it optimises them for size and puts them out of the way.
  measured "path-$language-cold" "$(objdump -t "$object" | grep -c '\.text\.unlikely.*count')"
}

measure_c_paths() {
  clang -std=c11 -O2 -Wall -Wextra -Werror -I CRuntime/include -c "$here/fast_paths.c" -o "$work/fast_paths.o" ||
    fail "fast_paths.c could not be compiled"
  measure_object c "$work/fast_paths.o" count_c_new=new count_c_leaf=alloc-leaf-uninitialized \
    count_c_zeroed=alloc-leaf count_c_init=init count_c_store=store
}

# A package of its own, as a user would have: the module is built as in any release build, in some ten seconds.
measure_swift_paths() {
  package=$work/FastPaths
  mkdir -p "$package/Sources/FastPaths"
  cp "$here/FastPaths.swift" "$package/Sources/FastPaths/"
  cat >"$package/Package.swift" <<PACKAGE
// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "FastPaths",
  products: [.library(name: "FastPaths", type: .static, targets: ["FastPaths"])],
  dependencies: [.package(name: "tricolor", path: "$root")],
  targets: [.target(name: "FastPaths", dependencies: [.product(name: "Tricolor", package: "tricolor")])]
)
PACKAGE
  swift build --package-path "$package" -c release --product FastPaths >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    fail "FastPaths.swift could not be built"
  }
  measure_object swift "$package/.build/release/FastPaths.build/FastPaths.swift.o" countMake=make countFill=make-value \
    countAssign=assign countStore=store
}

# ---- What was measured beside what is allowed ----

# Integers are allowed as they are; counts per operation 3 % more.
accept() {
  awk '
    FNR == NR {if ($0 ~ /^#/ || !NF) print; else old[++lines] = $1; allowed[$1] = $2; next}
    {measured[$1] = 1; printf "%-38s %s\n", $1, $2 ~ /\./ ? sprintf("%.2f", $2 * 1.03) : $2}
    END {for (i = 1; i <= lines; i++) if (!(old[i] in measured) && skipped) printf "%-38s %s\n", old[i], allowed[old[i]]}
  ' "$thresholds" skipped="$([ -e "$work/skipped" ] && echo 1)" "$work/measured" >"$work/thresholds" &&
    cp "$work/thresholds" "$thresholds"
}

compare() {
  awk '
    function line(name, number, limit, verdict) {printf "%-38s %12s %12s  %s\n", name, number, limit, verdict}
    FNR == NR {if ($0 !~ /^#/ && NF) {allowed[$1] = $2; order[++lines] = $1} next}
    {
      measured[$1] = 1
      if (!($1 in allowed)) {line($1, $2, "-", "EXCEEDED (no threshold)"); failed++}
      else if ($2 + 0 > allowed[$1] + 0) {line($1, $2, allowed[$1], "EXCEEDED"); failed++}
      else {line($1, $2, allowed[$1], "ok"); passed++; if ($2 < allowed[$1] * 0.9) low++}
    }
    END {
      for (i = 1; i <= lines; i++) if (!(order[i] in measured)) {
        line(order[i], "-", allowed[order[i]], skipped ? "skipped" : "EXCEEDED (not measured)")
        if (!skipped) failed++
      }
      if (low) print "more than a tenth below its threshold, worth an --accept: " low
      printf "%d passed, %d failed\n", passed, failed
      exit failed > 0
    }
  ' "$thresholds" skipped="$([ -e "$work/skipped" ] && echo 1)" "$work/measured"
}

case "${1:-}" in
  "" | --accept) ;;
  *) fail "usage: tools/count/run.sh [--accept]" ;;
esac
[ -e .build-lib/libtricolor.so ] || fail ".build-lib/libtricolor.so is missing: make lib"
tools/install-tools.sh --optional valgrind binutils
if ! can_have objdump objcopy; then
  skip "binutils cannot be had: nothing is counted"
else
  if can_have valgrind; then measure_counters; else skip "valgrind cannot be had: the counters are not run"; fi
  measure_c_paths
  measure_swift_paths
fi
[ "${1:-}" != --accept ] || accept || fail "thresholds.txt could not be written"
compare
