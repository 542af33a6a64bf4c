#!/bin/bash
# test.sh [PYTEST ARGUMENTS]: the kernel and security tests in three guests at once, one
# without and one with systemd, and one with systemd and the controllers on v1, each with
# one processor. Fails if one fails, or does not boot. MODES=plain (systemd, hybrid) runs
# only that one.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
logs=$(mktemp -d -t guest-tests.XXXXXX)
trap 'rm -rf "$logs"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; exit 143' INT TERM

declare -A running
legacy="systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
for mode in ${MODES:-plain systemd hybrid}; do
  options=()
  [ "$mode" = plain ] && options=(-n)
  [ "$mode" = hybrid ] && options=(-a "$legacy")
  "$here/run-in-vm.sh" "${options[@]}" -c 1 -m 1536 -t "${LIMIT_S:-720}" "$project" \
    tests/vm/guest-tests.sh "$@" >"$logs/$mode" 2>&1 &
  running[$mode]=$!
done

failed=0
for mode in "${!running[@]}"; do
  wait "${running[$mode]}"
  status=$?
  echo "== guest, $mode: exit status $status"
  cat "$logs/$mode"
  [ $status -eq 0 ] || failed=1
done
exit $failed
