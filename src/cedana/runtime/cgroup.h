// cgroup v2 folders of jobs and of operations. Needs only cgroup2 mounted, no controllers; where
// it is not, Find says so and callers fall back as their own headers say.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace cedana::runtime {

class Cgroups {
 public:
  // Finds the mount in /proc/self/mountinfo and makes `<mount>/cedana/<instance>`.
  static absl::StatusOr<Cgroups> Open(const std::string& instance);

  // Makes (parents too) and returns the absolute path of a cgroup below the instance's.
  absl::StatusOr<std::string> Make(const std::string& relative) const;
  const std::string& root() const { return root_; }

 private:
  explicit Cgroups(std::string root) : root_(std::move(root)) {}
  std::string root_;
};

// The cgroup v2 folder that the process is in; kNotFound: no such process, or no cgroup v2.
absl::StatusOr<std::string> CgroupOf(int pid);
absl::Status MakeCgroup(const std::string& cgroup);  // its parent exists
absl::StatusOr<std::vector<int>> CgroupPids(const std::string& cgroup, bool recursive);
absl::Status MoveToCgroup(const std::string& cgroup, int pid);
// cgroup.kill and wait until empty; OK when it does not exist.
absl::Status KillCgroup(const std::string& cgroup, absl::Duration timeout);
// No process of it runs from then on, or all of them may.
absl::Status SetFreeze(const std::string& cgroup, bool freeze);
// The same, and waits until each process has noticed.
absl::Status FreezeCgroup(const std::string& cgroup, bool freeze, absl::Duration timeout);
// Removes the cgroup and its children, which must be empty of processes.
absl::Status RemoveCgroup(const std::string& cgroup);

}  // namespace cedana::runtime
