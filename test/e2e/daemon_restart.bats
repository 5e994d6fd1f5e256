#!/usr/bin/env bats
# Jobs outlive their daemon, and the next one knows them.

setup() { load common; common_setup; start_all; }
teardown() { common_teardown; }

restart() {
  if [[ $1 == crash ]]; then
    kill -KILL "$DAEMON_PID"
    wait "$DAEMON_PID" || true
  else
    stop_daemon
  fi
}

@test "after a stop and after a crash jobs are listed, attached, dumped, killed, and their exit codes known" {
  local how pid
  for how in stop crash; do
    cedana run process -j "count-$how" -o "$T/count-$how.log" -- "$WORKLOADS/counter" 0.1
    cedana run process -j "cat-$how" --attachable -- /bin/cat
    cedana run process -j "leaver-$how" -o "$T/leaver-$how.log" -- "$WORKLOADS/exit42" "$T/go-$how"
    restart "$how"
    # One job ends while there is no daemon.
    touch "$T/go-$how"
    sleep 1
    log_grows "$T/count-$how.log"
    start_daemon
    [[ $(job_status "count-$how") != halted ]]
    run cedana job inspect "leaver-$how" -o json
    [[ $(jq -r '.exit_code // .exitCode // .ExitCode // .exitcode' <<<"$output") == 42 ]]
    run bash -c "echo hello | '$BIN/cedana' job attach 'cat-$how'"
    echo "$output"
    [[ $status -eq 0 && $output == hello ]]
    pid=$(job_pid "count-$how")
    cedana dump job "count-$how" --dir cedana://e2e
    ended "$pid"
    cedana restore job "count-$how"
    cedana job kill "count-$how"
    wait_for 10 ended "$pid"
  done
}
