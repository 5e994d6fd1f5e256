#!/usr/bin/env bats
# A second daemon with an empty job table finds a job by its name in the storage.

setup() { load common; common_setup; start_all; }
teardown() { common_teardown; }

@test "a job is restored by a daemon that never saw it" {
  local pid log=$T/work.log before
  cedana run process -j my-job-1 -o "$log" -- "$WORKLOADS/exit42" "$T/go"
  wait_for 20 lines_over "$log" '^waiting' 1
  pid=$(job_pid my-job-1)
  cedana dump job my-job-1 --dir cedana://my-checkpoints
  ended "$pid"
  use_host b
  cedana plugin install storage/cedana
  start_daemon
  run cedana job list
  [[ $output == *"No jobs found"* ]]
  (sleep 2; touch "$T/go") 3>&- &
  run --separate-stderr cedana restore job --attach my-job-1
  echo "$output"
  echo "$stderr"
  [[ $status -eq 42 ]]
  [[ $output == *"exiting with 42"* ]]
  # Whose it is and from when.
  [[ $stderr$output == *"@$(hostname)"* ]]
  run cedana job list
  [[ $output == *my-job-1* ]]
}

@test "a name that two jobs share is asked about" {
  local host
  for host in a b; do
    use_host "$host"
    [[ $host == a ]] || { cedana plugin install storage/cedana; start_daemon; }
    cedana run process -j twin -o "$T/$host.log" -- "$WORKLOADS/counter" 0.1
    sleep 0.5
    cedana dump job twin --dir cedana://twins
  done
  use_host c
  cedana plugin install storage/cedana
  start_daemon
  run cedana restore job twin
  echo "$output"
  [[ $status -eq 1 ]]
  [[ $(grep -c -- '--path cedana://twins/' <<<"$output") -eq 2 ]]
  # On a terminal: the second of the list is the older one, that of host a.
  run script -qec "'$BIN/cedana' restore job twin" /dev/null <<<2
  echo "$output"
  [[ $status -eq 0 && $output == *"which one [1-2]"* ]]
  wait_for 10 log_grows "$T/a.log"
}

@test "a name that very many jobs share: the newest are listed, and how many more there are" {
  local count n long
  count=$(tries 25 60)
  long=$(printf 'x%.0s' {1..3000})
  for ((n = 0; n < count; ++n)); do
    cedana run process -j twin -o "$T/many.log" -- "$WORKLOADS/counter" 0.1 "$long"
    cedana dump job twin --dir cedana://twins
    cedana job delete twin
  done
  run cedana restore job twin
  echo "$output"
  [[ $status -eq 1 && $output == *"several jobs are called twin"* ]]
  [[ $(grep -c -- '--path cedana://twins/' <<<"$output") -eq 20 ]]
  [[ $output == *"and $((count - 20)) more"* ]]
}
