#!/usr/bin/env bash
# Installs the Debian packages of packages.txt. Does nothing, in well under a second and without
# root, when all of them are there already. The log is kept in build/log/setup.log.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
log=$root/build/log/setup.log

die() { echo "setup: $*" >&2; exit 1; }

# Prints the packages of packages.txt that are not installed.
missing_packages() {
  local wanted
  mapfile -t wanted < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$root/scripts/packages.txt")
  # Unknown names make dpkg-query fail and complain: they are simply missing.
  { dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' "${wanted[@]}" 2>/dev/null || true; } |
    awk '$1 == "installed" { sub(/:.*/, "", $2); print $2 }' | sort -u |
    comm -13 - <(printf '%s\n' "${wanted[@]}" | sort -u)
}

# Mirrors answer with passing errors now and then: three rounds, apt itself retries each file.
apt_retry() {
  local round
  for round in 1 2 3; do
    if apt-get -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -q -y "$@" >>"$log" 2>&1 </dev/null; then
      return 0
    fi
    echo "setup: apt-get $1 failed (round $round of 3)" >&2
    sleep $((round * 3))
  done
  return 1
}

command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
  die "this is not a Debian system; install the counterparts of scripts/packages.txt by hand"

mapfile -t missing < <(missing_packages)
if ((${#missing[@]} == 0)); then
  exit 0
fi
[[ $EUID -eq 0 ]] || die "run 'make setup' as root once; missing: ${missing[*]}"

mkdir -p "$(dirname "$log")"
echo "setup: installing ${#missing[@]} packages (log: $log)"
export DEBIAN_FRONTEND=noninteractive
if ! apt_retry update || ! apt_retry install --no-install-recommends "${missing[@]}"; then
  tail -n 20 "$log" >&2
  die "packages could not be installed; the whole log is $log"
fi
mapfile -t missing < <(missing_packages)
((${#missing[@]} == 0)) || die "still missing after the installation: ${missing[*]}"
echo "setup: packages installed"
