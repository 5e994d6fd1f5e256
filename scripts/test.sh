#!/usr/bin/env bash
# test.sh unit|asan|tsan|sample|soak: runs tests of a finished build and leaves their results in
# build/log/ (ctest.xml, gtest/*.xml, e2e.tap) for count_tests.py. `unit` is the GoogleTest
# programs, `asan` and `tsan` are the same under sanitizers, `sample` is `unit`, those against a real
# service, and test/e2e; `soak` is the programs that need root and a real CRIU, and test/e2e in full. Runs everything, then fails if anything failed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mode=${1:?usage: test.sh unit|asan|tsan|sample|soak}
log=$root/build/log
rc=0

rm -rf "$log/ctest.xml" "$log/gtest" "$log/e2e.tap"
mkdir -p "$log"
export CEDANA_BUILD_DIR=$root/build

# Unit tests leave files under fixed names: a folder of their own keeps them from those of
# another user or run.
TEST_TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/cedana-unit.XXXXXX")
export TEST_TMPDIR
trap 'rm -rf "$TEST_TMPDIR"' EXIT

# Unit tests mostly wait (for a timeout, a retry, a peer that is slow): twice as many as processors.
# Under a sanitizer they mostly compute.
jobs=$(($(nproc) * 2))

# run_unit PRESET [COMMAND...]: ctest, started by COMMAND.
run_unit() {
  GTEST_OUTPUT="xml:$log/gtest/" "${@:2}" ctest --preset "$1" -j "$jobs" \
    --output-junit "$log/ctest.xml"
}

# Restored trees are orphans for a moment: tini reaps them where PID 1 does not.
run_e2e() {
  CEDANA_TEST_MODE=$1 tini -s -- bats --tap --timing --recursive "$root/test/e2e" | tee "$log/e2e.tap"
}

cd "$root"
case $mode in
  unit) run_unit unit </dev/null || rc=1 ;;
  # Not under TSan (CMakePresets.json): cli_test, which speaks through Debian's gRPC. That is built
  # without the sanitizer, and whatever one of its threads hands to another would count as a race.
  # A kernel that randomises more bits than g++ 12's sanitizers expect makes them fail at start.
  asan | tsan) jobs=$(nproc) && run_unit "$mode" setarch -R </dev/null || rc=1 ;;
  sample)
    run_unit sample </dev/null || rc=1
    run_e2e sample </dev/null || rc=1
    ;;
  soak)
    run_unit root tini -s -- </dev/null || rc=1
    run_e2e soak </dev/null || rc=1
    ;;
  *) echo "test: unknown mode $mode" >&2; exit 2 ;;
esac
"$root/scripts/count_tests.py" "$log" | sed 's/^/tests: /' || rc=1
exit $rc
