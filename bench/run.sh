#!/bin/sh
# Builds the workload programs and the driver, then runs the driver with the arguments given. The driver is a
# debug build: it only starts processes, and `swift test` shares it.
set -eu
bench=$(cd "$(dirname "$0")" && pwd)
make --silent -C "$bench" >&2
swift build --quiet --package-path "$bench" >&2
exec "$(swift build --package-path "$bench" --show-bin-path)/bench" "$@"
