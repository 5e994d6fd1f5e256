#!/usr/bin/env bats
# The service over TLS with an authority of its own: the whole way works, a wrong authority or host
# name is refused in one clear line, and a renewed certificate needs no restart.

setup() {
  load common
  common_setup
  CERTS=$T/certs
  mkdir "$CERTS"
  authority ca
  certificate IP:127.0.0.1
  STORAGE_OPTIONS=(--tls-cert "$CERTS/cert.pem" --tls-key "$CERTS/key.pem")
}
teardown() { common_teardown; }

authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 \
    -subj "/CN=authority $1" -keyout "$CERTS/$1.key" -out "$CERTS/$1.pem" 2>/dev/null
}

# certificate NAMES: of the authority `ca`, put in place of the one before
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=service \
    -keyout "$CERTS/next.key" -out "$CERTS/next.csr" 2>/dev/null
  openssl x509 -req -in "$CERTS/next.csr" -CA "$CERTS/ca.pem" -CAkey "$CERTS/ca.key" -days 1 \
    -extfile <(echo "subjectAltName=$1") -out "$CERTS/next.pem" 2>/dev/null
  mv "$CERTS/next.pem" "$CERTS/cert.pem"
  mv "$CERTS/next.key" "$CERTS/key.pem"
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

@test "dump, list, restore and administration over TLS" {
  export CEDANA_CONNECTION_CA_FILE=$CERTS/ca.pem
  start_all
  [[ $CEDANA_URL == https://127.0.0.1:* ]]
  cedana run process -j hog -o "$T/hog.log" -- "$WORKLOADS/memhog" --mib 40
  wait_for 30 grep -q '^ready' "$T/hog.log"
  cedana dump job hog --dir cedana://e2e --name hog
  cedana job checkpoint list hog | grep -q hog
  cedana restore job hog
  kill -USR1 "$(job_pid hog)"
  wait_for 20 grep -q '^verify ok' "$T/hog.log"
  cedana check --full
  "$ROOT/test/workloads/v2_client.py" get e2e/hog.tar | tar -t | grep -q inventory.img
  head -c 3M /dev/urandom >"$T/file"
  "$ROOT/test/workloads/v2_client.py" put e2e/file <"$T/file"
  "$ROOT/test/workloads/v2_client.py" get e2e/file | cmp - "$T/file"
  "$BIN/cedana-storage" org list --data "$T/storage" --url "$CEDANA_URL" \
    --ca-file "$CERTS/ca.pem" | grep -q default
  # Nobody speaks plainly to it.
  run curl -s "http://${CEDANA_URL#https://}/healthz"
  [[ $output == *TLS* ]]
}

@test "a wrong authority and a wrong host name are refused, a renewed certificate is taken" {
  authority other
  CEDANA_CONNECTION_CA_FILE=$CERTS/other.pem start_all
  cedana run process -j count -o "$T/count.log" -- "$WORKLOADS/counter" 0.1
  PID=$(job_pid count)
  refused 'certificate' cedana dump job count --dir cedana://e2e
  is_running "$PID"
  stop_daemon
  certificate DNS:storage.example
  export CEDANA_CONNECTION_CA_FILE=$CERTS/ca.pem
  start_daemon
  refused "certificate.*127.0.0.1'" cedana dump job count --dir cedana://e2e
  is_running "$PID"
  # The pair in the files does not fit together: the old certificate stays, still the wrong one.
  authority third
  cp "$CERTS/third.pem" "$CERTS/cert.pem"
  refused 'certificate' cedana dump job count --dir cedana://e2e
  grep -q 'TLS certificate not taken' "$T/storage.log"
  certificate IP:127.0.0.1
  cedana dump job count --dir cedana://e2e
  wait_for 10 ended "$PID"
}

@test "without TLS only loopback is listened on" {
  refused '--tls-cert' "$BIN/cedana-storage" serve --data "$T/x" --listen 0.0.0.0:0
  refused 'tls' "$BIN/cedana-storage" serve --data "$T/x" --listen 0.0.0.0:0 --tls-cert "$CERTS/cert.pem"
  [[ ! -e $T/x/catalog.db ]]
}
