#!/bin/sh
# Builds the workload programs and the driver, then runs the driver with the arguments given.
set -eu
bench=$(cd "$(dirname "$0")" && pwd)
make --silent -C "$bench" >&2
swift build --quiet -c release --package-path "$bench" --product bench >&2
exec "$(swift build -c release --package-path "$bench" --show-bin-path)/bench" "$@"
