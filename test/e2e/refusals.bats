#!/usr/bin/env bats
# Bad tokens, foreign paths, forged grants, a full disk: one clear line, and nothing changed.

setup() {
  load common
  common_setup
}
teardown() { common_teardown; }

start_counter() {
  cedana run process -j count -o "$T/count.log" -- "$WORKLOADS/counter" 0.1
  PID=$(job_pid count)
}

# refused PATTERN COMMAND…: fails with exactly one error line, which matches.
refused() {
  local pattern=$1
  shift
  run --separate-stderr "$@"
  echo "$stderr"
  [[ $status -eq 1 ]]
  [[ $(grep -c '^Error: ' <<<"$stderr") -eq 1 ]]
  grep -qiE -- "$pattern" <<<"$stderr"
}


@test "a wrong, a revoked and a missing token" {
  local id
  start_storage
  cedana plugin install storage/cedana
  id=$("$BIN/cedana-storage" token create --org default --data "$T/storage" --url "$CEDANA_URL" -o json >"$T/token.json"; jq -r .id "$T/token.json")
  CEDANA_AUTH_TOKEN=$(jq -r .token "$T/token.json") start_daemon
  start_counter
  cedana dump job count --dir cedana://e2e --leave-running
  "$BIN/cedana-storage" token revoke "$id" --data "$T/storage" --url "$CEDANA_URL"
  refused 'token' cedana dump job count --dir cedana://e2e
  is_running "$PID"
  stop_daemon
  CEDANA_AUTH_TOKEN=cdn_wrong start_daemon
  refused 'token' cedana dump job count --dir cedana://e2e
  is_running "$PID"
  stop_daemon
  CEDANA_AUTH_TOKEN='' start_daemon
  refused 'CEDANA_AUTH_TOKEN' cedana dump job count --dir cedana://e2e
  is_running "$PID"
  # No secret in any log.
  run ! grep -rF "$(jq -r .token "$T/token.json")" "$HOST/daemon.log" "$T/storage.log"
}

@test "another organisation's path is not there" {
  start_all
  start_counter
  cedana dump job count --dir cedana://e2e --name mine
  stop_daemon
  "$BIN/cedana-storage" org create other --data "$T/storage" --url "$CEDANA_URL"
  CEDANA_AUTH_TOKEN=$("$BIN/cedana-storage" token create --org other --data "$T/storage" --url "$CEDANA_URL" -o json | jq -r .token)
  export CEDANA_AUTH_TOKEN
  start_daemon
  refused 'not ?found' cedana restore process --path cedana://e2e/mine
  run curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $CEDANA_AUTH_TOKEN" "$CEDANA_URL/v2/files/e2e%2Fmine.tar"
  [[ $output == 404 ]]
}

@test "an altered and an expired grant" {
  local auth save pack grant url
  STORAGE_OPTIONS=(--grant 2)
  start_storage
  auth="Authorization: Bearer $CEDANA_AUTH_TOKEN"
  save=$(printf '%032x' 1) pack=$(printf '%032x' 2)
  curl -fsS -X PUT -H "$auth" "$CEDANA_URL/v3/saves/$save" \
    -d "{\"checkpoint\":\"$(printf '%032x' 3)\",\"path\":\"e2e/x\",\"generated\":false}" >/dev/null
  grant=$(curl -fsS -X POST -H "$auth" "$CEDANA_URL/v3/saves/$save/grants" \
    -d "{\"packs\":[{\"pack\":\"$pack\",\"bytes\":3,\"crc32c\":0}]}")
  url=$(jq -r '.grants[0].url' <<<"$grant")
  put() { curl -s -o /dev/null -w '%{http_code}' -X PUT --data-binary abc "$1"; }
  [[ $(put "${url/size=3/size=4}") == 403 ]]
  [[ $(put "$url") == 422 ]]  # the bytes are not those of the checksum
  sleep 3
  [[ $(put "$url") == 403 ]]
  [[ -z $(find "$T/storage/objects/s" -type f 2>/dev/null) ]]
}

@test "a full disk under the provider" {
  mkdir "$T/small"
  mount -t tmpfs -o size=16m none "$T/small"
  STORAGE_OPTIONS=(--provider "small=file://$T/small")
  start_all
  cedana run process -j hog -o "$T/hog.log" -- "$WORKLOADS/memhog" --mib 100
  wait_for 60 grep -q '^ready' "$T/hog.log"
  PID=$(job_pid hog)
  refused 'full|space' cedana dump job hog --dir cedana://e2e
  is_running "$PID"
  log_grows "$T/hog.log"
  grep -qiE 'space|full|507' "$T/storage.log"
  [[ $(curl -fsS -H "Authorization: Bearer $CEDANA_AUTH_TOKEN" "$CEDANA_URL/v3/checkpoints" | jq '.checkpoints | length') == 0 ]]
  stop_daemon
  kill -TERM "$STORAGE_PID"
  wait_for 10 ended "$STORAGE_PID"
  umount "$T/small"
}

@test "bad input changes nothing" {
  start_all
  start_counter
  refused 'storage URL|scheme|cedana://' cedana dump job count --dir /tmp
  refused 'lz4' cedana dump job count --dir cedana://e2e --compression lzma
  refused 'path|\.\.' cedana dump job count --dir cedana://e2e/../x
  refused 'not found' cedana dump job nobody --dir cedana://e2e
  refused 'no process' cedana dump process 2147483 --dir cedana://e2e
  refused 'ancestor' cedana dump process 1 --dir cedana://e2e
  refused 'already running' cedana restore job count
  cedana plugin remove storage/cedana
  refused 'plugin install storage/cedana' cedana dump job count --dir cedana://e2e
  cedana plugin install storage/cedana
  cedana dump job count --dir cedana://e2e --name taken --leave-running
  refused 'taken|exists' cedana dump job count --dir cedana://e2e --name taken
  is_running "$PID"
}
