#!/usr/bin/env bats
# The main job with one server that somebody else wrote: as the service's only provider, and straight
# to it through the direct plugins.

setup() {
  load ../e2e/common
  common_setup
  # shellcheck source=test/peers/servers.bash
  source "$ROOT/test/peers/servers.bash"
  # Nothing of the machine's own clouds.
  unset AWS_PROFILE AWS_SESSION_TOKEN AWS_SHARED_CREDENTIALS_FILE AZURE_STORAGE_SAS_TOKEN
}

teardown() {
  stop_peers
  common_teardown
}

# main_job URL: dump ends the process, restore brings it back where it was, delete leaves nothing.
main_job() {
  local pid last id
  cedana run process -j one -o "$T/one.log" -- "$WORKLOADS/counter" 0.1
  pid=$(job_pid one)
  wait_for 10 lines_over "$T/one.log" . 2
  run cedana dump job one --dir "$1"
  echo "$output"
  [[ $status -eq 0 && ${lines[-1]} == "Dumped to $1/"* ]]
  ended "$pid"
  last=$(tail -n 1 "$T/one.log")
  id=$(cedana job checkpoint list one -o json | jq -r '.[0].id')
  [[ -n $id && $id != null ]]
  cedana restore job one
  [[ $(job_pid one) == "$pid" ]]
  log_grows "$T/one.log"
  # Every number once: it went on, and did not begin again.
  [[ $(sort "$T/one.log" | uniq -d | wc -l) -eq 0 ]]
  grep -qxF -- "$last" "$T/one.log"
  cedana job checkpoint delete "$id"
  [[ $(cedana job checkpoint list one -o json | jq length) -eq 0 ]]
}

# only_provider SCHEME PEER [OPTIONS]: the service stands on this server alone.
only_provider() {
  local endpoint=CEDANA_PEER_$2 credentials=CEDANA_PEER_$2_CREDENTIALS
  STORAGE_OPTIONS=(--provider "only=$1://packs/e2e?endpoint=${!endpoint}&credentials=${!credentials}${3:-}")
  start_all
  main_job cedana://peers
}

# direct PLUGIN URL
direct() {
  export CEDANA_CHECKPOINT_DIR=$2  # where `restore job` looks
  cedana plugin install "$1"
  start_daemon
  main_job "$2"
}

@test "service on versitygw (S3)" {
  start_versitygw "$T/versitygw"
  only_provider s3 S3 "&style=path"
}

@test "service on fake-gcs-server (Google Cloud Storage)" {
  start_fake_gcs "$T/fake_gcs"
  only_provider gcs GCS
}

@test "service on Azurite (Azure Blob Storage)" {
  start_azurite "$T/azurite"
  only_provider azure AZURE
}

@test "s3:// on versitygw" {
  start_versitygw "$T/versitygw"
  export AWS_ENDPOINT=$CEDANA_PEER_S3 AWS_REGION=us-east-1
  AWS_ACCESS_KEY_ID=$(jq -r .access_key_id "$CEDANA_PEER_S3_CREDENTIALS")
  AWS_SECRET_ACCESS_KEY=$(jq -r .secret_access_key "$CEDANA_PEER_S3_CREDENTIALS")
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
  direct storage/s3 s3://packs/e2e
}

@test "gcs:// on fake-gcs-server" {
  start_fake_gcs "$T/fake_gcs"
  export CEDANA_GCS_ENDPOINT=$CEDANA_PEER_GCS
  export GOOGLE_APPLICATION_CREDENTIALS=$CEDANA_PEER_GCS_CREDENTIALS
  direct storage/gcs gcs://packs/e2e
}

@test "azure:// on Azurite" {
  start_azurite "$T/azurite"
  export CEDANA_AZURE_ENDPOINT=$CEDANA_PEER_AZURE
  AZURE_STORAGE_ACCOUNT=$(jq -r .account "$CEDANA_PEER_AZURE_CREDENTIALS")
  AZURE_STORAGE_KEY=$(jq -r .key "$CEDANA_PEER_AZURE_CREDENTIALS")
  export AZURE_STORAGE_ACCOUNT AZURE_STORAGE_KEY
  direct storage/azure azure://packs/e2e
}
