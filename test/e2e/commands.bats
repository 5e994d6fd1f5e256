#!/usr/bin/env bats
# Every command once, as its user types it.

setup() { load common; common_setup; start_all; }
teardown() { common_teardown; }

@test "run: log, user, pid file, attach with input and exit code, duplicate name, unknown program" {
  cedana run process -j one -o "$T/one.log" --pid-file "$T/one.pid" -- "$WORKLOADS/counter" 0.1
  [[ $(cat "$T/one.pid") == "$(job_pid one)" ]]
  log_grows "$T/one.log"
  run cedana run process -j one -- /bin/true
  [[ $status -eq 1 && $output == *"job one already exists"* ]]
  run cedana run process -j two -- no-such-program-anywhere
  [[ $status -eq 1 && $output == "Error: "* ]]
  run bash -c "printf 'a\nb\n' | '$BIN/cedana' run process --attach -- sh -c 'cat; echo err >&2; exit 7'"
  echo "$output"
  [[ $status -eq 7 && $output == *a*b*err* ]]
  run cedana run process --attach -- sh -c 'kill -TERM $$'
  [[ $status -eq 143 ]]
  run cedana exec --attach --as-root -- id -u
  [[ $status -eq 0 && $output == 0 ]]
}

@test "job: list, inspect, kill with a signal, delete with its checkpoints" {
  local id
  cedana run process -j one -o "$T/one.log" -- "$WORKLOADS/counter" 0.1
  run cedana job list
  [[ ${lines[0]} == ID*TYPE*PID*STATUS*GPU*TIME*SIZE*PATH*LOG* ]]
  run cedana job inspect one
  [[ $status -eq 0 && $output == *jid:*one* ]]
  cedana dump job one --dir cedana://e2e --leave-running
  cedana dump job one --dir cedana://e2e --leave-running
  id=$(cedana job checkpoint list one -o json | jq -r '.[1].id')
  cedana job checkpoint delete "$id"
  [[ $(cedana job checkpoint list one -o json | jq length) -eq 1 ]]
  run cedana job delete one
  [[ $status -eq 0 && $output == *"is running, please kill it first"* ]]
  run cedana job kill one
  [[ $output == *"Killed job one"* ]]
  wait_for 10 eval '[[ $(job_status one) == halted ]]'
  cedana job delete one --checkpoints
  run cedana job list
  [[ $output == *"No jobs found"* ]]
  # The data went with it.
  run curl -fsS -H "Authorization: Bearer $CEDANA_AUTH_TOKEN" "$CEDANA_URL/v2/files/dir/e2e"
  [[ $output == '[]' ]]
}

@test "logs: JSON on both sides, tied together by the operation's name" {
  local operation what
  stop_daemon
  kill -TERM "$STORAGE_PID"
  wait "$STORAGE_PID"
  rm -f "$T/storage.log" "$HOST/daemon.log"
  STORAGE_OPTIONS+=(--log-format json)
  start_storage
  CEDANA_LOG_FORMAT=json start_daemon
  cedana run process -j one -o "$T/one.log" -- "$WORKLOADS/counter" 0.1
  cedana dump job one --dir cedana://e2e
  cedana restore job one
  for what in dumped restored; do
    operation=$(jq -sr --arg what "$what" 'map(select(.event == $what and .program == "cedana"))[0].operation' \
      "$HOST/daemon.log")
    [[ ${#operation} -eq 16 ]]
    # Calls and, on the service's own provider, bytes.
    jq -es --arg name "$operation-" '[.[] | select(.event == "request" and .program == "cedana-storage")
      | select(.request | startswith($name))] | (length > 2) and (map(.status | type) | unique == ["number"])
      and any(.path | startswith("/v3/objects/"))' "$T/storage.log"
  done
  CEDANA_LOG_FORMAT=xml run "$BIN/cedana" daemon start
  [[ $status -eq 1 && $output == "Error: log_format xml: text or json is wanted" ]]
}

@test "manage: a foreign process is dumped and restored as a job" {
  local pid
  setsid "$WORKLOADS/counter" 0.1 </dev/null >>"$T/foreign.log" 2>&1 3>&- &
  pid=$!
  wait_for 10 lines_over "$T/foreign.log" . 2
  cedana manage process "$pid" -j foreign
  run cedana manage process "$pid"
  [[ $status -eq 1 && $output == *"already being managed under job foreign"* ]]
  cedana dump job foreign --dir cedana://e2e
  wait "$pid" || true
  cedana restore job foreign
  [[ $(job_pid foreign) == "$pid" ]]
  log_grows "$T/foreign.log"
  awk 'NR != $1 { exit 1 }' "$T/foreign.log"
}

@test "dump process and restore process by path" {
  local pid path
  setsid "$WORKLOADS/counter" 0.1 </dev/null >>"$T/bare.log" 2>&1 3>&- &
  pid=$!
  wait_for 10 lines_over "$T/bare.log" . 2
  run cedana dump process "$pid" --dir cedana://e2e --name bare --compression lz4
  echo "$output"
  [[ ${lines[-1]} == "Dumped to cedana://e2e/bare.tar.lz4" ]]
  wait "$pid" || true
  for path in cedana://e2e/bare.tar.lz4 cedana://e2e/bare; do
    run cedana restore process --path "$path"
    echo "$output"
    [[ $status -eq 0 && $output == *"Restored successfully, PID: $pid"* ]]
    log_grows "$T/bare.log"
    kill -KILL "$pid"
    wait_for 10 ended "$pid"
  done
}

@test "an attachable job keeps its pipes over a dump" {
  local i
  cedana run process -j lines --attachable -- sh -c 'read -r a; echo "first $a"; read -r b; echo "second $b"; exit 5'
  sleep 0.5
  cedana dump job lines --dir cedana://e2e
  run bash -c "printf 'x\ny\n' | '$BIN/cedana' restore job --attach lines"
  echo "$output"
  [[ $status -eq 5 ]]
  [[ $output == *"first x"* && $output == *"second y"* ]]
}

@test "a deleted job log is made again at the restore, another one is taken with --out" {
  cedana run process -j one -o "$T/one.log" -- "$WORKLOADS/counter" 0.1
  wait_for 10 lines_over "$T/one.log" . 2
  cedana dump job one --dir cedana://e2e
  rm "$T/one.log"
  cedana restore job one
  wait_for 10 lines_over "$T/one.log" . 2
  cedana dump job one --dir cedana://e2e
  cedana restore job one --out "$T/other.log"
  wait_for 10 lines_over "$T/other.log" . 2
}

@test "--tcp-close lets a job go on without its connection" {
  local port
  "$WORKLOADS/tcp_peer" server 0 >"$T/server.log" 2>&1 3>&- &
  track $!
  wait_for 10 grep -q '^listening' "$T/server.log"
  port=$(sed -n 's/^listening //p' "$T/server.log")
  cedana run process -j peer -o "$T/peer.log" -- "$WORKLOADS/tcp_peer" client "$port"
  wait_for 10 lines_over "$T/peer.log" '^ok' 0
  cedana dump job peer --dir cedana://e2e --tcp-close
  cedana restore job peer --tcp-close
  wait_for 20 grep -q BAD "$T/peer.log"
}

@test "a taken pid is named before anything is touched" {
  local pid
  cedana run process -j one -o "$T/one.log" -- "$WORKLOADS/counter" 0.1
  pid=$(job_pid one)
  cedana dump job one --dir cedana://e2e --leave-running --name running
  run cedana restore process --path cedana://e2e/running
  echo "$output"
  [[ $status -eq 1 && ($output == *"already running"* || $output == *"$pid"*) ]]
  is_running "$pid"
}

@test "check: CRIU, storage, token and a probe of the storage" {
  run cedana check --full
  echo "$output"
  [[ $status -eq 0 ]]
  [[ $output == *criu* || $output == *CRIU* ]]
  [[ $output == *valid* && $output == *ms* ]]
  run cedana daemon check --full
  echo "$output"
  [[ $status -eq 0 ]]
  kill -TERM "$STORAGE_PID"
  wait_for 10 ended "$STORAGE_PID"
  run cedana check --full
  echo "$output"
  [[ $status -eq 1 && $output == *"Error: Failed with"* ]]
}

@test "plugin, version, completion, configuration" {
  run cedana plugin list
  [[ $output == *storage/cedana*installed* ]]
  run cedana plugin install no/such
  [[ $status -eq 1 ]]
  run cedana version
  [[ $status -eq 0 && -n $output ]]
  run cedana completion bash
  [[ $status -eq 0 && $output == *complete* ]]
  bash -n <(cedana completion bash)
  cedana --init-config version
  [[ $(stat -c %a "$CEDANA_CONFIG_DIR/config.json") == 600 ]]
  jq -e '.connection.url' "$CEDANA_CONFIG_DIR/config.json"
}

@test "checkpoint.dir makes a storage folder the default" {
  stop_daemon
  mkdir -p "$CEDANA_CONFIG_DIR"
  echo '{"Checkpoint": {"Dir": "cedana://by-default", "Compression": "zstd"}}' >"$CEDANA_CONFIG_DIR/config.json"
  unset CEDANA_CHECKPOINT_DIR
  start_daemon
  cedana run process -j one -o "$T/one.log" -- "$WORKLOADS/counter" 0.1
  run cedana dump job one
  echo "$output"
  [[ $status -eq 0 && ${lines[-1]} == "Dumped to cedana://by-default/"* ]]
}

@test "a checkpoint is listed and downloaded as a tar by /v2" {
  local url auth="Authorization: Bearer $CEDANA_AUTH_TOKEN"
  cedana run process -j hog -o "$T/hog.log" -- "$WORKLOADS/memhog" --mib 20 --zero-percent 30
  wait_for 30 grep -q '^ready' "$T/hog.log"
  cedana dump job hog --dir cedana://e2e --name hog
  [[ $(curl -fsS -H "$auth" "$CEDANA_URL/v2/files/dir/e2e") == '["hog.tar"]' ]]
  url=$(curl -fsS -H "$auth" "$CEDANA_URL/v2/files/e2e%2Fhog.tar")
  curl -fsS "$url" -o "$T/hog.tar"
  mkdir "$T/images"
  tar -xf "$T/hog.tar" -C "$T/images"
  [[ -f $T/images/inventory.img && -f $T/images/process_state.json ]]
  # Plain CRIU restores what the archive holds.
  wait_for 10 ended "$(job_pid hog)"
  "$BUILD/criu/criu" restore -D "$T/images" -d --pidfile "$T/pf" --network-lock nftables \
    --file-locks --manage-cgroups=ignore -v1 -o "$T/plain.log" || { cat "$T/plain.log"; false; }
  kill -USR1 "$(cat "$T/pf")"
  wait_for 20 grep -q '^verify ok' "$T/hog.log"
  kill -KILL "$(cat "$T/pf")"
}
