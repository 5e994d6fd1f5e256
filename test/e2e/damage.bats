#!/usr/bin/env bats
# One flipped bit anywhere in the stored objects: a restore that needs it fails naming pack and
# provider before CRIU sees a wrong byte, and none succeeds with wrong content.

setup() { load common; common_setup; start_all; }
teardown() { common_teardown; }

@test "flipped bits in the stored objects" {
  local log=$T/hog.log pid round objects object offset before whole=0 refused=0
  cedana run process -j hog -o "$log" -- "$WORKLOADS/memhog" --mib 24 --half-compressible --zero-percent 10
  wait_for 60 grep -q '^ready' "$log"
  pid=$(job_pid hog)
  cedana dump job hog --dir cedana://e2e --compression lz4
  mapfile -t objects < <(find "$T/storage/objects/s" -type f | sort)
  ((${#objects[@]} > 0))
  RANDOM=4711
  for ((round = 0; round < $(tries 10 200); round++)); do
    object=${objects[RANDOM % ${#objects[@]}]}
    offset=$(((RANDOM * 32768 + RANDOM) % $(stat -c %s "$object")))
    before=$(xxd -s "$offset" -l 1 -p "$object")
    flip_bit "$object" "$offset" $((RANDOM % 8))
    if run cedana restore job hog && [[ $status -eq 0 ]]; then
      # The bit lies where no restore looks (a pack's trailer): then everything must be whole.
      whole=$((whole + 1))
      kill -USR1 "$pid"
      wait_for 30 lines_over "$log" '^verify ok' $((whole - 1))
      cedana job kill hog
      wait_for 20 ended "$pid"
    else
      echo "$output"
      refused=$((refused + 1))
      ended "$pid" || fail "a process is left"
      [[ $output == *"Error: DataLoss: "* ]]
      [[ $output == *local* ]]
      [[ $object == *m-* || $output == *pack* ]]
    fi
    printf "\\x$before" | dd of="$object" bs=1 seek="$offset" conv=notrunc status=none
  done
  echo "refused $refused, whole $whole"
  ((refused > 0))
  run ! grep -q BAD "$log"
  cedana restore job hog
  kill -USR1 "$pid"
  wait_for 30 lines_over "$log" '^verify ok' "$whole"
}
