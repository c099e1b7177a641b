# Sourced: runs named steps, prints how long each took, and ends with what failed.
tricolor_failed=""
step() {
  name=$1
  shift
  printf '== %s\n' "$name"
  began=$(date +%s)
  if "$@"; then result=ok; else
    result=FAILED
    tricolor_failed="$tricolor_failed [$name]"
  fi
  printf '== %s: %s, %s s\n' "$name" "$result" "$(($(date +%s) - began))"
}
finish() {
  [ -z "$tricolor_failed" ] && return 0
  printf 'failed:%s\n' "$tricolor_failed" >&2
  return 1
}
