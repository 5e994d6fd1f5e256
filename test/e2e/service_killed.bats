#!/usr/bin/env bats
# The service dies again and again under dumps and restores, and is started two seconds later: no
# durable checkpoint is lost, no process is lost, and what was under way finishes or fails clearly.

setup() {
  load common
  load clouds
  common_setup
  STORAGE_OPTIONS=(--lease 20 --heartbeat 1 --grant 20 --grace 1 --sweep-interval 1)
  start_clouds a b c
}
teardown() { common_teardown; }

@test "kill -9 of the service at random moments of dumps and restores" {
  local round pid worker url urls
  RANDOM=5
  cedana run process -j hog -o "$T/hog.log" -- "$WORKLOADS/memhog" --mib "$(tries 120 400)"
  wait_for 60 grep -q '^ready' "$T/hog.log"
  cedana dump job hog --dir cedana://e2e --name first --leave-running
  for ((round = 1; round <= $(tries 3 20); round++)); do
    if ((round % 2)); then
      cedana dump job hog --dir cedana://e2e >"$T/out" 2>&1 3>&- &
    else
      is_running "$(job_pid hog)" && { cedana dump job hog --dir cedana://e2e || true; }
      cedana restore job hog >"$T/out" 2>&1 3>&- &
    fi
    worker=$!
    sleep "0.$((RANDOM % 8))"
    kill -KILL "$STORAGE_PID"
    wait "$STORAGE_PID" 2>/dev/null || true
    sleep 2
    start_storage
    if ! wait "$worker"; then
      cat "$T/out"
      [[ $(grep -c '^Error: ' "$T/out") -eq 1 ]] || fail "no clear line"
    fi
    pid=$(job_pid hog)
    # It runs on, or it ended by a checkpoint that brings it back.
    if ! is_running "$pid"; then
      restored || fail "the process is lost"
    fi
    log_grows "$T/hog.log"
  done
  kill -USR1 "$(job_pid hog)"
  wait_for 60 grep -q '^verify ok' "$T/hog.log"
  # Everything that was said to be durable can be restored.
  cedana job kill hog
  wait_for 20 ended "$(job_pid hog)"
  mapfile -t urls < <(cedana job checkpoint list hog -o json | jq -r '.[].path')
  ((${#urls[@]} > 0))
  for url in "${urls[@]}"; do
    restored --path "$url" || fail "$url is lost"
    cedana job kill hog
    wait_for 20 ended "$(job_pid hog)"
  done
  # What cut saves left behind is swept.
  wait_for 90 nothing_stray
}

# restored [--path URL]: the job, tried again where a process of this test (the command itself, even)
# happens to have its PID at that moment.
restored() {
  local try
  for try in 1 2 3; do
    cedana restore job hog "$@" 2>&1 | tee "$T/restored.out"
    ((PIPESTATUS[0] == 0)) && return
    grep -q 'is taken by' "$T/restored.out" || return 1
  done
  return 1
}

# As many saves have objects as there are checkpoints.
nothing_stray() {
  local saves
  storage collect >/dev/null || return 1
  saves=$(find "$T"/cloud-*/s -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort -u | wc -l)
  ((saves <= $(cedana job checkpoint list hog -o json | jq length)))
}
