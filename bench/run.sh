#!/usr/bin/env bash
# Dump and restore of half-compressible memory through cedana:// (service on the same machine),
# beside plain `criu dump` (+ `sync -f`) and `criu restore` of the same process to a local folder.
# The kinds are interleaved, round by round, because times on one machine drift; medians are shown.
#
#   bench/run.sh [--mib 1024] [--rounds 5] [--codecs "none lz4 zstd"]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ $EUID -eq 0 ]] || { echo "bench: run it as root" >&2; exit 1; }
# Restored processes are orphans for a moment, and not every PID 1 reaps those.
exec tini -s -- python3 "$root/bench/end_to_end.py" "$@"
