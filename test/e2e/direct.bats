#!/usr/bin/env bats
# Straight to one cloud, without the service: every direct plugin through the whole main job, with
# its health check and collection, two hosts on one bucket, and what goes wrong in one clear line.

setup() {
  load common
  common_setup
  CLOUD=$BUILD/test/tools/cloud
  # Nothing of the machine's own clouds.
  unset "${!AWS_@}" "${!AZURE_STORAGE_@}" GOOGLE_APPLICATION_CREDENTIALS
}
teardown() { common_teardown; }

# start_dialect DIALECT: sets PORT and CONTROL; the credentials are in $T/cloud.json.
start_dialect() {
  "$CLOUD" --dialect "$1" --data "$T/cloud" --port 0 --control 0 --credentials "$T/cloud.json" \
    >"$T/cloud.out" 2>>"$T/cloud.log" 3>&- &
  CLOUD_PID=$!
  track "$CLOUD_PID"
  wait_for 10 grep -q '^listening ' "$T/cloud.out"
  read -r _ PORT CONTROL <"$T/cloud.out"
}

use_s3() {
  start_dialect s3
  AWS_ACCESS_KEY_ID=$(jq -r .access_key_id "$T/cloud.json")
  AWS_SECRET_ACCESS_KEY=$(jq -r .secret_access_key "$T/cloud.json")
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION=us-east-1
  export AWS_ENDPOINT=http://127.0.0.1:$PORT
}

use_gcs() {
  start_dialect gcs
  export CEDANA_GCS_ENDPOINT=http://127.0.0.1:$PORT GOOGLE_APPLICATION_CREDENTIALS=$T/cloud.json
}

use_azure() {
  start_dialect azure
  AZURE_STORAGE_ACCOUNT=$(jq -r .account "$T/cloud.json")
  AZURE_STORAGE_KEY=$(jq -r .key "$T/cloud.json")
  export AZURE_STORAGE_ACCOUNT AZURE_STORAGE_KEY
  export CEDANA_AZURE_ENDPOINT=http://127.0.0.1:$PORT/$AZURE_STORAGE_ACCOUNT
}

# main_job SCHEME URL: check, dump, list, restore, delete, collect; at the end nothing is listed.
# No setting names the URL after the check: where the checkpoints lie the daemon remembers itself.
main_job() {
  local pid id
  cedana plugin install "storage/$1"
  start_daemon
  CEDANA_CHECKPOINT_DIR=$2 run cedana check --full
  echo "$output"
  [[ $output == *"storage probe"*" ms"* ]]
  cedana run process -j one -o "$T/one.log" -- "$WORKLOADS/counter" 0.1
  pid=$(job_pid one)
  wait_for 10 lines_over "$T/one.log" . 2
  run cedana dump job one --dir "$2"
  echo "$output"
  [[ $status -eq 0 && ${lines[-1]} == "Dumped to $2/"* ]]
  ended "$pid"
  run cedana dump job one --dir "$2"
  [[ $status -eq 1 ]]
  cedana restore job one
  [[ $(job_pid one) == "$pid" ]]
  log_grows "$T/one.log"
  [[ $(sort "$T/one.log" | uniq -d | wc -l) -eq 0 ]]
  id=$(cedana job checkpoint list one -o json | jq -r '.[0].id')
  cedana job checkpoint delete "$id"
  [[ $(cedana job checkpoint list one -o json | jq length) -eq 0 ]]
  # What is younger than a day stays.
  run cedana storage collect "$2"
  echo "$output"
  [[ $status -eq 0 ]]
}

@test "s3://: check, dump, list, restore, delete, collect" {
  use_s3
  main_job s3 s3://packs/team/ckpt
}

@test "gcs://: check, dump, list, restore, delete, collect" {
  use_gcs
  main_job gcs gcs://packs/team/ckpt
}

@test "azure://: check, dump, list, restore, delete, collect" {
  use_azure
  main_job azure azure://packs/team/ckpt
}

@test "file://: check, dump, list, restore, delete, collect" {
  mkdir "$T/disk"
  main_job file "file://$T/disk/ckpt"
}

@test "two hosts share a bucket: each finds, lists and deletes what the other has dumped" {
  local pid first
  use_s3
  export CEDANA_CHECKPOINT_DIR=s3://packs/shared
  cedana plugin install storage/s3
  start_daemon
  cedana run process -j moves -o "$T/moves.log" -- "$WORKLOADS/counter" 0.1
  pid=$(job_pid moves)
  wait_for 10 lines_over "$T/moves.log" . 2
  cedana dump job moves
  ended "$pid"
  stop_daemon
  use_host b
  cedana plugin install storage/s3
  start_daemon
  cedana restore job moves
  log_grows "$T/moves.log"
  pid=$(job_pid moves)
  sleep 1.1  # a bucket's clock has seconds, and which is newer is asked below
  cedana dump job moves
  ended "$pid"
  run cedana job checkpoint list moves -o json
  [[ $(jq length <<<"$output") -eq 2 ]]
  first=$(jq -r '.[1].path' <<<"$output")
  cedana job checkpoint delete "$first"
  run cedana job checkpoint delete "$first"
  [[ $status -eq 1 && $output == *"checkpoint $first not found"* ]]
  stop_daemon
  # Back on the first host: its own record is of one that is gone, the other's checkpoint is newer.
  use_host a
  start_daemon
  run cedana job checkpoint list moves -o json
  echo "$output"
  [[ $(jq -c 'map(.durability)' <<<"$output") == '["durable","gone"]' ]]
  cedana restore job moves
  log_grows "$T/moves.log"
  [[ $(sort "$T/moves.log" | uniq -d | wc -l) -eq 0 ]]
  cedana job checkpoint delete "$(jq -r '.[0].id' <<<"$output")"
  cedana job checkpoint delete "$(jq -r '.[1].id' <<<"$output")"
  [[ $(cedana job checkpoint list moves -o json | jq length) -eq 0 ]]
}

@test "a missing bucket, a wrong key and a dead cloud: one clear line, and the process runs on" {
  local pid
  use_s3
  cedana plugin install storage/s3
  start_daemon
  cedana run process -j one -o "$T/one.log" -- "$WORKLOADS/counter" 0.1
  pid=$(job_pid one)
  run cedana dump job one --dir s3://nobucket/ckpt
  echo "$output"
  [[ $status -eq 1 && $output == *"s3://nobucket/ckpt"*NoSuchBucket* ]]
  is_running "$pid"
  kill -KILL "$CLOUD_PID"
  wait "$CLOUD_PID" 2>/dev/null || true
  run cedana dump job one --dir s3://packs/ckpt
  echo "$output"
  [[ $status -eq 1 && $output == *"s3://packs/ckpt"* && $output != *"$AWS_SECRET_ACCESS_KEY"* ]]
  is_running "$pid"
  log_grows "$T/one.log"
}
