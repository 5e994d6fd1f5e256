#!/bin/bash
# pipeline.sh [SECONDS]: numbered lines flow through four processes, one line each SECONDS
# (default 0.05). The last one prints `ok N` for each consecutive line, and `BAD ...` and stops
# when one is lost, doubled or changed.

produce() {
  local n=0
  while :; do
    n=$((n + 1))
    echo "$n"
    sleep "$1"
  done
}

check() {
  local want=1 number square
  while read -r number square; do
    if [[ $number != "$want" || $square != $((want * want)) ]]; then
      echo "BAD expected $want, got $number $square"
      exit 1
    fi
    echo "ok $number"
    want=$((want + 1))
  done
  echo "BAD the pipeline ended after $((want - 1)) lines"
  exit 1
}

square() {
  local number rest
  while read -r number rest; do
    echo "$number $((number * number))"
  done
}

# Neither sed without -u nor Debian's awk would pass a line on before its buffer is full.
produce "${1:-0.05}" | sed -u 's/$/ line/' | square | check
