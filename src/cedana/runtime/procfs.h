// What /proc says about processes: identity, tree, stdio, connections, and the facts that decide
// whether a process can be dumped. Reads only; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cedana/runtime/shim_client.h"

namespace cedana::runtime {

struct ProcessStat {
  int pid = 0;
  std::string comm;
  char state = '?';
  int ppid = 0;
  int pgrp = 0;
  int session = 0;
  uint32_t flags = 0;
  uint64_t start_ticks = 0;
};

absl::StatusOr<ProcessStat> ReadStat(int pid);  // kNotFound: no such process
std::optional<ProcessIdentity> Identify(int pid);
bool IsAlive(const ProcessIdentity& process);  // a zombie is not
bool IsTraced(int pid);                        // by ptrace, any thread of it
std::string CommandLine(int pid);              // arguments joined by spaces
std::vector<std::string> Arguments(int pid);
// The process and all its descendants, parents first.
absl::StatusOr<std::vector<int>> Tree(int root);
std::string FdTarget(int pid, int fd);  // readlink of /proc/PID/fd/N; empty when there is none

// May `root`'s tree be dumped at all? The first reason against, in one line (kFailedPrecondition,
// kNotFound): not alive, kernel thread, traced, an ancestor of this process, private hugetlb,
// io_uring. `warnings` gets what works with a loss (an armed periodic timerfd).
absl::Status CheckDumpable(int root, std::vector<std::string>* warnings);
// Is any TCP connection of the tree established (a mere listener is not)?
absl::StatusOr<bool> HasEstablishedTcp(int root);
// Are the pids free for a restore? Also as a session or process group of others. The error names
// who has it and whether it is a zombie.
absl::Status CheckPidsFree(const std::vector<int>& pids);

std::string HostName();
std::string UserName(uint32_t uid);  // the number when it has no name

}  // namespace cedana::runtime
