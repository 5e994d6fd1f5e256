#!/usr/bin/env bats
# CRIU is killed at the worst moment, exactly when a connection has been put into TCP repair mode,
# in which a process that sends or receives gets an error. No connection is lost.

setup() {
  load common
  common_setup
  export CEDANA_CRIU_BINARY_PATH=$T/criu
  criu_killed_at never
  start_all
  "$WORKLOADS/tcp_peer" server 0 >"$T/server.log" 2>&1 3>&- &
  track $!
  wait_for 10 grep -q '^listening' "$T/server.log"
  PORT=$(sed -n 's/^listening //p' "$T/server.log")
}
teardown() { common_teardown; }

# criu_killed_at MOMENT [COMMAND]: the CRIU of dumps from now on; read, end (see kill_in_repair.cc) or
# never. COMMAND is run before by its shell, whose parent is the shim.
criu_killed_at() {
  local real=$BUILD/criu/criu
  [[ -x $real ]] || real=$(command -v criu)
  printf '#!/bin/sh\n%s\nexport CEDANA_KILL_CRIU_AT=%s LD_PRELOAD="$LD_PRELOAD:%s"\nexec %s "$@"\n' \
    "case \"\$1\" in dump) ${2:-:} ;; esac" "$1" "$BUILD/test/criu_kill_in_repair.so" "$real" \
    >"$T/criu.new"
  chmod +x "$T/criu.new"
  mv "$T/criu.new" "$T/criu"
}

# A connection that always carries data, by a process that would run on at once: CRIU reads the
# connection from another one, which has it as well. And a process with one of its own.
start_talkers() {
  cedana run process -j talkers -o "$T/talkers.log" -- \
    sh -c "'$WORKLOADS/tcp_peer' client $PORT & exec '$WORKLOADS/tcp_peer' heir $PORT"
  wait_for 10 lines_over "$T/talkers.log" '^ok' 1
}

fails_to_dump() {
  run ! cedana dump "$@" --dir cedana://e2e
  # Not for another reason.
  [[ $output == *"killed by signal 9"* ]] || fail "$output"
}

# expect_connected LOG: data flows on all connections, and never went wrong.
expect_connected() {
  local before
  before=$(count_lines "$1" '^ok')
  wait_for 15 lines_over "$1" '^ok' $((before + 2)) || fail "no data flows: $(tail -n 5 "$1")"
  run ! grep -h BAD "$1" "$T/server.log"
}

# Is a job of ours frozen?
frozen() {
  local job
  for job in /sys/fs/cgroup/unified/cedana/*/job-* /sys/fs/cgroup/cedana/*/job-*; do
    if [[ -e $job ]] && owned_cgroup "$job" && grep -q 1 "$job/cgroup.freeze"; then return 0; fi
  done
  return 1
}
thawed() { ! frozen; }

# dump_in_background: of the talkers, by a CRIU that runs COMMAND first and is killed while it reads.
dump_in_background() {
  criu_killed_at read "$1"
  cedana dump job talkers --dir cedana://e2e >"$T/dump.out" 2>&1 3>&- &
  DUMPER=$!
}
shim_of_talkers() { sed -n 's/^PPid:\t//p' "/proc/$(job_pid talkers)/status"; }

@test "CRIU is killed while it reads a connection" {
  local try
  start_talkers
  criu_killed_at read
  for ((try = 0; try < $(tries 3 20); try++)); do
    fails_to_dump job talkers
    expect_connected "$T/talkers.log"
  done
  criu_killed_at never
  cedana dump job talkers --dir cedana://e2e
  cedana restore job talkers
  expect_connected "$T/talkers.log"
}

@test "CRIU is killed when it is about to end a process with connections" {
  local try
  start_talkers
  criu_killed_at end
  for ((try = 0; try < $(tries 2 10); try++)); do
    fails_to_dump job talkers
    [[ $output == *"committed"*"still runs"* ]]
    expect_connected "$T/talkers.log"
  done
}

@test "CRIU is killed while it reads a connection of a process that is no job" {
  local pid try
  setsid "$WORKLOADS/tcp_peer" heir "$PORT" </dev/null >"$T/bare.log" 2>&1 3>&- &
  pid=$!
  track "$pid"
  wait_for 10 grep -q '^ok' "$T/bare.log"
  local cgroup
  cgroup=$(cat "/proc/$pid/cgroup")
  criu_killed_at read
  for ((try = 0; try < $(tries 2 10); try++)); do
    fails_to_dump process "$pid"
    expect_connected "$T/bare.log"
    [[ $(cat "/proc/$pid/cgroup") == "$cgroup" ]]
  done
}

@test "CRIU is killed while it reads a connection, and its shim with it" {
  local shim
  start_talkers
  shim=$(shim_of_talkers)
  dump_in_background 'kill -STOP $PPID' # it sees nothing of CRIU's end
  wait_for 10 frozen
  kill -KILL "$shim"
  wait "$DUMPER" && fail "dumped: $(cat "$T/dump.out")"
  thawed
  expect_connected "$T/talkers.log"
}

@test "CRIU is killed while it reads a connection, and its shim and the daemon with it" {
  local shim
  start_talkers
  shim=$(shim_of_talkers)
  dump_in_background 'kill -STOP $PPID'
  wait_for 10 frozen
  kill -KILL "$DAEMON_PID" "$shim"
  wait "$DAEMON_PID" || true
  wait "$DUMPER" && fail "dumped: $(cat "$T/dump.out")"
  frozen
  criu_killed_at never
  start_daemon
  thawed
  expect_connected "$T/talkers.log"
  cedana dump job talkers --dir cedana://e2e
}

@test "CRIU is killed while it reads a connection, and the daemon is stopped" {
  local pid
  start_talkers
  pid=$(job_pid talkers)
  dump_in_background "kill -STOP $DAEMON_PID"
  wait_for 10 grep -q '^State:.T' "/proc/$DAEMON_PID/status"
  sleep 1
  thawed
  grep -q '^TracerPid:.0$' "/proc/$pid/status"
  kill -CONT "$DAEMON_PID"
  wait "$DUMPER" && fail "dumped: $(cat "$T/dump.out")"
  grep 'killed by signal 9' "$T/dump.out"
  expect_connected "$T/talkers.log"
}
