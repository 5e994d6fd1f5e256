#!/usr/bin/env bats
# A provider loses everything while dumps and restores run: none fails, and repair restores full
# replication, there or at another provider.

setup() { load common; load clouds; common_setup; start_clouds a b c; }
teardown() { common_teardown; }

# Dumps and restores without an end, until `$T/stop` is there; every failure is a line in `$T/failed`.
busy() {
  while [[ ! -e $T/stop ]]; do
    cedana dump job hog --dir cedana://e2e >"$T/busy.out" 2>&1 || { cat "$T/busy.out" >>"$T/failed"; break; }
    cedana restore job hog >"$T/busy.out" 2>&1 || { cat "$T/busy.out" >>"$T/failed"; break; }
    echo round >>"$T/rounds"
  done
}

start_busy() {
  cedana run process -j hog -o "$T/hog.log" -- "$WORKLOADS/memhog" --mib "$(tries 60 400)"
  wait_for 60 grep -q '^ready' "$T/hog.log"
  cedana dump job hog --dir cedana://e2e
  cedana restore job hog
  : >"$T/rounds"
  busy 3>&- &
  BUSY=$!
  wait_for 60 lines_over "$T/rounds" round 0
}

stop_busy() {
  local rounds
  rounds=$(count_lines "$T/rounds" round)
  wait_for 60 lines_over "$T/rounds" round $((rounds + 1)) || true
  touch "$T/stop"
  wait "$BUSY"
  [[ ! -e $T/failed ]] || fail "$(cat "$T/failed")"
  kill -USR1 "$(job_pid hog)"
  wait_for 60 grep -q '^verify ok' "$T/hog.log"
}

@test "a bucket is emptied while dumps and restores run" {
  start_busy
  # Again when something was written into it meanwhile.
  wait_for 30 rm -rf "$T/cloud-a/s"
  sleep "$(tries 2 20)"
  stop_busy
  storage repair --scrub
  wait_for 120 fully_replicated
  # And what was missing is there again: with the other two gone in turn, all can be restored.
  kill_cloud b
  cedana dump job hog --dir cedana://e2e --leave-running
  start_cloud b
}

@test "a bucket is deleted, its provider declared lost, and a fourth one added" {
  start_busy
  kill_cloud a
  rm -rf "$T/cloud-a"
  sleep "$(tries 2 20)"
  start_cloud d
  storage provider add d "$(cloud_url d)"
  storage provider remove a --lost
  stop_busy
  wait_for 120 fully_replicated
  run storage provider list -o json
  [[ $(jq -r '[.[] | select(.state == "active") | .name] | sort | join(",")' <<<"$output") == b,c,d ]]
  # Any one of the three may go now.
  kill_cloud c
  cedana dump job hog --dir cedana://e2e
  cedana restore job hog
}
