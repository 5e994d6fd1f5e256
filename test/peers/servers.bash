# Starts storage servers that others wrote, on loopback, each with its data below one folder. To be
# sourced; scripts/peers.sh has installed them in build/peers.
#
#   start_peers FOLDER     starts all and exports where they are
#   stop_peers             stops what was started, by process id
#
# Each has a bucket (container) `packs`. The secrets are of these servers only and open nothing else.

peers_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
peers_bin=$peers_root/build/peers
peers_pids=()

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# run_peer FOLDER PORT COMMAND...: starts it and waits until it takes connections.
run_peer() {
  local folder=$1 port=$2 deadline=$((SECONDS + 30)) pid
  shift 2
  "$@" >"$folder.log" 2>&1 </dev/null &
  pid=$!
  peers_pids+=("$pid")
  until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    if ! kill -0 "$pid" 2>/dev/null || ((SECONDS > deadline)); then
      echo "peers: $1 does not serve:" >&2
      tail -n 20 "$folder.log" >&2
      return 1
    fi
    sleep 0.1
  done
}

# S3; checks signatures of requests and of presigned URLs.
start_versitygw() {
  local port
  port=$(free_port)
  mkdir -p "$1/data/packs"
  # Checksums are kept as extended attributes. Beside the data (--sidecar) they come a moment later,
  # and somebody who reads in that moment is refused.
  ROOT_ACCESS_KEY=cedana-peer ROOT_SECRET_KEY=a-secret-of-this-test \
    run_peer "$1" "$port" "$peers_bin/bin/versitygw" --quiet --port "127.0.0.1:$port" \
    posix "$1/data" || return 1
  printf '{"access_key_id": "cedana-peer", "secret_access_key": "a-secret-of-this-test"}\n' \
    >"$1/credentials.json"
  export CEDANA_PEER_S3="http://127.0.0.1:$port" CEDANA_PEER_S3_CREDENTIALS=$1/credentials.json
}

# Google Cloud Storage; knows no signatures.
start_fake_gcs() {
  local port
  port=$(free_port)
  mkdir -p "$1/data/packs"
  run_peer "$1" "$port" "$peers_bin/bin/fake-gcs-server" -scheme http -host 127.0.0.1 -port "$port" \
    -public-host "127.0.0.1:$port" -backend filesystem -filesystem-root "$1/data" \
    -log-level warn || return 1
  # A service account's key file, as the cloud's console gives it.
  python3 - "$(openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null)" \
    >"$1/credentials.json" <<'PYTHON'
import json, sys
print(json.dumps({"type": "service_account", "client_email": "peer@cedana.test",
                  "private_key_id": "1", "private_key": sys.argv[1] + "\n"}))
PYTHON
  export CEDANA_PEER_GCS="http://127.0.0.1:$port" CEDANA_PEER_GCS_CREDENTIALS=$1/credentials.json
}

# Azure Blob Storage; checks signatures of requests and shared access signatures. Its account and
# key are those that its documentation gives to everybody.
start_azurite() {
  local port account=devstoreaccount1
  local key="Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
  port=$(free_port)
  mkdir -p "$1/data"
  run_peer "$1" "$port" node "$peers_bin/azurite/node_modules/.bin/azurite-blob" --silent \
    --disableTelemetry --blobHost 127.0.0.1 --blobPort "$port" --location "$1/data" || return 1
  printf '{"account": "%s", "key": "%s"}\n' "$account" "$key" >"$1/credentials.json"
  export CEDANA_PEER_AZURE="http://127.0.0.1:$port/$account"
  export CEDANA_PEER_AZURE_CREDENTIALS=$1/credentials.json
  "$peers_root/test/peers/make_container.py" "$CEDANA_PEER_AZURE" packs "$1/credentials.json"
}

start_peers() {
  local name
  for name in versitygw fake_gcs azurite; do
    mkdir -p "$1/$name"
    "start_$name" "$1/$name" || return 1
  done
}

stop_peers() {
  local pid
  for pid in "${peers_pids[@]}"; do
    kill "$pid" 2>/dev/null || true
  done
  for pid in "${peers_pids[@]}"; do
    wait "$pid" 2>/dev/null || true
  done
  peers_pids=()
}
