#!/usr/bin/env bash
# What the loss of a provider costs: dump and restore of a large process over three providers with
# two copies, each limited in rate, while one of them fails in a way and at a moment drawn from a
# seed; beside a healthy run over only two providers, one for every third of the others, in between
# them, because times on one machine drift. Fails when a median is over 1.25 x that of the healthy runs (plus 3 s where the
# trouble began in the middle of what is timed), or when any dump or restore fails, or when repair
# does not bring everything back to full.
#
#   bench/outage.sh [--mib 4096] [--runs 50] [--rate 200000000] [--seed 1] [--healthy-every 3]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ $EUID -eq 0 ]] || { echo "bench: run it as root" >&2; exit 1; }
if [[ -z ${CEDANA_BENCH_REAPED:-} ]]; then CEDANA_BENCH_REAPED=1 exec tini -s -- "$0" "$@"; fi

MIB=4096 RUNS=50 PACE=200000000 SEED=1 HEALTHY_EVERY=3
while (($#)); do
  case $1 in
    --mib) MIB=$2 ;;
    --runs) RUNS=$2 ;;
    --rate) PACE=$2 ;;
    --seed) SEED=$2 ;;
    --healthy-every) HEALTHY_EVERY=$2 ;;
    *) echo "bench: $1 is not known" >&2; exit 1 ;;
  esac
  shift 2
done

# The parts that end-to-end tests stand on.
bats_require_minimum_version() { :; }
source "$root/test/e2e/common.bash"
source "$root/test/e2e/clouds.bash"
BATS_TEST_COMPLETED=1

now() { date +%s.%N; }
since() { echo "$(now) $1" | awk '{ printf "%.2f", $1 - $2 }'; }
HOWS=(killed refusing unavailable throttling silent slow full)
# before: ten seconds before the dump, so that it is known by then; dump, restore: one second into it.
WHENS=(before dump restore)

# world NAME…: service, daemon and a ready process over these providers.
world() {
  local name
  CLOUD_PORT=() CLOUD_CONTROL=()
  unset STORAGE_PORT
  common_setup
  start_clouds "$@" >"$RESULTS.start" 2>&1 || { cat "$RESULTS.start" >&2; return 1; }
  for name in "$@"; do tell_cloud "$name" pace "{\"bytes_per_s\": $PACE}"; done
  storage policy set default copies=2,ack=2 >/dev/null
  cedana run process -j hog -o "$T/hog.log" -- "$WORKLOADS/memhog" --mib "$MIB" --half-compressible \
    --seed "$SEED" >/dev/null
  wait_for 120 grep -q '^ready' "$T/hog.log"
}

# timed COMMAND…: seconds, on stdout; with $TROUBLE set, 1 s into it.
timed() {
  local start worker
  start=$(now)
  "$@" >"$T/out" 2>&1 &
  worker=$!
  if [[ -n ${TROUBLE:-} ]]; then
    sleep 1
    # shellcheck disable=SC2086
    spoil $TROUBLE
  fi
  wait "$worker" || { echo "failed: $*: $(cat "$T/out")" >&2; return 1; }
  since "$start"
}

# run [NAME HOW WHEN]: one dump and one restore, with that trouble from some moment on; prints
# "dump restore".
run() {
  local name=${1:-} how=${2:-} when=${3:-} TROUBLE
  if [[ $when == before ]]; then
    spoil "$name" "$how"
    sleep 10
  fi
  TROUBLE=
  [[ $when == dump ]] && TROUBLE="$name $how"
  timed cedana dump job hog --dir cedana://bench --compression none >"$T/dump.s"
  TROUBLE=
  [[ $when == restore ]] && TROUBLE="$name $how"
  timed cedana restore job hog >"$T/restore.s"
  TROUBLE=
  kill -USR1 "$(job_pid hog)"
  wait_for 120 lines_over "$T/hog.log" '^verify ok' 0
  if [[ -n $how ]]; then
    cure "$name" "$how"
    tell_cloud "$name" pace "{\"bytes_per_s\": $PACE}"
    wait_for 600 fully_replicated
  fi
  echo "$(cat "$T/dump.s") $(cat "$T/restore.s")"
}

trap 'common_teardown >/dev/null 2>&1 || true' EXIT
RESULTS=$(mktemp)
RANDOM=$SEED
for ((round = 1; round <= RUNS; round++)); do
  names=(a b c)
  name=${names[RANDOM % 3]} how=${HOWS[RANDOM % ${#HOWS[@]}]} when=${WHENS[RANDOM % ${#WHENS[@]}]}
  if (((round - 1) % HEALTHY_EVERY == 0)); then
    world a b
    run >"$RESULTS.one"
    read -r dump restore <"$RESULTS.one"
    common_teardown >/dev/null 2>&1 || true
    echo "healthy $dump $restore" >>"$RESULTS"
  fi
  world a b c
  run "$name" "$how" "$when" >"$RESULTS.one"
  read -r fdump frestore <"$RESULTS.one"
  common_teardown >/dev/null 2>&1 || true
  echo "$when $fdump $frestore" >>"$RESULTS"
  printf 'run %2d  %-11s at %s, %-7s  dump %6.2f s (healthy %6.2f)  restore %6.2f s (healthy %6.2f)\n' \
    "$round" "$how" "$name" "$when" "$fdump" "$dump" "$frestore" "$restore"
done
python3 - "$RESULTS" "$MIB" "$PACE" <<'P'
import statistics, sys
rows = [line.split() for line in open(sys.argv[1])]
bad = False
# What is timed, when the trouble began, and what its first appearance may cost.
for what, column, whens, extra in (("dump", 1, ("before",), 0), ("dump", 1, ("dump",), 3),
                                   ("restore", 2, ("before", "dump"), 0), ("restore", 2, ("restore",), 3)):
    times = [float(r[column]) for r in rows if r[0] in whens]
    if not times:
        continue
    base = statistics.median(float(r[column]) for r in rows if r[0] == "healthy")
    median, limit = statistics.median(times), 1.25 * base + extra
    bad |= median > limit
    print(f"{what}, trouble {'in it' if extra else 'before it'}: median {median:.2f} s of {len(times)} "
          f"(up to {max(times):.2f}); healthy over two providers {base:.2f} s; limit {limit:.2f} s "
          f"({sys.argv[2]} MiB, {int(sys.argv[3]) / 1e6:.0f} MB/s a provider)")
sys.exit(bad)
P
rm -f "$RESULTS" "$RESULTS.one" "$RESULTS.start"
