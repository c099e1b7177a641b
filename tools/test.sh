#!/bin/sh
# The tests: Swift and C units, crash tests, the model test, the README's examples, the benchmark's own tests.
cd "$(dirname "$0")/.." || exit 1
. tools/steps.sh
step "swift test" swift test
step "metrics" swift test --package-path Extras/Metrics
step "README examples" tools/readme-examples.sh
step "trace recorder" bench/recorder/test.sh
step "bench driver" swift test --package-path bench
finish
