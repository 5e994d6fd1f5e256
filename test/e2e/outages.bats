#!/usr/bin/env bats
# Three providers, two copies of everything: one of them may fail in any way, before, in the middle
# of and after a dump, and no dump and no restore fails; afterwards repair brings all back to full.
# a binds no checksums to its grants: what it says it took has to be read.

setup() { load common; load clouds; common_setup; CLOUD_DIALECT[a]=azure; start_clouds a b c; }
teardown() { common_teardown; }

MIB=$( [[ ${CEDANA_TEST_MODE:-sample} == soak ]] && echo 600 || echo 120 )

start_hog() {
  cedana run process -j hog -o "$T/hog.log" -- "$WORKLOADS/memhog" --mib "$MIB" --half-compressible --seed "$1"
  wait_for 60 grep -q '^ready' "$T/hog.log"
}

# Its memory is whole: counts the answers that it has given.
verified=0
verify_hog() {
  kill -USR1 "$(job_pid hog)"
  wait_for 60 lines_over "$T/hog.log" '^verify ok' "$verified"
  verified=$((verified + 1))
  ! grep -q BAD "$T/hog.log" || fail "the memory is not what it was"
}

# dump_hog [COMMAND…]: dumps, runs the command 0.3 s into it, and sees the process end.
dump_hog() {
  local pid dumper
  pid=$(job_pid hog)
  cedana dump job hog --dir cedana://e2e --compression none >"$T/dump.out" 2>&1 3>&- &
  dumper=$!
  if (($#)); then sleep 0.3; "$@"; fi
  wait "$dumper" || fail "the dump failed: $(cat "$T/dump.out")"
  ended "$pid"
}

restore_hog() {
  local restorer
  cedana restore job hog >"$T/restore.out" 2>&1 3>&- &
  restorer=$!
  if (($#)); then sleep 0.1; "$@"; fi
  wait "$restorer" || fail "the restore failed: $(cat "$T/restore.out")"
  verify_hog
}

# One outage and its end. WHEN: before, middle (of the dump), after (it), restore (in the middle of one).
outage() {
  local name=$1 how=$2 when=$3
  echo "outage of $name: $how, $when"
  case $when in
    before) spoil "$name" "$how"; dump_hog; restore_hog ;;
    middle) dump_hog spoil "$name" "$how"; restore_hog ;;
    after) dump_hog; spoil "$name" "$how"; restore_hog ;;
    restore) dump_hog; restore_hog spoil "$name" "$how" ;;
  esac
  cure "$name" "$how"
  wait_for 60 fully_replicated
}

# `throttling` and `unavailable` differ in what the provider asks for, `killed` and `refusing` in
# what happens to connections that are open.
HOWS=(killed refusing unavailable throttling silent slow full lying)
WHENS=(before middle after restore)

@test "a provider that is gone in the middle of a dump" { start_hog 1; outage b killed middle; }
@test "a provider that answers 503 before and during a dump" { start_hog 2; outage a unavailable before; outage c throttling middle; }
@test "a provider that says nothing" { start_hog 3; outage a silent middle; outage b silent restore; }
@test "a provider at 100 kB/s" { start_hog 4; outage a slow middle; outage a slow after; }
@test "bytes that move are progress: no pack is stored within the time that nothing may move" {
  tell_cloud a listen '{"on": false}'
  tell_cloud b pace '{"bytes_per_s": 1500000}'
  tell_cloud c pace '{"bytes_per_s": 1500000}'
  stop_daemon
  CEDANA_CHECKPOINT_RESUME_TIMEOUT=4s start_daemon
  cedana run process -j hog -o "$T/hog.log" -- "$WORKLOADS/memhog" --mib 20 --seed 8
  wait_for 60 grep -q '^ready' "$T/hog.log"
  cedana dump job hog --dir cedana://e2e --compression none --streams 1 --leave-running
}

@test "a full provider" { start_hog 5; outage a full before; outage b full middle; }
@test "a provider that is gone after a dump, and in the middle of a restore" { start_hog 6; outage a killed after; outage b refusing restore; }

@test "a provider that binds no checksums is gone in the middle of a dump" { start_hog 10; outage a killed middle; outage a silent middle; outage a silent restore; }

@test "a provider takes packs, binds no checksums and does not show them: another gets a copy" {
  start_hog 11
  outage a unlisted before
  grep -q 'a pack was copied for a commit provider=[bc] ' "$T/storage.log" || fail "nothing was copied"
}

@test "a provider whose bytes are wrong" {
  start_hog 7
  dump_hog
  spoil a lying
  spoil b lying
  # Every pack has a copy at c or a good one at the other: one liar after the other.
  heal_cloud b
  restore_hog
  heal_cloud a
}

# A bit in the middle of two packs at a, which is the fastest.
@test "damaged copies are read past, told, and replaced" {
  local object pace i damaged=() sums=()
  start_hog 10
  for pace in b c; do tell_cloud "$pace" pace '{"latency_ms": 60}'; done
  dump_hog
  wait_for 60 fully_replicated
  wait_for 60 a_is_the_fastest
  for object in $(find "$T/cloud-a/s" -type f -size +1M | sort | head -n 2); do
    damaged+=("$object")
    sums+=("$(sha256sum <"$object")")
    flip_bit "$object" $(($(stat -c %s "$object") / 2))
    [[ $(sha256sum <"$object") != "${sums[-1]}" ]]
  done
  ((${#damaged[@]} == 2))
  restore_hog
  grep -q 'a copy of a pack is bad.*provider=a' "$HOST/daemon.log" || fail "$(cat "$HOST/daemon.log")"
  for i in 0 1; do
    wait_for 60 eval "[[ \$(sha256sum <'${damaged[i]}') == '${sums[i]}' ]]"
  done
  [[ $(metric damaged_shards_total) -eq 2 ]]
  wait_for 60 fully_replicated
}

a_is_the_fastest() {
  storage status -o json | jq -e '[.providers[] | {(.name): .latency_ms}] | add |
    .a > 0 and .a < 30 and .b > 30 and .c > 30' >/dev/null
}

# metric NAME: the service's, without a label.
metric() {
  curl -sS -H "Authorization: Bearer $(cat "$T/storage/operator-token")" "$CEDANA_URL/metrics" |
    awk -v name="cedana_storage_$1" '$1 == name { print $2 }'
}

@test "outages drawn from seeds, one after the other" {
  local seed
  start_hog 8
  for ((seed = 1; seed <= $(tries 2 50); seed++)); do
    RANDOM=$seed
    local names=(a b c)
    outage "${names[RANDOM % 3]}" "${HOWS[RANDOM % ${#HOWS[@]}]}" "${WHENS[RANDOM % 4]}"
  done
}

@test "two of three providers gone: a dump fails clearly, a restore of what is left works" {
  local pid
  start_hog 9
  dump_hog
  restore_hog
  pid=$(job_pid hog)
  # Whatever two are gone, two copies over three providers leave one of each pack.. or none: with
  # copies=3 all is left everywhere.
  storage policy set default copies=3,ack=2
  dump_hog
  wait_for 60 fully_replicated
  kill_cloud a
  kill_cloud b
  restore_hog
  pid=$(job_pid hog)
  run cedana dump job hog --dir cedana://e2e
  echo "$output"
  ((status == 1))
  [[ $(grep -c '^Error: ' <<<"$output") -eq 1 ]]
  is_running "$pid" || fail "the process is gone"
  log_grows "$T/hog.log"
  start_cloud a
  start_cloud b
  dump_hog
}
