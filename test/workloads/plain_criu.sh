#!/bin/bash
# plain_criu.sh [NAME...]: dumps and restores the workloads (default: all) with plain CRIU, twice
# each, and asks each for its own verdict. It answers "is it this machine, the workload, or us?".
# Needs root, and the build folder in CEDANA_BUILD_DIR (default: build).
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${CEDANA_BUILD_DIR:-$here/../../build}
bin=$build/test/workloads
criu=${CEDANA_CRIU_BINARY_PATH:-$build/criu/criu}
flags=(--manage-cgroups=ignore --network-lock nftables --tcp-established --file-locks)
failed=0

# Restored trees are orphans: something must reap them when their end comes.
if [[ -z ${PLAIN_CRIU_REAPER:-} ]]; then
  PLAIN_CRIU_REAPER=1 exec tini -s -- "$0" "$@"
fi

# Descriptors that a caller leaked to us must not end in a dump.
for fd in /proc/$$/fd/*; do
  fd=${fd##*/}
  if ((fd > 2 && fd != 255)); then eval "exec $fd>&-"; fi
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/workloads.XXXXXX")
sessions=()
cleanup() {
  for session in "${sessions[@]}"; do pkill -KILL -s "$session"; done
  rm -rf "$dir"
}
trap cleanup EXIT

# start NAME COMMAND...: runs it as a job would be run; its pid is in $pid, its log in $log.
start() {
  log=$dir/$1.log
  : >"$log"
  setsid "${@:2}" </dev/null >>"$log" 2>&1 &
  pid=$!
  disown
  sessions+=("$pid")
}

# await PATTERN [COUNT]: waits up to 60 seconds until the log has so many matching lines.
await() {
  local i
  for ((i = 0; i < 600; i++)); do
    (($(grep -c -e "$1" "$log") >= ${2:-1})) && return 0
    sleep 0.1
  done
  echo "no '$1' in $log: $(tail -n 2 "$log" | paste -sd ' ')"
  return 1
}

# Dumps session $pid, waits for its end, and restores it.
cycle() {
  local images i
  images=$(mktemp -d "$dir/images.XXXXXX")
  "$criu" dump -t "$pid" -D "$images" -o dump.log -v1 "${flags[@]}" --link-remap --ghost-limit 1G ||
    { grep Error "$images/dump.log"; return 1; }
  for ((i = 0; i < 100; i++)); do
    pgrep -s "$pid" >/dev/null || break
    sleep 0.1
  done
  "$criu" restore -d -D "$images" -o restore.log -v1 "${flags[@]}" ||
    { grep Error "$images/restore.log"; return 1; }
  rm -rf "$images"
}

# more PATTERN COUNT: waits for that many new matching lines.
more() { await "$1" $(($(grep -s -c -e "$1" "$log" || true) + $2)); }

# consecutive: the numbers in the log are 1, 2, 3, ... without a gap.
consecutive() { diff <(sed 's/^ok //' "$log") <(seq "$(wc -l <"$log")") | head -n 3 | (! grep .); }

ask() { kill -"$1" "$pid" && await "$2" "$3"; }

try_counter() {
  start counter "$bin/counter" 0.1 && await 5 && cycle && more . 5 && cycle && more . 5 && consecutive
}
try_pipeline() {
  start pipeline "$here/pipeline.sh" && await ok 20 && cycle && more ok 20 && cycle &&
    more ok 20 && consecutive
}
try_heap() {
  start heap python3 "$here/heap.py" --mib 300 && await 'ok 2' && cycle && ask USR1 'verify ok' 1 &&
    more '^ok' 2 && cycle && more '^ok' 2 && ask USR1 'verify ok' 2
}
try_memhog() {
  start memhog "$bin/memhog" --mib 300 --half-compressible --zero-percent 5 --dirty-percent 10 &&
    await 'tick 2' && cycle && ask USR1 'verify ok' 1 && more tick 2 && cycle &&
    ask USR1 'verify ok' 2
}
try_kitchen() {
  mkdir -p "$dir/kitchen"
  start kitchen "$bin/kitchen" "$dir/kitchen" && await 'ok 2' && kill -USR1 "$pid" && cycle &&
    ask USR2 'check ok' 1 && await 'usr1 1' && kill -USR1 "$pid" && more '^ok' 2 && cycle &&
    more '^ok' 2 && ask USR2 'check ok' 2 && await 'usr1 2' && kill -TERM "$pid"
}
try_exit42() {
  start exit42 "$bin/exit42" "$dir/now" && await 'waiting 1' && cycle && more waiting 1 && cycle &&
    touch "$dir/now" && await 'exiting with 42'
}
# Both sides are dumped in turn while the other runs on.
try_tcp_peer() {
  local server client server_log port
  start server "$bin/tcp_peer" server 0 && await listening || return 1
  server=$pid server_log=$log port=$(sed -n 's/listening //p' "$log")
  start client "$bin/tcp_peer" client "$port" && await ok 2 && cycle && more ok 3 || return 1
  client=$pid
  pid=$server && cycle && more ok 3 || return 1
  pid=$client log=$server_log && cycle && more ok 3
}

names=("$@")
((${#names[@]})) || names=(counter pipeline heap memhog kitchen exit42 tcp_peer)
for name in "${names[@]}"; do
  if "try_$name" && ! grep -h BAD "$dir"/*.log; then
    echo "ok $name"
  else
    echo "not ok $name"
    failed=1
  fi
done
exit $failed
