#include "cedana/runtime/procfs.h"

#include <dirent.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cedana/runtime/procfs_internal.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::runtime {

std::string ProcPath(int pid, absl::string_view name) {
  return absl::StrCat("/proc/", pid, "/", name);
}

std::vector<int> NumbersIn(const std::string& folder) {
  std::vector<int> out;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return out;
  while (const dirent* entry = ::readdir(dir)) {
    int number = 0;
    if (absl::SimpleAtoi(entry->d_name, &number)) out.push_back(number);
  }
  ::closedir(dir);
  return out;
}

absl::StatusOr<ProcessStat> ParseStat(absl::string_view text) {
  // "pid (comm) state ppid …": comm may hold spaces, parentheses and newlines, so it ends at the
  // last ')'.
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  ProcessStat stat;
  if (open == absl::string_view::npos || close == absl::string_view::npos || close < open ||
      !absl::SimpleAtoi(text.substr(0, open), &stat.pid)) {
    return absl::InternalError("/proc/PID/stat is not understood");
  }
  stat.comm = std::string(text.substr(open + 1, close - open - 1));
  const std::vector<absl::string_view> fields =
      absl::StrSplit(text.substr(close + 1), ' ', absl::SkipWhitespace());
  // fields[0] is field 3 of proc(5).
  if (fields.size() < 20 || fields[0].size() != 1 || !absl::SimpleAtoi(fields[1], &stat.ppid) ||
      !absl::SimpleAtoi(fields[2], &stat.pgrp) || !absl::SimpleAtoi(fields[3], &stat.session) ||
      !absl::SimpleAtoi(fields[6], &stat.flags) ||
      !absl::SimpleAtoi(fields[19], &stat.start_ticks)) {
    return absl::InternalError("/proc/PID/stat is not understood");
  }
  stat.state = fields[0][0];
  return stat;
}

absl::StatusOr<ProcessStat> ReadStat(int pid) {
  const auto text = base::ReadFile(ProcPath(pid, "stat"));
  // ESRCH: it ended between open and read.
  if (!text.ok()) {
    if (::access(ProcPath(pid, "stat").c_str(), F_OK) == 0 && !absl::IsNotFound(text.status())) {
      return text.status();
    }
    return absl::NotFoundError(absl::StrCat("no process ", pid));
  }
  return ParseStat(*text);
}

std::optional<ProcessIdentity> Identify(int pid) {
  const auto stat = ReadStat(pid);
  if (!stat.ok()) return std::nullopt;
  return ProcessIdentity{pid, stat->start_ticks};
}

bool IsAlive(const ProcessIdentity& process) {
  const auto stat = ReadStat(process.pid);
  return stat.ok() && stat->start_ticks == process.start_ticks && stat->state != 'Z' &&
         stat->state != 'X';
}

bool IsTraced(int pid) {
  for (const int tid : NumbersIn(ProcPath(pid, "task"))) {
    const auto status = base::ReadFile(ProcPath(pid, absl::StrCat("task/", tid, "/status")));
    if (status.ok() && absl::StrContains(*status, "\nTracerPid:\t") &&
        !absl::StrContains(*status, "\nTracerPid:\t0\n")) {
      return true;
    }
  }
  return false;
}

std::vector<std::string> Arguments(int pid) {
  const auto text = base::ReadFile(ProcPath(pid, "cmdline"));
  if (!text.ok() || text->empty()) return {};
  absl::string_view body = *text;
  if (body.back() == '\0') body.remove_suffix(1);
  return absl::StrSplit(body, '\0');
}

std::string CommandLine(int pid) { return absl::StrJoin(Arguments(pid), " "); }

absl::StatusOr<std::vector<int>> Tree(int root) {
  CEDANA_RETURN_IF_ERROR(ReadStat(root).status());
  std::map<int, std::vector<int>> children;
  for (const int pid : NumbersIn("/proc")) {
    if (const auto stat = ReadStat(pid); stat.ok()) children[stat->ppid].push_back(pid);
  }
  std::vector<int> tree = {root};
  for (size_t i = 0; i < tree.size(); ++i) {
    const auto it = children.find(tree[i]);
    if (it != children.end()) tree.insert(tree.end(), it->second.begin(), it->second.end());
  }
  return tree;
}

std::string FdTarget(int pid, int fd) {
  char target[4096];
  const ssize_t size =
      ::readlink(ProcPath(pid, absl::StrCat("fd/", fd)).c_str(), target, sizeof(target));
  return size < 0 ? std::string() : std::string(target, static_cast<size_t>(size));
}

absl::Status CheckPidsFree(const std::vector<int>& pids) {
  const auto name = [](const ProcessStat& stat) {
    std::string command = CommandLine(stat.pid);
    return command.empty() ? stat.comm : command;
  };
  for (const int pid : pids) {
    const auto stat = ReadStat(pid);
    if (!stat.ok()) continue;
    return absl::FailedPreconditionError(absl::StrCat("pid ", pid, " is taken by `", name(*stat),
                                                      "`", stat->state == 'Z' ? " (zombie)" : ""));
  }
  for (const int holder : NumbersIn("/proc")) {
    const auto stat = ReadStat(holder);
    if (!stat.ok()) continue;
    for (const int pid : pids) {
      if (stat->session != pid && stat->pgrp != pid) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          "pid ", pid, " is taken as ", stat->session == pid ? "the session" : "the process group",
          " of `", name(*stat), "` (pid ", holder, stat->state == 'Z' ? ", zombie)" : ")"));
    }
  }
  return absl::OkStatus();
}

std::string HostName() {
  char name[256] = {};
  if (::gethostname(name, sizeof(name) - 1) != 0) return "localhost";
  return name;
}

std::string UserName(uint32_t uid) {
  std::vector<char> buffer(16 << 10);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return absl::StrCat(uid);
  }
  return found->pw_name;
}

}  // namespace cedana::runtime
