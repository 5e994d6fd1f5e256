#!/usr/bin/env bats
# A client that knows only the /v2 file interface stores its archives here and gets them back; what
# we store, it can fetch as archives of the common kinds, which plain CRIU restores.

setup() {
  load common
  common_setup
  CLIENT=$ROOT/test/workloads/v2_client.py
}
teardown() { common_teardown; }

# stored_objects: how many packs and manifests there are
stored_objects() { find "$T/storage/objects/s" -type f | wc -l; }
collect() { "$BIN/cedana-storage" collect --data "$T/storage" --url "$CEDANA_URL"; }
nothing_stored() { collect >/dev/null && [[ $(stored_objects) -eq 0 ]]; }
peak_kib() { sed -n 's/^VmHWM:\s*\([0-9]*\) kB/\1/p' "/proc/$STORAGE_PID/status"; }

@test "an archive of unknown length comes back byte for byte, within bounded memory" {
  local size sum began
  size=$(tries $((64 << 20)) $((2 << 30)))
  start_storage
  [[ $("$CLIENT" user) =~ ^[0-9a-f-]{36}$ ]]
  sum=$(head -c "$size" /dev/urandom | tee >("$CLIENT" put ci/job-1.tar.lz4) | sha256sum)
  wait_for 60 eval '[[ $("$CLIENT" list ci) == job-1.tar.lz4 ]]'
  began=$SECONDS
  [[ $("$CLIENT" get ci/job-1.tar.lz4 | sha256sum) == "$sum" ]]
  echo "read $size bytes in $((SECONDS - began)) s, peak of the service $(peak_kib) KiB"
  (($(peak_kib) < 512 * 1024))
  # Replaced as a whole, and the old bytes go.
  echo new | "$CLIENT" put ci/job-1.tar.lz4
  [[ $("$CLIENT" get ci/job-1.tar.lz4) == new ]]
  [[ $("$CLIENT" list ci) == job-1.tar.lz4 ]]
}

@test "cut uploads leave nothing visible, and nothing stored" {
  local i pid
  STORAGE_OPTIONS=(--lease 4 --heartbeat 1 --grant 2 --grace 0 --sweep-interval 1)
  start_storage
  for ((i = 0; i < $(tries 2 10); i++)); do
    head -c 100M /dev/urandom | "$CLIENT" put --cut-after $((i * 9999999)) ci/cut.tar || true
    # Killed in the middle.
    (head -c 80M /dev/urandom; exec sleep 60) | "$CLIENT" put ci/killed.tar 3>&- &
    pid=$!
    sleep 0.$((RANDOM % 7 + 1))
    kill -KILL "$pid"
  done
  run ! "$CLIENT" get ci/cut.tar
  [[ -z $("$CLIENT" list ci) ]]
  wait_for 30 nothing_stored
  [[ -z $("$CLIENT" list "") ]]
  # The name is free.
  echo whole | "$CLIENT" put ci/cut.tar
  [[ $("$CLIENT" get ci/cut.tar) == whole ]]
}

# interleave FILE…: writes random bytes to all of them in turn, but to the first one only at both ends
interleave() {
  local -a out
  local i round fd
  for ((i = 1; i <= $#; i++)); do
    exec {fd}>"${!i}"
    out+=("$fd")
  done
  for ((round = 0; round < 24; round++)); do
    for ((i = 1; i < $#; i++)); do head -c 1M /dev/urandom >&"${out[i]}"; done
    ((round % 23)) || echo "small files" >&"${out[0]}"
  done
}

@test "the streams of a dump go up and come down at once, whoever is silent" {
  local i pid
  local -a up=() down=() pids=()
  start_storage
  for i in {0..7}; do
    up+=("$T/up-$i")
    mkfifo "$T/up-$i"
    tee "$T/sent-$i" <"$T/up-$i" | "$CLIENT" put "ci/dump-1/img-$i.lz4" 3>&- &
    pids+=($!)
  done
  timeout 60 bash -c "$(declare -f interleave); interleave \"\$@\"" interleave "${up[@]}"
  for pid in "${pids[@]}"; do wait "$pid"; done
  [[ $("$CLIENT" list ci/dump-1 | wc -l) -eq 8 ]]
  # Two restores of it, read in turn: each piece is wanted before the next one of another stream.
  pids=()
  for i in {0..15}; do
    mkfifo "$T/down-$i"
    "$CLIENT" get "ci/dump-1/img-$((i % 8)).lz4" >"$T/down-$i" 3>&- &
    pids+=($!)
    exec {fd}<"$T/down-$i"
    down+=("$fd")
  done
  for ((i = 0; i < 24 * 16; i++)); do timeout 20 head -c 1M <&"${down[i % 16]}" >>"$T/got-$((i % 16))"; done
  for ((i = 0; i < 16; i++)); do
    cat <&"${down[i]}" >>"$T/got-$i"
    cmp "$T/sent-$((i % 8))" "$T/got-$i"
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
}

# unpack SUFFIX: stdin to a folder, by the standard tools
unpack() {
  mkdir "$T/images$1"
  case $1 in
    .tar) cat ;;
    .tar.gz) gzip -dc ;;
    .tar.lz4) lz4 -dc ;;
    .tar.zst) zstd -dc ;;
    .tar.zlib)
      python3 -c 'import sys, zlib; d = zlib.decompressobj()
while b := sys.stdin.buffer.read(1 << 20): sys.stdout.buffer.write(d.decompress(b))
sys.stdout.buffer.write(d.flush()); assert d.eof and not d.unused_data'
      ;;
  esac | tar -x -C "$T/images$1"
}

@test "a checkpoint downloaded as any of the archives is restored by plain CRIU" {
  local suffix verdicts=0
  set -o pipefail
  start_all
  cedana run process -j hog -o "$T/hog.log" -- "$WORKLOADS/memhog" --mib 20 --zero-percent 30
  wait_for 30 grep -q '^ready' "$T/hog.log"
  PID=$(job_pid hog)
  cedana dump job hog --dir cedana://e2e --name hog --compression lz4
  wait_for 10 ended "$PID"
  [[ $("$CLIENT" list e2e) == hog.tar.lz4 ]]
  for suffix in .tar .tar.gz .tar.lz4 .tar.zlib .tar.zst; do
    "$CLIENT" get "e2e/hog$suffix" | unpack "$suffix"
    diff -r "$T/images.tar" "$T/images$suffix"
    rm -f "$T/pf"
    "$BUILD/criu/criu" restore -D "$T/images$suffix" -d --pidfile "$T/pf" --network-lock nftables \
      --file-locks --manage-cgroups=ignore -v1 -o "$T/plain.log" || { cat "$T/plain.log"; false; }
    kill -USR1 "$(cat "$T/pf")"
    verdicts=$((verdicts + 1))
    wait_for 20 lines_over "$T/hog.log" '^verify ok' $((verdicts - 1))
    kill -KILL "$(cat "$T/pf")"
    wait_for 10 ended "$(cat "$T/pf")"
    # What CRIU wrote beside the images is not part of the next comparison.
    rm -f "$T"/images*/{stats-restore,*.log}
  done
}
