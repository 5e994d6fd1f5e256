#include "cedana/runtime/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::runtime {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(2);
constexpr absl::Duration kRemoveTimeout = absl::Seconds(2);

// Where a cgroup2 file system is mounted; of several the first. mountinfo: "… mountpoint … - type
// …"
absl::StatusOr<std::string> FindMount() {
  CEDANA_ASSIGN_OR_RETURN(const std::string text, base::ReadFile("/proc/self/mountinfo"));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const size_t dash = line.find(" - cgroup2 ");
    if (dash == absl::string_view::npos) continue;
    const std::vector<std::string> fields = absl::StrSplit(line.substr(0, dash), ' ');
    if (fields.size() > 4) return fields[4];
  }
  return absl::NotFoundError("no cgroup2 file system is mounted");
}

absl::Status WriteControl(const std::string& path, absl::string_view value) {
  base::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, path);
  return base::Annotate(base::WriteAll(fd.get(), value), path);
}

// The value of a key in cgroup.events; kNotFound when there is no such cgroup.
absl::StatusOr<bool> ReadEvent(const std::string& cgroup, absl::string_view key) {
  auto text = base::ReadFile(absl::StrCat(cgroup, "/cgroup.events"));
  if (!text.ok()) {
    // A cgroup removed between open and read says ENODEV.
    if (::access(cgroup.c_str(), F_OK) != 0) return absl::NotFoundError(cgroup);
    return text.status();
  }
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    if (absl::ConsumePrefix(&line, key)) return absl::StrContains(line, "1");
  }
  return absl::InternalError(absl::StrCat(cgroup, "/cgroup.events has no ", key));
}

std::vector<std::string> Children(const std::string& cgroup) {
  std::vector<std::string> out;
  std::error_code error;
  for (std::filesystem::directory_iterator it(cgroup, error), end; !error && it != end;
       it.increment(error)) {
    if (it->is_directory(error)) out.push_back(it->path().string());
  }
  return out;
}

absl::Status RemoveUntil(const std::string& cgroup, absl::Duration deadline) {
  for (const std::string& child : Children(cgroup)) {
    CEDANA_RETURN_IF_ERROR(RemoveUntil(child, deadline));
  }
  base::Clock& clock = base::SystemClock();
  while (::rmdir(cgroup.c_str()) != 0) {
    const int error = errno;
    if (error == ENOENT) break;
    // A process that has just died keeps its cgroup busy for a moment.
    if (error != EBUSY || clock.Monotonic() >= deadline) return base::ErrnoStatus(error, cgroup);
    clock.Sleep(kPoll);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Cgroups> Cgroups::Open(const std::string& instance) {
  CEDANA_ASSIGN_OR_RETURN(const std::string mount, FindMount());
  Cgroups cgroups(absl::StrCat(mount, "/cedana/", instance));
  CEDANA_RETURN_IF_ERROR(base::MakeDirs(cgroups.root_, 0755));
  return cgroups;
}

absl::StatusOr<std::string> Cgroups::Make(const std::string& relative) const {
  const std::string path = absl::StrCat(root_, "/", relative);
  CEDANA_RETURN_IF_ERROR(base::MakeDirs(path, 0755));
  return path;
}

absl::StatusOr<std::string> CgroupOf(int pid) {
  CEDANA_ASSIGN_OR_RETURN(const std::string mount, FindMount());
  const auto text = base::ReadFile(absl::StrCat("/proc/", pid, "/cgroup"));
  if (!text.ok()) return absl::NotFoundError(absl::StrCat("process ", pid));
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    if (!absl::ConsumePrefix(&line, "0::")) continue;
    // "/../x": outside of what this process may see.
    if (absl::StartsWith(line, "/..")) break;
    return absl::StrCat(mount, line == "/" ? "" : line);
  }
  return absl::FailedPreconditionError(absl::StrCat("process ", pid, " is in no cgroup of ours"));
}

absl::Status MakeCgroup(const std::string& cgroup) {
  if (::mkdir(cgroup.c_str(), 0755) == 0 || errno == EEXIST) return absl::OkStatus();
  return base::ErrnoStatus(errno, cgroup);
}

absl::StatusOr<std::vector<int>> CgroupPids(const std::string& cgroup, bool recursive) {
  CEDANA_ASSIGN_OR_RETURN(const std::string text,
                          base::ReadFile(absl::StrCat(cgroup, "/cgroup.procs")));
  std::vector<int> pids;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    int pid = 0;
    if (absl::SimpleAtoi(line, &pid) && pid > 0) pids.push_back(pid);
  }
  if (!recursive) return pids;
  for (const std::string& child : Children(cgroup)) {
    auto more = CgroupPids(child, true);
    // A child that went away meanwhile had none.
    if (more.ok()) pids.insert(pids.end(), more->begin(), more->end());
  }
  return pids;
}

absl::Status MoveToCgroup(const std::string& cgroup, int pid) {
  return WriteControl(absl::StrCat(cgroup, "/cgroup.procs"), absl::StrCat(pid));
}

absl::Status KillCgroup(const std::string& cgroup, absl::Duration timeout) {
  base::Clock& clock = base::SystemClock();
  const absl::Duration deadline = clock.Monotonic() + timeout;
  while (true) {
    const auto populated = ReadEvent(cgroup, "populated");
    if (absl::IsNotFound(populated.status())) return absl::OkStatus();
    CEDANA_RETURN_IF_ERROR(populated.status());
    if (!*populated) return absl::OkStatus();
    // Again each time: a process may have been moved in after the last write.
    absl::Status status = WriteControl(absl::StrCat(cgroup, "/cgroup.kill"), "1");
    if (!status.ok() && ::access(cgroup.c_str(), F_OK) == 0) return status;
    if (clock.Monotonic() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat(cgroup, ": still has processes"));
    }
    clock.Sleep(std::min(kPoll, timeout));
  }
}

absl::Status SetFreeze(const std::string& cgroup, bool freeze) {
  return WriteControl(absl::StrCat(cgroup, "/cgroup.freeze"), freeze ? "1" : "0");
}

absl::Status FreezeCgroup(const std::string& cgroup, bool freeze, absl::Duration timeout) {
  CEDANA_RETURN_IF_ERROR(SetFreeze(cgroup, freeze));
  base::Clock& clock = base::SystemClock();
  const absl::Duration deadline = clock.Monotonic() + timeout;
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const bool frozen, ReadEvent(cgroup, "frozen"));
    if (frozen == freeze) return absl::OkStatus();
    if (clock.Monotonic() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat(cgroup, freeze ? ": not frozen yet" : ": still frozen"));
    }
    clock.Sleep(kPoll);
  }
}

absl::Status RemoveCgroup(const std::string& cgroup) {
  return RemoveUntil(cgroup, base::SystemClock().Monotonic() + kRemoveTimeout);
}

}  // namespace cedana::runtime
