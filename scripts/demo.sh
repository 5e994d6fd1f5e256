#!/usr/bin/env bash
# The main job on this machine, from nothing: a service and a daemon of its own (in a temporary
# folder, on loopback), a job that counts, dumped to cedana:// and thereby ended, listed, restored,
# and its counter checked. Everything it starts, it ends.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${CEDANA_BUILD_DIR:-$root/build}/bin
[[ $EUID -eq 0 ]] || { echo "demo: run it as root" >&2; exit 1; }
# Restored processes are orphans for a moment, and not every PID 1 reaps those.
if [[ -z ${CEDANA_DEMO_REAPED:-} ]]; then
  CEDANA_DEMO_REAPED=1 exec tini -s -- "$0" "$@"
fi

t=$(mktemp -d /tmp/cedana-demo.XXXXXX)
job=my-job-1
storage_pid='' daemon_pid=''
finish() {
  local rc=$?
  ((rc == 0)) || tail -n 20 "$t"/*.log >&2
  [[ -z $daemon_pid ]] || "$bin/cedana" job kill "$job" >/dev/null 2>&1 || true
  for pid in $daemon_pid $storage_pid; do kill -TERM "$pid" 2>/dev/null && wait "$pid" || true; done
  rm -rf "$t" "/run/cedana-demo-$$"
  exit "$rc"
}
trap finish EXIT

show() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
run() {
  show "$@"
  "$@"
}
cedana() { "$bin/cedana" "$@"; }
wait_for() {
  local end=$((SECONDS + 20))
  until "$@" 2>/dev/null; do
    ((SECONDS < end)) || { echo "demo: timed out: $*" >&2; return 1; }
    sleep 0.05
  done
}

export CEDANA_CONFIG_DIR=$t/config CEDANA_ADDRESS=$t/cedana.sock CEDANA_DB_PATH=$t/cedana.db
export CEDANA_RUN_DIR=/run/cedana-demo-$$ CEDANA_PLUGINS_LIB_DIR=$t/lib
mkdir "$t/lib"

show cedana-storage serve --data "$t/storage"
"$bin/cedana-storage" serve --data "$t/storage" --listen 127.0.0.1:0 >"$t/storage.out" 2>"$t/storage.log" &
storage_pid=$!
wait_for grep -q '^listening on ' "$t/storage.out"
cat "$t/storage.out"
CEDANA_URL=$(sed -n 's/^listening on //p' "$t/storage.out")
CEDANA_AUTH_TOKEN=$(cat "$t/storage/token")
export CEDANA_URL CEDANA_AUTH_TOKEN
show export CEDANA_URL="$CEDANA_URL" 'CEDANA_AUTH_TOKEN=$(cat storage/token)'

run cedana plugin install storage/cedana
show cedana daemon start
"$bin/cedana" daemon start >"$t/daemon.log" 2>&1 &
daemon_pid=$!
wait_for cedana job list >/dev/null

log=$t/counter.log
cat >"$t/work" <<'WORK'
#!/bin/sh
# Counts to 30; its whole state is the number in its memory.
i=0
while [ $i -lt 30 ]; do i=$((i + 1)); echo $i; sleep 0.2; done
WORK
chmod +x "$t/work"
run cedana run process -j "$job" -o "$log" -- "$t/work"
sleep 2
run cedana dump job "$job" --dir cedana://my-checkpoints
before=$(tail -n 1 "$log")
echo "the counter stood at $before when the process ended"
run cedana job list
run cedana restore job --attach "$job"

# Every number once: nothing was lost, nothing was done twice.
seq 30 | diff - "$log" >/dev/null || { echo "demo: the log is not 1 to 30" >&2; exit 1; }
((before < 30)) || { echo "demo: the job had ended before the dump" >&2; exit 1; }
echo
echo "The counter went on from $before to 30 with no number lost or doubled: the job was restored."
