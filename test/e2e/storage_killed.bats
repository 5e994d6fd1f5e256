#!/usr/bin/env bats
# The service dies in the middle of a dump: the process runs on, the command fails in time with one
# clear line, and a later dump works.

setup() {
  load common
  common_setup
  STORAGE_OPTIONS=(--lease 5 --heartbeat 1 --grant 4 --grace 1 --sweep-interval 1)
  start_all
}
teardown() { common_teardown; }

@test "kill -9 of cedana-storage at several moments of a dump" {
  local log=$T/hog.log pid round begun took dumper
  cedana run process -j hog -o "$log" -- "$WORKLOADS/memhog" --mib "$(tries 200 400)"
  wait_for 60 grep -q '^ready' "$log"
  pid=$(job_pid hog)
  for ((round = 1; round <= $(tries 2 10); round++)); do
    begun=$SECONDS
    cedana dump job hog --dir cedana://e2e >"$T/dump.out" 2>"$T/dump.err" 3>&- &
    dumper=$!
    sleep "0.$((round * 7 % 10))"
    kill -KILL "$STORAGE_PID"
    wait "$STORAGE_PID" || true
    if wait "$dumper"; then
      # It was quicker than the kill: the job has ended by its dump and comes back for the next try.
      start_storage
      cedana restore job hog
      continue
    fi
    took=$((SECONDS - begun))
    cat "$T/dump.err"
    ((took <= 40)) || fail "the dump took $took s to fail"
    [[ $(grep -c '^Error: ' "$T/dump.err") -eq 1 ]]
    is_running "$pid" || fail "the process is gone"
    log_grows "$log"
    start_storage
  done
  # The process's memory is whole, and a dump works again.
  kill -USR1 "$pid"
  wait_for 30 grep -q '^verify ok' "$log"
  cedana dump job hog --dir cedana://e2e --name after
  ended "$pid"
  # What the cut dumps left is collected once their leases and grants have ended.
  wait_for 60 only_one_save_left
}

# Each save has a folder of its own at the provider; the one of the last dump stays.
only_one_save_left() {
  "$BIN/cedana-storage" collect --data "$T/storage" --url "$CEDANA_URL" >/dev/null || return 1
  (($(find "$T/storage/objects/s" -mindepth 2 -type f -printf '%h\n' | sort -u | wc -l) <= 1 + $(cedana job checkpoint list hog -o json | jq length) - 1))
}
