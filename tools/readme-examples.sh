#!/bin/sh
# Types the README's examples as a new user would, and compares what they print with what the README says.
# Each is a fenced block: swift or c, followed by a console block with its output.
cd "$(dirname "$0")/.." || exit 1
root=$PWD
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# block LANGUAGE: the first fenced block of a language, without the fences.
block() { awk -v fence="\`\`\`$1" '$0 == fence && !done {on = 1; next} on && $0 == "```" {on = 0; done = 1} on' README.md; }
# The console block whose first line names a program.
output() { awk -v head="\$ $1" '$0 == head {on = 1; next} on && /^(\$|```)/ {exit} on' README.md; }

check() { # name, actual
  if [ "$2" = "$(output "$1")" ] && [ -n "$2" ]; then
    echo "$1: as printed"
  else
    printf '%s: the README says\n%s\nand it prints\n%s\n' "$1" "$(output "$1")" "$2" >&2
    exit 1
  fi
}

block c >"$work/graph.c"
clang -O2 -Wall -Wextra -I "$root/CRuntime/include" "$work/graph.c" -L "$root/.build-lib" -ltricolor \
  -Wl,-rpath,"$root/.build-lib" -o "$work/graph" || exit 1
check ./graph "$("$work/graph")"

mkdir -p "$work/Graph/Sources/Graph"
block swift >"$work/Graph/Sources/Graph/main.swift"
cat >"$work/Graph/Package.swift" <<PACKAGE
// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "Graph",
  dependencies: [.package(name: "tricolor", path: "$root")],
  targets: [.executableTarget(name: "Graph", dependencies: [.product(name: "Tricolor", package: "tricolor")])]
)
PACKAGE
swift build --package-path "$work/Graph" -c release >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}
check "swift run" "$("$work/Graph/.build/release/Graph")"
