#!/usr/bin/env bash
# Runs the tests in two lanes; each test is in exactly one of them.
#
#   tests/lanes.sh alone     every test but those in tests/lanes.txt, with an empty PATH: one that needs an installed program fails
#   tests/lanes.sh programs  the tests in tests/lanes.txt
#
# cargo calls this script again for each test binary, as `lanes.sh run LANE BINARY …`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
workspace=$(dirname "$here")

# The rows of tests/lanes.txt as `FILE` or `FILE TEST`.
rows() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$here/lanes.txt"; }

# The file of a test target in the package of the working directory, from the workspace's folder: `ca/tests/lint.rs`, or `ca/src`.
file_of() {
  local name=$1 package
  package=${PWD#"$workspace"}
  package=${package#/}
  for file in "tests/$name.rs" "tests/$name/main.rs" src; do
    if [ -e "$file" ]; then
      echo "${package:+$package/}$file"
      return
    fi
  done
}

run() {
  local lane=$1 binary=$2 file name
  shift 2
  name=$(basename "$binary")
  file=$(file_of "${name%-*}")
  mapfile -t listed < <(rows | awk -v file="$file" '$1 == file { print $2 }')
  # libtest takes a name as a part of a test's path, in both lanes alike.
  local is_whole=false
  for test in "${listed[@]}"; do [ -n "$test" ] || is_whole=true; done
  case $lane in
    alone)
      if $is_whole; then return; fi
      local skipped=()
      for test in "${listed[@]}"; do skipped+=(--skip "$test"); done
      # An unset PATH would be the system's own.
      exec env PATH=/nonexistent "$binary" "${skipped[@]}" "$@"
      ;;
    programs)
      if [ ${#listed[@]} -eq 0 ]; then return; fi
      if $is_whole; then listed=(); fi
      exec "$binary" "${listed[@]}" "$@"
      ;;
  esac
}

# The options that choose the targets of a lane: cargo knows the same name in several packages as one.
targets() {
  local lane=$1 file name
  cd "$workspace"
  for file in tests/*.rs tests/*/main.rs */tests/*.rs */tests/*/main.rs; do
    [ -e "$file" ] || continue
    name=$(basename "${file%/main.rs}" .rs)
    case $lane in
      alone) rows | grep -qx "$file[[:space:]]*" || echo "--test=$name" ;;
      programs) ! rows | grep -q "^$file\([[:space:]]\|$\)" || echo "--test=$name" ;;
    esac
  done | sort -u
  case $lane in
    alone) echo --lib --bins ;;
    programs) ! rows | grep -q '^\([a-z-]*/\)\?src[[:space:]]' || echo --lib --bins ;;
  esac
}

case ${1:-} in
  run)
    shift
    run "$@"
    ;;
  alone | programs)
    # shellcheck disable=SC2046
    exec cargo --config "target.'cfg(unix)'.runner = ['$here/lanes.sh', 'run', '$1']" test --workspace $(targets "$1") "${@:2}"
    ;;
  *)
    echo "expected \`alone\` or \`programs\`, found \`${1:-}\`" >&2
    exit 2
    ;;
esac
