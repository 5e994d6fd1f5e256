# What every end-to-end test stands on: a service and a daemon of its own, in a folder of its own,
# and a few ways to wait. Loaded by `load common`.
#
# CEDANA_TEST_MODE: "sample" (a few tries, what `make test` runs) or "soak" (the full counts).

bats_require_minimum_version 1.5.0
# (Its `run` writes to the variable `i`: loops around it count in another one.)

: "${CEDANA_TEST_MODE:=sample}"
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${CEDANA_BUILD_DIR:-$ROOT/build}
BIN=$BUILD/bin
WORKLOADS=$BUILD/test/workloads

# tries SAMPLE SOAK: how often, in this mode.
tries() {
  if [[ $CEDANA_TEST_MODE == soak ]]; then echo "$2"; else echo "$1"; fi
}

fail() {
  echo "$*" >&2
  return 1
}

# wait_for SECONDS COMMAND…: until it succeeds; fails after the time.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || { echo "timed out: $*" >&2; return 1; }
    sleep 0.05
  done
}

common_setup() {
  [[ $EUID -eq 0 ]] || fail "end-to-end tests need root"
  [[ -x $BIN/cedana && -x $BIN/cedana-storage ]] || fail "build first: make build"
  T=$(mktemp -d "${TMPDIR:-/tmp}/cedana-e2e.XXXXXX")
  RUN=/run/cedana-e2e-$$  # short: sockets lie in it; its own, so that two runs do not meet
  PIDS=()
  STORAGE_OPTIONS=()
  export XDG_CONFIG_HOME=$T/xdg
  export CEDANA_CHECKPOINT_DIR=
  use_host a
}

# use_host NAME: the daemon, database and plugins that `cedana` talks to from now on.
use_host() {
  HOST=$T/$1
  mkdir -p "$HOST/lib"
  export CEDANA_CONFIG_DIR=$HOST/config CEDANA_ADDRESS=$HOST/cedana.sock
  export CEDANA_DB_PATH=$HOST/db/cedana.db CEDANA_RUN_DIR=$RUN
  export CEDANA_PLUGINS_LIB_DIR=$HOST/lib CEDANA_PLUGINS_BIN_DIR=$HOST/bin
}

cedana() { "$BIN/cedana" "$@"; }

# track PID: ended by common_teardown.
track() { PIDS+=("$1"); }

start_storage() {
  rm -f "$T/storage.out"  # of the one before: it would be read instead of this one's
  "$BIN/cedana-storage" serve --data "$T/storage" --listen "127.0.0.1:${STORAGE_PORT:-0}" \
    "${STORAGE_OPTIONS[@]}" >"$T/storage.out" 2>>"$T/storage.log" 3>&- &
  STORAGE_PID=$!
  track "$STORAGE_PID"
  wait_for 15 grep -q '^listening on ' "$T/storage.out" || { cat "$T/storage.log" >&2; return 1; }
  CEDANA_URL=$(sed -n 's/^listening on //p' "$T/storage.out")
  STORAGE_PORT=${CEDANA_URL##*:}
  CEDANA_AUTH_TOKEN=$(cat "$T/storage/token")
  export CEDANA_URL CEDANA_AUTH_TOKEN
}

start_daemon() {
  mkdir -p "$HOST/db"
  "$BIN/cedana" daemon start >>"$HOST/daemon.log" 2>&1 3>&- &
  DAEMON_PID=$!
  track "$DAEMON_PID"
  wait_for 40 daemon_answers || { cat "$HOST/daemon.log" >&2; return 1; }
}

daemon_answers() { [[ -S $CEDANA_ADDRESS ]] && cedana job list >/dev/null 2>&1; }

stop_daemon() {
  kill -TERM "$DAEMON_PID"
  wait "$DAEMON_PID"
}

# everything: service, plugin, daemon.
start_all() {
  start_storage
  cedana plugin install storage/cedana
  start_daemon
}

job_pid() { cedana job list -o json | jq -r --arg j "$1" '.[] | select(.id == $j) | .pid'; }
job_status() { cedana job list -o json | jq -r --arg j "$1" '.[] | select(.id == $j) | .status'; }

# flip_bit FILE OFFSET [BIT]
flip_bit() {
  local before
  before=$(xxd -s "$2" -l 1 -p "$1")
  printf "\\x$(printf %02x $((0x$before ^ (1 << ${3:-0}))))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

is_running() {
  local state
  state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
  [[ -n $state && $state != Z ]]
}

# ended PID: is it gone?
ended() { ! is_running "$1"; }

# log_grows FILE: does the file get longer within a few seconds?
log_grows() {
  local before
  before=$(stat -c %s "$1")
  wait_for 10 eval "(( \$(stat -c %s '$1') > $before ))"
}

# count_lines FILE PATTERN: number of matching lines
count_lines() { grep -c -e "$2" "$1" || true; }

# lines_over FILE PATTERN N: are there more than N matching lines?
lines_over() { (($(count_lines "$1" "$2") > $3)); }

common_teardown() {
  local pid job
  # Jobs outlive daemons: end them by their cgroups first, then what the test started itself.
  for job in /sys/fs/cgroup/unified/cedana/*/job-* /sys/fs/cgroup/cedana/*/job-*; do
    [[ -e $job/cgroup.kill ]] || continue
    owned_cgroup "$job" && echo 1 >"$job/cgroup.kill" 2>/dev/null
  done
  for pid in "${PIDS[@]}"; do
    kill -CONT "$pid" 2>/dev/null || true
    kill -TERM "$pid" 2>/dev/null || true
  done
  for pid in "${PIDS[@]}"; do
    wait_for 20 ended "$pid" || kill -KILL "$pid" 2>/dev/null || true
  done
  for job in /sys/fs/cgroup/unified/cedana/* /sys/fs/cgroup/cedana/*; do
    [[ -d $RUN/${job##*/} ]] && find "$job" -depth -type d -exec rmdir {} + 2>/dev/null
  done
  if [[ -z ${BATS_TEST_COMPLETED:-} ]]; then
    for pid in "$T"/*.log "$T"/*/daemon.log; do
      [[ -s $pid ]] && { echo "--- ${pid#"$T"/}"; tail -n 40 "$pid"; } >&2
    done
  fi
  # Without a folder the set-up failed before anything was begun, and an empty one would mean "/".
  [[ -n ${T:-} && -d $T ]] || return 0
  # What a failed test has left mounted goes before its folder does.
  awk -v t="$T/" 'index($2, t) == 1 { print $2 }' /proc/mounts | xargs -r umount
  rm -rf "$T" "$RUN"
}

# Every job cgroup of an instance whose folder stands in ours is ours.
owned_cgroup() {
  local instance=${1%/job-*}
  instance=${instance##*/}
  [[ -d $RUN/$instance ]]
}
