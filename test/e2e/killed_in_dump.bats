#!/usr/bin/env bats
# Somebody dies in the middle of a dump: the process runs on with its memory intact, and its
# established connection still carries data.

setup() { load common; common_setup; start_all; }
teardown() { common_teardown; }

# Much memory; and beside it, for `connected`, a connection to a process outside that always carries
# data.
start_hog() {
  local mib port
  mib=$(tries 200 300)
  if [[ $1 == connected ]]; then
    "$WORKLOADS/tcp_peer" server 0 >"$T/server.log" 2>&1 3>&- &
    track $!
    wait_for 10 grep -q '^listening' "$T/server.log"
    port=$(sed -n 's/^listening //p' "$T/server.log")
    cedana run process -j hog -o "$T/hog.log" -- \
      sh -c "'$WORKLOADS/tcp_peer' client $port & exec '$WORKLOADS/memhog' --mib $mib"
    wait_for 10 lines_over "$T/hog.log" '^ok' 0
  else
    cedana run process -j hog -o "$T/hog.log" -- "$WORKLOADS/memhog" --mib "$mib"
  fi
  wait_for 60 grep -q '^ready' "$T/hog.log"
}

# The pids that a dump of PID brings with it: CRIU, whose parent is the shim, and its hook.
criu_of() { pgrep -f -- "criu dump .*-t $1( |\$)"; }
parent_of() { sed -n 's/^PPid:\t//p' "/proc/$1/status" 2>/dev/null; }

# One try: dump JOB, kill WHO shortly after CRIU has appeared, and see what is left.
try_kill() {
  local who=$1 job=$2 delay=$3 pid criu dumper victim=
  pid=$(job_pid "$job")
  cedana dump job "$job" --dir cedana://e2e >"$T/dump.out" 2>&1 3>&- &
  dumper=$!
  criu=$(wait_for_criu "$pid") || criu=
  sleep "$delay"
  case $who in
    daemon) victim=$DAEMON_PID ;;
    criu) victim=$criu ;;
    shim) victim=$([[ -z $criu ]] || parent_of "$criu") || true ;;
    # The hook lives for a moment, several times: the next one that shows up.
    hook) victim=$([[ -z $criu ]] || wait_for_hook "$criu") || true ;;
  esac
  [[ -z $victim ]] || kill -KILL "$victim" 2>/dev/null || true
  if [[ $who == daemon ]]; then
    wait "$DAEMON_PID" || true
    local dumped=
    if wait "$dumper"; then dumped=yes; fi
    start_daemon
    # Killed too late: the dump has succeeded, and `revive` brings the process back.
    [[ -z $dumped ]] || return 0
  elif wait "$dumper"; then
    # Killed too late: the dump has succeeded.
    cedana restore job "$job"
    return 0
  fi
  wait_for 20 not_traced "$pid" || fail "$job is still frozen after kill of $who: $(cat "$T/dump.out")"
  # Gone it may only be with a committed checkpoint: then `revive` brings it back, memory and all.
  is_running "$pid" || [[ $who == daemon ]] || fail "$job is gone after kill of $who"
}

wait_for_criu() { wait_for 5 criu_of "$1" | head -n 1; }
wait_for_hook() { wait_for 2 pgrep -P "$1" -x cedana-criu-ho | head -n 1; }
not_traced() { [[ ! -e /proc/$1 ]] || grep -q '^TracerPid:[[:space:]]*0$' "/proc/$1/status"; }

# After the daemon's death between commit and end the job may have ended well: bring it back.
revive() {
  local pid
  pid=$(job_pid "$1")
  is_running "$pid" || cedana restore job "$1"
}

# kill_many WHO connected|alone
kill_many() {
  local who=$1 round alive='^ok'
  start_hog "$2"
  [[ $2 == connected ]] || alive='^tick'
  for ((round = 0; round < $(tries 3 20); round++)); do
    try_kill "$who" hog "0.$((12 + round * 7 % 35))"
    revive hog
    local before
    before=$(count_lines "$T/hog.log" "$alive")
    wait_for 15 lines_over "$T/hog.log" "$alive" $((before + 1)) || fail "no life after kill of $who"
    run ! grep -qh BAD "$T"/hog.log "$T"/*.log
  done
  kill -USR1 "$(job_pid hog)"
  wait_for 30 grep -q '^verify ok' "$T/hog.log"
  # And the next dump works.
  cedana dump job hog --dir cedana://e2e
}

@test "the daemon is killed in the middle of a dump" { kill_many daemon connected; }
@test "CRIU is killed in the middle of a dump" { kill_many criu connected; }
@test "the hook is killed in the middle of a dump" { kill_many hook connected; }
@test "the shim is killed in the middle of a dump" { kill_many shim connected; }

@test "a stopped daemon keeps no process frozen for longer than 20 seconds" {
  local pid dumper begun round
  start_hog alone
  pid=$(job_pid hog)
  for ((round = 1; round <= $(tries 1 5); round++)); do
    cedana dump job hog --dir cedana://e2e >"$T/dump.out" 2>&1 3>&- &
    dumper=$!
    wait_for_criu "$pid" >/dev/null
    sleep "0.0$((round * 3 % 10))"
    kill -STOP "$DAEMON_PID"
    begun=$SECONDS
    wait_for 25 not_traced "$pid"
    ((SECONDS - begun <= 20)) || fail "frozen for $((SECONDS - begun)) s"
    # Its shim has killed it. One that was stopped after the end of its dump owes nobody a beat.
    wait_for 20 ended "$DAEMON_PID" || kill -KILL "$DAEMON_PID"
    wait "$DAEMON_PID" || true
    wait "$dumper" || true
    start_daemon
    revive hog
    pid=$(job_pid hog)
    log_grows "$T/hog.log"
  done
}
