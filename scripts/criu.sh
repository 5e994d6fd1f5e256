#!/usr/bin/env bash
# criu.sh [--prefix DIR]: provides a CRIU that works on this kernel as build/criu/criu, where
# cedana finds it beside its own folder; --prefix DIR also installs it as DIR/bin/criu.
#
# Taken in this order, each only if `criu check` and a trial dump and restore pass:
#   CEDANA_CRIU_BINARY_PATH, build/criu/criu, the cache of an earlier build, criu in PATH
#   (all from 4.1.1 on), then 4.2.1 and at last 4.1.1 built from Debian's source package.
#
# Environment: CRIU_SOURCE_URL (an orig.tar.xz, or a folder of them ending in `/`, by http(s) or
# file://) instead of the mirrors that apt is configured with; XDG_CACHE_HOME.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
installed=$root/build/criu/criu
stamp=$root/build/criu/trial.ok
log=$root/build/log/criu.log
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/cedana
prefix=
reasons=()
min_version=4.1.1

declare -A source_sha256=(
  [4.2.1]=29ec0ee09e296479fe7048c80980e8ef1d0684d0b0204c2b101dfea19f6725b9
  [4.1.1]=f80a66cb3726bb2116266d4759ce3bcbfab7abdb6b6d430bf20dd41911717afe
)

say() { echo "criu: $*"; }
die() { echo "criu: $*" >&2; exit 1; }
sha256_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# A pass holds for this binary until the next boot (another kernel, other privileges).
trial_key() { echo "$(sha256_of "$1") $(cat /proc/sys/kernel/random/boot_id)"; }

# criu_version BINARY: prints its version, or fails when it does not run or is too old.
criu_version() {
  local version
  version=$("$1" --version 2>/dev/null | sed -n 's/^Version: *//p' | head -n 1) || return 1
  [[ -n $version ]] || return 1
  printf '%s\n' "$min_version" "$version" | sort -V -C || return 1
  echo "$version"
}

# works BINARY NAME: version, `criu check` and the trial; a failure goes to `reasons`.
works() {
  local binary=$1 name=$2 version out
  if ! version=$(criu_version "$binary"); then
    reasons+=("$name: older than $min_version, or does not start")
    return 1
  fi
  if [[ -f $stamp && $(<"$stamp") == "$(trial_key "$binary")" ]]; then return 0; fi
  if ! out=$("$binary" check 2>&1 </dev/null); then
    reasons+=("$name ($version): criu check: $(grep -m 1 'Error' <<<"$out" || tail -n 1 <<<"$out")")
    return 1
  fi
  if ! out=$(timeout -k 5 60 tini -s -- "$root/scripts/criu_trial.sh" "$binary" 2>&1 </dev/null 9>&-); then
    reasons+=("$name ($version): trial ${out:-did not end within 60 seconds}")
    return 1
  fi
}

# The folders of the configured mirrors as apt itself reads them from its sources (deb822 and
# one-line files), then Debian's own: a snapshot mirror does not have the newer source.
mirrors() {
  # shellcheck disable=SC1091
  local codename; codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
  { apt-get --print-uris update 2>/dev/null || true; } |
    sed -nE "s#^'([^']+)/dists/(stable|oldstable|$codename)(-updates)?/.*#\1#p"
  echo "http://deb.debian.org/debian"
}

# source_urls FILE: where the tarball may be, the best place first.
source_urls() {
  case ${CRIU_SOURCE_URL:-} in
    "") mirrors | awk -v f="$1" '!seen[$0]++ { print $0 "/pool/main/c/criu/" f }' ;;
    */) echo "$CRIU_SOURCE_URL$1" ;;
    *) echo "$CRIU_SOURCE_URL" ;;
  esac
}

# fetch URL FILE: apt's own downloader, so that its proxies and credentials hold here as well.
fetch() {
  rm -f "$2"
  case $1 in
    file://*) cp -- "${1#file://}" "$2" ;;
    *) /usr/lib/apt/apt-helper -o Acquire::Retries=1 download-file "$1" "$2" ;;
  esac
}

# download VERSION: leaves the checked tarball in the cache. Mirrors answer 404 at times.
download() {
  local version=$1 file=criu_$1.orig.tar.xz round url
  local target=$cache/$file
  if [[ -f $target && $(sha256_of "$target") == "${source_sha256[$version]}" ]]; then return 0; fi
  mkdir -p "$cache"
  for round in 1 2 3 4; do
    while read -r url; do
      echo "== round $round: $url" >>"$log"
      if fetch "$url" "$target.part" >>"$log" 2>&1; then
        if [[ $(sha256_of "$target.part") == "${source_sha256[$version]}" ]]; then
          mv -f "$target.part" "$target"
          return 0
        fi
        echo "wrong SHA-256 from $url" >>"$log"
      fi
    done < <(source_urls "$file")
    sleep "$round"
  done
  rm -f "$target.part"
  reasons+=("$version: source could not be downloaded (tried: $(source_urls "$file" | paste -sd ' '))")
  return 1
}

# build VERSION: builds the cached source and puts the binary and its SHA-256 into the cache.
build() {
  local version=$1 work=$root/build/criu/src-$1
  say "building CRIU $version (log: $log)"
  rm -rf "$work" && mkdir -p "$work"
  tar -xJf "$cache/criu_$version.orig.tar.xz" -C "$work" --strip-components=1
  if ! env -u MAKEFLAGS -u MAKELEVEL make -C "$work" -j"$(nproc)" criu >>"$log" 2>&1 </dev/null; then
    reasons+=("$version: does not build (see $log)")
    return 1
  fi
  install -m 755 "$work/criu/criu" "$cache/criu-$version"
  sha256_of "$cache/criu-$version" >"$cache/criu-$version.sha256"
  rm -rf "$work"
}

# cached VERSION: a binary of an earlier build whose recorded SHA-256 still holds.
cached() {
  local binary=$cache/criu-$1
  [[ -x $binary && -f $binary.sha256 && $(sha256_of "$binary") == "$(<"$binary.sha256")" ]]
}

# Up to 4.1.1 CRIU needs hardware breakpoints, which many virtual machines lack; fault 130 makes
# it do without. The wrapper sets it, so that no caller has to know.
write_wrapper() {
  printf '#!/bin/sh\n# Works without hardware breakpoints, which this machine lacks.\nCRIU_FAULT=130 exec "%s" "$@"\n' \
    "$1" >"$1-nobp"
  chmod 755 "$1-nobp"
}

# try_cached VERSION: true when the cached binary works, as it is or with the wrapper; prints it.
chosen=
try_cached() {
  local binary=$cache/criu-$1
  cached "$1" || return 1
  if works "$binary" "$binary"; then chosen=$binary; return 0; fi
  [[ $1 == 4.1.1 ]] || return 1
  write_wrapper "$binary"
  if works "$binary-nobp" "$binary with CRIU_FAULT=130"; then chosen=$binary-nobp; return 0; fi
  return 1
}

# place BINARY: makes build/criu/criu (and DIR/bin/criu) that binary.
place() {
  mkdir -p "$(dirname "$installed")"
  if ! [[ $1 -ef $installed ]]; then
    install -m 755 "$1" "$installed.new" && mv -f "$installed.new" "$installed"
  fi
  trial_key "$installed" >"$stamp"
  if [[ -n $prefix ]]; then
    install -D -m 755 "$installed" "$prefix/bin/criu"
  fi
  # What cedana would take before ours must not be a CRIU that fails.
  if [[ -n ${CEDANA_CRIU_BINARY_PATH:-} && $from != CEDANA_CRIU_BINARY_PATH ]]; then
    say "unset CEDANA_CRIU_BINARY_PATH or set it to $installed: what it names fails"
  fi
  say "using CRIU $(criu_version "$installed") from $from: ${prefix:+$prefix/bin/criu and }$installed"
  exit 0
}

while (($#)); do
  case $1 in
    --prefix) [[ $# -ge 2 ]] || die "--prefix needs a folder"; prefix=$2; shift 2 ;;
    *) die "unknown argument $1; usage: criu.sh [--prefix DIR]" ;;
  esac
done
if [[ $EUID -ne 0 ]]; then
  die "run 'make setup' as root once: checkpoint and restore need root"
fi
command -v tini >/dev/null || die "tini is missing: run scripts/setup.sh first"
mkdir -p "$(dirname "$log")" "$(dirname "$installed")" "$cache"
# One at a time per cache; the trial's processes do not inherit the lock.
exec 9>"$cache/lock"
flock -w 600 9 || die "another set-up holds $cache/lock"
: >"$log"

from=CEDANA_CRIU_BINARY_PATH
if [[ -n ${CEDANA_CRIU_BINARY_PATH:-} ]] && works "$CEDANA_CRIU_BINARY_PATH" "$from"; then
  place "$CEDANA_CRIU_BINARY_PATH"
fi
from="an earlier set-up"
if [[ -x $installed ]] && works "$installed" "$installed"; then place "$installed"; fi
for version in 4.2.1 4.1.1; do
  from="the cache"
  if try_cached "$version"; then place "$chosen"; fi
done
from=PATH
if in_path=$(type -P criu) && works "$in_path" "$in_path"; then place "$in_path"; fi
for version in 4.2.1 4.1.1; do
  from="Debian's source"
  if ! cached "$version" && download "$version" && build "$version" && try_cached "$version"; then
    place "$chosen"
  fi
done

echo "criu: no CRIU works here, so nothing can be dumped or restored on this machine:" >&2
printf 'criu:   %s\n' "${reasons[@]}" >&2
die "set CEDANA_CRIU_BINARY_PATH to a CRIU from $min_version on, or CRIU_SOURCE_URL to criu_4.2.1.orig.tar.xz"
