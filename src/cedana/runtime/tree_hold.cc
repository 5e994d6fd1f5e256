#include "cedana/runtime/tree_hold.h"

#include <unistd.h>

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cedana/runtime/cgroup.h"
#include "cedana/runtime/procfs.h"
#include "cedana/runtime/tcp_repair.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::runtime {
namespace {

constexpr absl::string_view kPrefix = "cedana-hold-";
// A tree that forks all the time is followed for so many rounds; children of a process that has
// been moved are born in its new cgroup.
constexpr int kRoundsMax = 20;

absl::string_view Name(absl::string_view cgroup) { return cgroup.substr(cgroup.rfind('/') + 1); }
std::string Parent(const std::string& cgroup) { return cgroup.substr(0, cgroup.rfind('/')); }

bool IsOwn(absl::string_view cgroup) { return absl::StartsWith(Name(cgroup), kPrefix); }

bool IsWithin(absl::string_view cgroup, absl::string_view top) {
  return !top.empty() && absl::StartsWith(cgroup, top) &&
         (cgroup.size() == top.size() || cgroup[top.size()] == '/');
}

bool Exists(const std::string& cgroup) { return ::access(cgroup.c_str(), F_OK) == 0; }

void AddOnce(std::vector<std::string>* cgroups, const std::string& cgroup) {
  if (std::find(cgroups->begin(), cgroups->end(), cgroup) == cgroups->end()) {
    cgroups->push_back(cgroup);
  }
}

// One round; the number of processes that were not held yet.
absl::StatusOr<int> HoldOnce(int root, const std::string& name, std::vector<std::string>* held) {
  int moved = 0;
  CEDANA_ASSIGN_OR_RETURN(const std::vector<int> tree, Tree(root));
  for (const int pid : tree) {
    const absl::StatusOr<std::string> cgroup = CgroupOf(pid);
    if (absl::IsNotFound(cgroup.status()) && !Identify(pid).has_value()) continue;  // has ended
    CEDANA_RETURN_IF_ERROR(cgroup.status());
    const auto holds = [&](const std::string& own) { return IsWithin(*cgroup, own); };
    if (std::any_of(held->begin(), held->end(), holds)) continue;
    const std::string own = absl::StrCat(*cgroup, "/", kPrefix, name);
    CEDANA_RETURN_IF_ERROR(MakeCgroup(own));
    AddOnce(held, own);
    const absl::Status status = MoveToCgroup(own, pid);
    if (!status.ok() && Identify(pid).has_value()) return status;
    ++moved;
  }
  return moved;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> HoldTree(int root, const std::string& job_cgroup,
                                                  const std::string& name) {
  std::vector<std::string> held;
  if (!job_cgroup.empty()) held.push_back(job_cgroup);
  absl::StatusOr<int> moved = 1;
  for (int round = 0; round < kRoundsMax && moved.ok() && *moved > 0; ++round) {
    moved = HoldOnce(root, name, &held);
  }
  if (moved.ok()) return held;
  ReleaseTree(held).IgnoreError();
  return moved.status();
}

std::vector<std::string> FindHold(const std::vector<int>& pids, const std::string& job_cgroup) {
  std::vector<std::string> held;
  if (!job_cgroup.empty() && Exists(job_cgroup)) held.push_back(job_cgroup);
  for (const int pid : pids) {
    std::string cgroup = CgroupOf(pid).value_or("");
    while (!cgroup.empty() && !IsOwn(cgroup)) cgroup = Parent(cgroup);
    if (!cgroup.empty()) AddOnce(&held, cgroup);
  }
  return held;
}

absl::Status CureAndThaw(const std::vector<std::string>& cgroups) {
  absl::Status result;
  for (const std::string& cgroup : cgroups) {
    const auto pids = CgroupPids(cgroup, /*recursive=*/true);
    if (!pids.ok() && Exists(cgroup)) result.Update(pids.status());
    for (const int pid : pids.value_or(std::vector<int>())) result.Update(LeaveTcpRepair(pid));
  }
  // All of them are cured before the first one runs: processes share sockets.
  result.Update(Thaw(cgroups));
  return result;
}

absl::Status Thaw(const std::vector<std::string>& cgroups) {
  absl::Status result;
  for (const std::string& cgroup : cgroups) {
    const absl::Status status = SetFreeze(cgroup, false);
    if (!status.ok() && Exists(cgroup)) result.Update(status);
  }
  return result;
}

bool IsFrozen(const std::vector<std::string>& cgroups) {
  return std::any_of(cgroups.begin(), cgroups.end(), [](const std::string& cgroup) {
    return absl::StartsWith(base::ReadFile(absl::StrCat(cgroup, "/cgroup.freeze"), 16).value_or(""),
                            "1");
  });
}

absl::Status ReleaseTree(const std::vector<std::string>& cgroups) {
  absl::Status result;
  for (const std::string& cgroup : cgroups) {
    if (!IsOwn(cgroup) || !Exists(cgroup)) continue;
    for (int round = 0; round < kRoundsMax; ++round) {
      const auto pids = CgroupPids(cgroup, /*recursive=*/true);
      if (!pids.ok() || pids->empty()) break;
      // One that has ended meanwhile is not there any more.
      for (const int pid : *pids) MoveToCgroup(Parent(cgroup), pid).IgnoreError();
    }
    result.Update(RemoveCgroup(cgroup));
  }
  return result;
}

}  // namespace cedana::runtime
