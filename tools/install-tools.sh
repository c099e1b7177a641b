#!/bin/sh
# Makes sure that the named Debian packages are there: installs what is missing where that is possible, names it where
# it is not. usage: tools/install-tools.sh [--optional] [package...]; without packages: what every target needs.
set -u
optional=0
[ "${1:-}" = --optional ] && { optional=1; shift; }
[ $# -gt 0 ] || set -- libc6-dev

if ! command -v swift >/dev/null 2>&1; then
  echo "tricolor: swift is not on PATH: install Swift 6.3 (swift.org) first" >&2
  exit 1
fi

missing=""
for package in "$@"; do
  dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  # One package list refresh a day is enough.
  if [ -z "$(find /var/lib/apt/lists -name '*Packages*' -mtime -1 2>/dev/null | head -n 1)" ]; then
    apt-get update >/dev/null 2>&1
  fi
  for package in $missing; do
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package" >/dev/null 2>&1 ||
      echo "tricolor: could not install $package" >&2
  done
else
  echo "tricolor: missing packages:$missing (as root: apt-get install$missing)" >&2
fi

for package in "$@"; do
  dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' && continue
  [ "$optional" = 1 ] || { echo "tricolor: $package is needed and not installed" >&2; exit 1; }
done
exit 0
