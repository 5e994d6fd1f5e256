#!/usr/bin/env bash
# peers.sh install|test: storage servers that others wrote (test/peers/versions), installed below
# build/peers, and the tests against them. A tool chain that is missing is installed from Debian's
# packages (as root); Debian's Go is too old to build them, but not to fetch a newer one as a
# module. Whatever cannot be had is a failure: nothing is left out.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
peers=$root/build/peers
log=$root/build/log/peers
go_wanted=1.26.0 # fake-gcs-server's go.mod

die() { echo "peers: $*" >&2; exit 1; }

# Registries answer with passing errors now and then.
retry() {
  local round
  for round in 1 2 3; do
    "$@" >>"$log/install.log" 2>&1 </dev/null && return 0
    echo "peers: $1 failed (round $round of 3; log: $log/install.log)" >&2
    sleep $((round * 3))
  done
  return 1
}

# debian PACKAGE...
debian() {
  [[ $EUID -eq 0 ]] || die "run 'make test-peers' as root once; missing: $*"
  export DEBIAN_FRONTEND=noninteractive
  retry apt-get -q -y update && retry apt-get -q -y install --no-install-recommends "$@" ||
    die "cannot install $*"
}

# True when version $1 is at least $2.
at_least() { printf '%s\n%s\n' "$2" "$1" | sort -V -C; }

go_version() { "$1" env GOVERSION 2>/dev/null | sed 's/^go//'; }

# Prints the path of a Go that is new enough.
find_go() {
  local go arch folder
  go=$(command -v go) || { debian golang-go; go=$(command -v go) || die "no go after its installation"; }
  if at_least "$(GOTOOLCHAIN=local go_version "$go")" "$go_wanted"; then
    echo "$go"
    return
  fi
  arch=$("$go" env GOOS)-$("$go" env GOARCH)
  retry "$go" mod download "golang.org/toolchain@v0.0.1-go$go_wanted.$arch" ||
    die "cannot fetch go $go_wanted"
  folder=$("$go" env GOMODCACHE)/golang.org/toolchain@v0.0.1-go$go_wanted.$arch
  # An old go unpacks it like any module, without the bits that make a program.
  chmod +x "$folder"/bin/* "$folder/pkg/tool/${arch/-/_}"/*
  echo "$folder/bin/go"
}

# install_go PACKAGE VERSION
install_go() {
  local go
  go=$(find_go)
  # Without symbols: half the size, and seconds less to link.
  GOBIN=$peers/bin GOTOOLCHAIN=local GOFLAGS=-trimpath CGO_ENABLED=0 \
    retry "$go" install -ldflags='-s -w' "$1@$2" || die "cannot build $1 $2"
}

# install_npm PACKAGE VERSION
install_npm() {
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then debian nodejs npm; fi
  retry npm install --prefix "$peers/$1" --no-audit --no-fund --ignore-scripts --no-save \
    "$1@$2" || die "cannot install $1 $2"
}

install_all() {
  local name version package from stamp
  mkdir -p "$peers" "$log"
  while read -r name version package from; do
    stamp=$peers/$name-$version.installed
    [[ -f $stamp ]] && continue
    echo "peers: installing $name $version"
    "install_$from" "$package" "$version"
    touch "$stamp"
  done < <(sed '/^#/d' "$root/test/peers/versions")
}

run_tests() {
  local rc=0
  install_all
  rm -rf "$log/ctest.xml" "$log/gtest" "$log/e2e.tap"
  # shellcheck source=test/peers/servers.bash
  source "$root/test/peers/servers.bash"
  peers_work=$(mktemp -d "${TMPDIR:-/tmp}/cedana-peers.XXXXXX")
  trap 'stop_peers; rm -rf "$peers_work"' EXIT
  start_peers "$peers_work" || die "a server did not start"
  cd "$root"
  GTEST_OUTPUT="xml:$log/gtest/" ctest --preset peers --output-junit "$log/ctest.xml" </dev/null ||
    rc=1
  # The main job through each, by servers of its own. Restored trees are orphans for a moment: tini
  # reaps them where PID 1 does not.
  CEDANA_BUILD_DIR=$root/build tini -s -- bats --tap --timing "$root/test/peers" </dev/null |
    tee "$log/e2e.tap" || rc=1
  "$root/scripts/count_tests.py" "$log" | sed 's/^/peers: /' || rc=1
  return $rc
}

case ${1:-} in
  install) install_all ;;
  test) run_tests ;;
  *) echo "usage: peers.sh install|test" >&2; exit 2 ;;
esac
