#!/usr/bin/env bats
# Programs of many kinds: dumped to cedana:// and thereby ended, restored, and their own check of
# their state passes.

setup() { load common; common_setup; start_all; }
teardown() { common_teardown; }

# dump_and_restore JOB [DUMP FLAGS…]: the process is gone after the dump and back after the restore.
dump_and_restore() {
  local job=$1 pid
  shift
  pid=$(job_pid "$job")
  run cedana dump job "$job" --dir cedana://e2e "$@"
  echo "$output"
  [[ $status -eq 0 ]]
  [[ ${lines[-1]} == "Dumped to cedana://e2e/"* ]]
  ended "$pid" || fail "process $pid still runs after the dump"
  run cedana restore job "$job"
  echo "$output"
  [[ $status -eq 0 ]]
  [[ $output == *"Restored successfully, PID: $pid"* ]]
  is_running "$pid"
}

@test "a Python process with a large heap" {
  local mib log=$T/heap.log
  mib=$(tries 100 300)
  cedana run process -j heap -o "$log" -- python3 "$ROOT/test/workloads/heap.py" --mib "$mib"
  wait_for 60 lines_over "$log" '^ready' 0
  dump_and_restore heap
  kill -USR1 "$(job_pid heap)"
  wait_for 30 grep -q '^verify ok' "$log"
  run ! grep BAD "$log"
}

@test "a shell pipeline of four processes" {
  local log=$T/pipeline.log before
  cedana run process -j pipeline -o "$log" -- "$ROOT/test/workloads/pipeline.sh" 0.05
  wait_for 20 lines_over "$log" '^ok' 20
  dump_and_restore pipeline
  before=$(count_lines "$log" '^ok')
  wait_for 20 lines_over "$log" '^ok' $((before + 20))
  run ! grep BAD "$log"
}

@test "threads, files, a pipe, timers, signals and connections" {
  local log=$T/kitchen.log before
  mkdir "$T/kitchen"
  cedana run process -j kitchen -o "$log" -- "$WORKLOADS/kitchen" "$T/kitchen"
  wait_for 20 lines_over "$log" '^ok' 1
  dump_and_restore kitchen
  before=$(count_lines "$log" '^ok')
  wait_for 20 lines_over "$log" '^ok' $((before + 2))
  kill -USR2 "$(job_pid kitchen)"
  wait_for 20 grep -q '^check ok' "$log"
  run ! grep BAD "$log"
}

@test "each compression" {
  local codec log
  for codec in none lz4 zstd gzip zlib; do
    log=$T/$codec.log
    cedana run process -j "hog-$codec" -o "$log" -- \
      "$WORKLOADS/memhog" --mib "$(tries 32 256)" --half-compressible --zero-percent 20
    wait_for 60 grep -q '^ready' "$log"
    dump_and_restore "hog-$codec" --compression "$codec"
    kill -USR1 "$(job_pid "hog-$codec")"
    wait_for 30 grep -q '^verify ok' "$log"
    cedana job kill "hog-$codec"
  done
}

@test "--leave-running, then a second dump that ends it" {
  local log=$T/hog.log pid
  cedana run process -j hog -o "$log" -- "$WORKLOADS/memhog" --mib 32 --half-compressible
  wait_for 60 grep -q '^ready' "$log"
  pid=$(job_pid hog)
  cedana dump job hog --dir cedana://e2e --leave-running
  is_running "$pid"
  log_grows "$log"
  dump_and_restore hog
  kill -USR1 "$pid"
  wait_for 30 grep -q '^verify ok' "$log"
  run cedana job checkpoint list hog -o json
  [[ $(jq length <<<"$output") -eq 2 ]]
}

@test "exit code 42 through --attach after a restore" {
  local pid
  cedana run process -j leaver -o "$T/leaver.log" -- "$WORKLOADS/exit42"
  wait_for 20 lines_over "$T/leaver.log" '^waiting' 0
  cedana dump job leaver --dir cedana://e2e
  (sleep 1; wait_for 20 leaver_told) 3>&- &
  run cedana restore job --attach leaver
  echo "$output"
  [[ $status -eq 42 ]]
  [[ $output == *"exiting with 42"* ]]
}

leaver_told() {
  local pid
  pid=$(job_pid leaver)
  is_running "$pid" && kill -USR1 "$pid"
}
