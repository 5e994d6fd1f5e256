#!/usr/bin/env bash
# criu_trial.sh CRIU: dumps a small shell loop and restores it with the given CRIU, and checks
# that the loop goes on where it stopped. Exit 0 and no output, or 1 and one line that says why.
#
# Start it under a child subreaper that reaps (tini -s): the loop's processes are orphaned on
# purpose, and a PID 1 that leaves zombies would hold their pids.
set -uo pipefail

criu=$1
dir=$(mktemp -d "${TMPDIR:-/tmp}/criu-trial.XXXXXX")
pid=0

cleanup() {
  if ((pid > 0)); then kill -KILL -- "-$pid" 2>/dev/null; fi
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# The first line of a CRIU log that tells something; the dropped ones appear in every run.
telling_line() {
  grep -h 'Error (' "$dir/$1.log" "$dir/$1.err" 2>/dev/null |
    grep -v -e 'Can.t setup RLIMIT_NOFILE' -e 'FAILED' -e 'exited, status=' -e 'killed by signal 9' |
    head -n 1
}

fail() {
  local step=$1 line
  line=$(telling_line "$step")
  echo "$step failed: ${line:-$(tail -qn 1 "$dir/$step.err" "$dir/$step.log" 2>/dev/null | head -n 1)}"
  exit 1
}

# Waits up to ten seconds for a condition.
await() {
  local i
  for ((i = 0; i < 200; i++)); do
    "$@" && return 0
    sleep 0.05
  done
  return 1
}
lines_at_least() { (($(wc -l <"$dir/out") >= $1)); }
session_gone() { ! ps -o pid= -g "$pid" 2>/dev/null | grep -q .; }

# Descriptors that a caller leaked to us (a CI runner's pipes, say) must not end in the dump.
for fd in /proc/$$/fd/*; do
  fd=${fd##*/}
  if ((fd > 2 && fd != 255)); then eval "exec $fd>&-"; fi
done

setsid sh -c 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.05; done' </dev/null >>"$dir/out" 2>&1 &
pid=$!
disown
await lines_at_least 3 || fail start
mkdir "$dir/images"

"$criu" dump -t "$pid" -D "$dir/images" -o "$dir/dump.log" -v1 --manage-cgroups=ignore \
  --network-lock nftables --file-locks >"$dir/dump.err" 2>&1 </dev/null || fail dump
await session_gone || { echo "dump left processes of session $pid behind"; exit 1; }
before=$(wc -l <"$dir/out")

"$criu" restore -d -D "$dir/images" -o "$dir/restore.log" -v1 --manage-cgroups=ignore \
  --network-lock nftables --file-locks --pidfile "$dir/pid" >"$dir/restore.err" 2>&1 </dev/null ||
  fail restore
await lines_at_least $((before + 3)) || { echo "restore: the restored loop does not run"; exit 1; }
seq "$(wc -l <"$dir/out")" | head -n "$before" | cmp -s - <(head -n "$before" "$dir/out") ||
  { echo "restore: the restored loop did not go on where it stopped"; exit 1; }
