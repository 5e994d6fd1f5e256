// How a shim starts a program: a job at a pid of its own choosing, or CRIU. Single-threaded
// callers only (the child runs on a copy of the caller's stack until exec).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/random.h"

namespace cedana::runtime {

struct SpawnUser {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;
};

struct SpawnSpec {
  std::vector<std::string> argv;  // argv[0] is the program's path
  std::vector<std::string> env;   // the whole environment
  std::string working_dir = "/";  // entered as the user
  std::string cgroup;             // joined before exec; empty: none
  bool new_session = false;
  // At a random free pid in the upper half of pid_max, where the kernel permits it.
  bool high_pid = false;
  const SpawnUser* user = nullptr;  // null: stays who we are
  // The child's descriptors: the target number and ours, which stays open here. All others are
  // closed.
  struct Descriptor {
    int number = 0;
    int fd = -1;
  };
  std::vector<Descriptor> descriptors;
};

// Returns the pid after a successful exec. On failure no child is left, not even a zombie, and the
// error says in one line what could not be done.
absl::StatusOr<int> Spawn(const SpawnSpec& spec, base::Random& random);

}  // namespace cedana::runtime
