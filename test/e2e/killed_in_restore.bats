#!/usr/bin/env bats
# Somebody dies in the middle of a restore: nothing is left of it once the daemon is back, unless
# the restore had got its yes, and then the job is listed; a second try works.

setup() {
  load common
  common_setup
  start_all
  cedana run process -j hog -o "$T/hog.log" -- "$WORKLOADS/memhog" --mib "$(tries 150 300)"
  wait_for 60 grep -q '^ready' "$T/hog.log"
  PID=$(job_pid hog)
  cedana dump job hog --dir cedana://e2e
  ended "$PID"
}
teardown() { common_teardown; }

criu_of_restore() { pgrep -f -- "criu restore .*$CEDANA_RUN_DIR"; }

try_kill() {
  local who=$1 delay=$2 restorer criu victim
  cedana restore job hog >"$T/restore.out" 2>&1 3>&- &
  restorer=$!
  wait_for 20 criu_of_restore >/dev/null || true
  sleep "$delay"
  criu=$(criu_of_restore | head -n 1) || criu=
  case $who in
    daemon) victim=$DAEMON_PID ;;
    criu) victim=$criu ;;
    shim) victim=$([[ -z $criu ]] || sed -n 's/^PPid:\t//p' "/proc/$criu/status" 2>/dev/null) || victim= ;;
    hook) victim=$([[ -z $criu ]] || wait_for 2 pgrep -P "$criu" -x cedana-criu-ho) || victim= ;;
  esac
  [[ -z $victim ]] || kill -KILL $victim 2>/dev/null || true
  wait "$restorer" && RESTORED=1 || RESTORED=
  if [[ $who == daemon ]]; then
    wait "$DAEMON_PID" || true
    start_daemon
  fi
}

kill_many() {
  local who=$1 round state
  for ((round = 0; round < $(tries 3 20); round++)); do
    try_kill "$who" "0.$((round * 3 % 10))"
    if is_running "$PID"; then
      # It may only run as a job that is listed, whole and answering.
      [[ $(job_pid hog) == "$PID" && $(job_status hog) != halted ]] || fail "process left after kill of $who"
      log_grows "$T/hog.log"
    else
      [[ -z $RESTORED ]] || fail "restored, but not running"
      cedana restore job hog
    fi
    kill -USR1 "$PID"
    wait_for 30 lines_over "$T/hog.log" '^verify ok' "$round"
    cedana dump job hog --dir cedana://e2e
    wait_for 20 ended "$PID"
  done
  run ! grep -q BAD "$T/hog.log"
}

@test "the daemon is killed in the middle of a restore" { kill_many daemon; }
@test "CRIU is killed in the middle of a restore" { kill_many criu; }
@test "the hook is killed in the middle of a restore" { kill_many hook; }
@test "the shim is killed in the middle of a restore" { kill_many shim; }
