#!/bin/sh
# The long random tests. usage: tools/soak.sh [seconds] [first seed]
cd "$(dirname "$0")/.." || exit 1
swift build --product tricolor-soak || exit 1
exec .build/debug/tricolor-soak "${1:-1800}" ${2:+"$2"}
