// A process tree that can be frozen as a whole, by cgroup v2, while it is dumped.
//
// CRIU puts established connections into TCP repair mode, with the tree frozen
// (criu/repair_hold.cc). Killed right then, it leaves the tree frozen: whoever sees the end of CRIU
// cures and thaws. That is the shim, at once; the daemon, for a shim that died; the next daemon,
// when all of them did.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace cedana::runtime {

// The cgroups that have the tree of `root`, all of it and no strangers: `job_cgroup` (empty: none),
// and for processes elsewhere a child `cedana-hold-<name>` of the cgroup that they are in, to which
// they are moved. A child, because then the limits above go on to count, nobody who waits for the
// old cgroup to be empty is misled, and the way back cannot vanish. On an error nothing is held or
// moved: there is no cgroup v2, or one that takes no children (a threaded one, for instance).
absl::StatusOr<std::vector<std::string>> HoldTree(int root, const std::string& job_cgroup,
                                                  const std::string& name);

// The same cgroups, as far as `pids` are still in them: for who was not there when they were held.
std::vector<std::string> FindHold(const std::vector<int>& pids, const std::string& job_cgroup);

// Takes every socket of their processes out of TCP repair mode, then thaws. Cgroups that are gone
// are no error; it can be repeated.
absl::Status CureAndThaw(const std::vector<std::string>& cgroups);
absl::Status Thaw(const std::vector<std::string>& cgroups);

// Is any of them frozen, or about to be?
bool IsFrozen(const std::vector<std::string>& cgroups);

// Undoes HoldTree: what was moved goes back. Thawed first: CureAndThaw.
absl::Status ReleaseTree(const std::vector<std::string>& cgroups);

}  // namespace cedana::runtime
