# Several providers on this machine, each a `cloud` (test/tools) that a test can spoil while it runs.
# Loaded after `common`.

CLOUD=$BUILD/test/tools/cloud
declare -gA CLOUD_PID CLOUD_PORT CLOUD_CONTROL
declare -gA CLOUD_DIALECT  # s3 where none is said, gcs or azure

# start_cloud NAME: a provider of its own failure domain; started again it keeps port and objects.
start_cloud() {
  local name=$1
  rm -f "$T/cloud-$name.out"  # of the one before: it would be read instead of this one's
  "$CLOUD" --data "$T/cloud-$name" --port "${CLOUD_PORT[$name]:-0}" --control "${CLOUD_CONTROL[$name]:-0}" \
    --dialect "${CLOUD_DIALECT[$name]:-s3}" --credentials "$T/cloud-$name.json" --seed "$((1 + ${#CLOUD_PORT[@]}))" \
    >"$T/cloud-$name.out" 2>>"$T/cloud-$name.log" 3>&- &
  CLOUD_PID[$name]=$!
  track "${CLOUD_PID[$name]}"
  wait_for 10 grep -q '^listening ' "$T/cloud-$name.out"
  read -r _ "CLOUD_PORT[$name]" "CLOUD_CONTROL[$name]" <"$T/cloud-$name.out"
}

kill_cloud() {
  kill -KILL "${CLOUD_PID[$1]}"
  wait "${CLOUD_PID[$1]}" 2>/dev/null || true
}

# cloud_url NAME: as --provider takes it.
cloud_url() {
  local dialect=${CLOUD_DIALECT[$1]:-s3} more=
  case $dialect in
    s3) more='&style=path' ;;
    azure) more=/acme ;;  # the account, of which an imposter's path has the name
  esac
  echo "$dialect://packs?endpoint=http://127.0.0.1:${CLOUD_PORT[$1]}$more&domain=$1&credentials=$T/cloud-$1.json"
}

# tell_cloud NAME PATH [JSON]: changes what goes wrong there (test/tools/README.md).
tell_cloud() { curl -sS --fail-with-body -o /dev/null -d "${3:-{\}}" "127.0.0.1:${CLOUD_CONTROL[$1]}/$2"; }
heal_cloud() {
  curl -sS -o /dev/null -X DELETE "127.0.0.1:${CLOUD_CONTROL[$1]}/fault"
  tell_cloud "$1" pace "{\"bytes_per_s\": ${PACE:-0}}"
  tell_cloud "$1" listen '{"on": true}'
}
# cloud_count NAME MEMBER: requests, puts, gets, body_bytes_in, …
cloud_count() { curl -sS "127.0.0.1:${CLOUD_CONTROL[$1]}/counts" | jq -r ".$2"; }

# start_clouds NAME…: providers, a service that uses them all, plugin and daemon.
start_clouds() {
  local name
  for name in "$@"; do
    start_cloud "$name"
    STORAGE_OPTIONS+=(--provider "$name=$(cloud_url "$name")")
  done
  start_all
}

storage() {
  local command=("$1")
  shift
  while (($#)) && [[ $1 != -* ]]; do command+=("$1"); shift; done
  "$BIN/cedana-storage" "${command[@]}" --data "$T/storage" --url "$CEDANA_URL" "$@"
}

# spoil NAME HOW: what goes wrong at a provider from now on.
spoil() {
  case $2 in
    killed) kill_cloud "$1" ;;
    refusing) tell_cloud "$1" listen '{"on": false}' ;;
    unavailable) tell_cloud "$1" fault '{"status": 503}' ;;
    throttling) tell_cloud "$1" fault '{"status": 503, "code": "SlowDown", "retry_after_s": 1}' ;;
    silent) tell_cloud "$1" fault '{"no_answer": true}' ;;
    slow) tell_cloud "$1" pace '{"bytes_per_s": 100000}' ;;
    unlisted) tell_cloud "$1" fault '{"operation": "list", "no_answer": true}' ;;
    full) tell_cloud "$1" fault '{"operation": "put", "status": 507}' ;;
    lying) tell_cloud "$1" fault '{"operation": "get", "flip_bit": 4242}' ;;
    *) fail "no such trouble: $2" ;;
  esac
}

# cure NAME HOW: the provider is back, with the objects that it had.
cure() {
  if [[ $2 == killed ]]; then start_cloud "$1"; else heal_cloud "$1"; fi
}

# The service owes no shard any more.
fully_replicated() {
  [[ $(storage status -o json | jq -r '.debt.packs + .debt.manifests') == 0 ]]
}
