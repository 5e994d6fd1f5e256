// CRIU's own messages for most of these are misleading (a traced process, a kernel thread and a
// missing pid all read "Unable to detach from N"), so they are told apart before CRIU is asked.
#include <unistd.h>

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cedana/runtime/procfs.h"
#include "cedana/runtime/procfs_internal.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::runtime {
namespace {

constexpr uint32_t kKernelThreadFlag = 0x200000;  // PF_KTHREAD
constexpr size_t kProcFileBytesMax = 256 << 20;   // smaps of a process with 65530 mappings: 60 MiB

// The value of "Key:\tvalue" in a status-like file; empty when absent.
std::string ValueOf(absl::string_view text, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, key)) {
      return std::string(absl::StripAsciiWhitespace(line));
    }
  }
  return "";
}

std::string Describe(int pid) {
  const std::string command = CommandLine(pid);
  if (!command.empty()) return absl::StrCat("process ", pid, " (`", command, "`)");
  const auto stat = ReadStat(pid);
  return absl::StrCat("process ", pid, stat.ok() ? absl::StrCat(" (", stat->comm, ")") : "");
}

bool IsAncestorOfSelf(int pid) {
  int at = ::getpid();
  while (at > 0) {
    if (at == pid) return true;
    const auto stat = ReadStat(at);
    if (!stat.ok()) return false;
    at = stat->ppid;
  }
  return false;
}

// A mapping line of smaps is "from-to perms offset dev inode path"; its attributes follow.
bool HasPrivateHugetlb(int pid, absl::string_view status) {
  const std::string pages = ValueOf(status, "HugetlbPages:");
  if (pages.empty() || absl::StartsWith(pages, "0 ")) {
    // Nothing touched yet; only a mapping of hugetlbfs could tell, and that is in maps.
    const auto maps = base::ReadFile(ProcPath(pid, "maps"), kProcFileBytesMax);
    if (!maps.ok() || !absl::StrContains(*maps, "hugepage")) return false;
  }
  const auto smaps = base::ReadFile(ProcPath(pid, "smaps"), kProcFileBytesMax);
  if (!smaps.ok()) return false;
  bool is_private = false;
  for (absl::string_view line : absl::StrSplit(*smaps, '\n')) {
    const size_t space = line.find(' ');
    const absl::string_view first = line.substr(0, space);
    if (absl::StrContains(first, '-') && !absl::EndsWith(first, ":")) {
      is_private = line.size() > space + 4 && line[space + 4] == 'p';
    } else if (absl::ConsumePrefix(&line, "VmFlags:")) {
      if (is_private && absl::StrContains(absl::StrCat(line, " "), " ht ")) return true;
    }
  }
  return false;
}

bool IsPeriodicTimer(int pid, int fd) {
  const auto info = base::ReadFile(ProcPath(pid, absl::StrCat("fdinfo/", fd)));
  if (!info.ok()) return false;
  const std::string interval = ValueOf(*info, "it_interval:");
  return !interval.empty() && interval != "(0, 0)";
}

absl::Status CheckFds(int pid, std::vector<std::string>* warnings) {
  for (const int fd : NumbersIn(ProcPath(pid, "fd"))) {
    const std::string target = FdTarget(pid, fd);
    if (target == "anon_inode:[io_uring]") {
      return absl::FailedPreconditionError(
          absl::StrCat(Describe(pid), " uses io_uring, which CRIU cannot dump"));
    }
    if (target == "anon_inode:[timerfd]" && IsPeriodicTimer(pid, fd) && warnings != nullptr) {
      warnings->push_back(absl::StrCat(Describe(pid), ": periodic timerfd ", fd,
                                       " is restored disarmed when expirations are unread"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckProcess(int pid, std::vector<std::string>* warnings) {
  const auto status = base::ReadFile(ProcPath(pid, "status"));
  if (!status.ok()) return absl::OkStatus();  // ended meanwhile
  if (const std::string tracer = ValueOf(*status, "TracerPid:"); !tracer.empty() && tracer != "0") {
    int tracer_pid = 0;
    if (!absl::SimpleAtoi(tracer, &tracer_pid)) tracer_pid = 0;
    return absl::FailedPreconditionError(
        absl::StrCat(Describe(pid), " is traced by ", Describe(tracer_pid)));
  }
  if (HasPrivateHugetlb(pid, *status)) {
    return absl::FailedPreconditionError(
        absl::StrCat(Describe(pid), " has private hugetlb memory, which cannot be streamed"));
  }
  return CheckFds(pid, warnings);
}

// Inodes of TCP sockets in any state but listening and closed, of the network of `pid`.
void ConnectedInodes(int pid, std::set<std::string>* inodes) {
  for (const char* table : {"net/tcp", "net/tcp6"}) {
    const auto text = base::ReadFile(ProcPath(pid, table), kProcFileBytesMax);
    if (!text.ok()) continue;
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
      if (fields.size() < 10 || fields[3] == "0A" || fields[3] == "07") continue;
      inodes->insert(std::string(fields[9]));
    }
  }
}

}  // namespace

absl::Status CheckDumpable(int root, std::vector<std::string>* warnings) {
  CEDANA_ASSIGN_OR_RETURN(const ProcessStat stat, ReadStat(root));
  if (stat.state == 'Z' || stat.state == 'X') {
    return absl::FailedPreconditionError(
        absl::StrCat(Describe(root), " has ended and waits for its parent (zombie)"));
  }
  if ((stat.flags & kKernelThreadFlag) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(Describe(root), " is a kernel thread"));
  }
  if (IsAncestorOfSelf(root)) {
    return absl::FailedPreconditionError(
        absl::StrCat(Describe(root), " is an ancestor of the daemon itself"));
  }
  CEDANA_ASSIGN_OR_RETURN(const std::vector<int> tree, Tree(root));
  for (const int pid : tree) CEDANA_RETURN_IF_ERROR(CheckProcess(pid, warnings));
  return absl::OkStatus();
}

absl::StatusOr<bool> HasEstablishedTcp(int root) {
  CEDANA_ASSIGN_OR_RETURN(const std::vector<int> tree, Tree(root));
  std::set<std::string> connected;
  std::set<std::string> networks;
  for (const int pid : tree) {
    char name[64] = {};
    if (::readlink(ProcPath(pid, "ns/net").c_str(), name, sizeof(name) - 1) < 0) continue;
    if (networks.insert(name).second) ConnectedInodes(pid, &connected);
  }
  for (const int pid : tree) {
    for (const int fd : NumbersIn(ProcPath(pid, "fd"))) {
      const std::string target = FdTarget(pid, fd);
      absl::string_view inode = target;
      if (!absl::ConsumePrefix(&inode, "socket:[") || !absl::ConsumeSuffix(&inode, "]")) continue;
      if (connected.count(std::string(inode)) != 0) return true;
    }
  }
  return false;
}

}  // namespace cedana::runtime
