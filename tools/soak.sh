#!/bin/sh
# The long random tests: programs against a shadow graph, then a thousand forks of a busy process, a thousand storms of
# short threads, fibers that change threads, and slow leaks under limits. usage: tools/soak.sh [seconds] [first seed]
cd "$(dirname "$0")/.." || exit 1
. tools/steps.sh
swift build --product tricolor-soak || exit 1
soak=.build/debug/tricolor-soak
step "programs" "$soak" "${1:-1800}" ${2:+"$2"}
step "forks" "$soak" fork 1000 ${2:+"$2"}
step "storms" "$soak" storm 1000 ${2:+"$2"}
step "fibers" "$soak" fiber 100 ${2:+"$2"}
step "limits" "$soak" limit 50 both 32
finish
