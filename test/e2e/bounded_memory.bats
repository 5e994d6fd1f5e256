#!/usr/bin/env bats
# A process far larger than the daemon's memory budget: the daemon stays small, and nothing of the
# image touches a local disk.

setup() { load common; common_setup; start_all; }
teardown() { common_teardown; }

written() { sed -n 's/^write_bytes: //p' "/proc/$1/io"; }

@test "a large process: memory and disk writes of the daemon stay bounded" {
  local log=$T/hog.log pid shim peak mib
  mib=$(tries 1024 4096)
  cedana run process -j hog -o "$log" -- "$WORKLOADS/memhog" --mib "$mib" --half-compressible
  wait_for 300 grep -q '^ready' "$log"
  pid=$(job_pid hog)
  shim=$(sed -n 's/^PPid:\t//p' "/proc/$pid/status")
  cedana dump job hog --dir cedana://e2e --compression lz4 --leave-running
  (($(written "$shim") < 16 << 20))
  cedana dump job hog --dir cedana://e2e --compression lz4
  ended "$pid"
  cedana restore job hog
  kill -USR1 "$pid"
  wait_for 120 grep -q '^verify ok' "$log"
  peak=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$DAEMON_PID/status")
  echo "daemon: peak $peak kB, written $(written "$DAEMON_PID") bytes"
  ((peak < 512 << 10))
  (($(written "$DAEMON_PID") < 16 << 20))
}
