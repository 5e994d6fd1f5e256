#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/program_internal.h"
#include "cedana/criu/run_program_internal.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

constexpr absl::Duration kNftTimeout = absl::Seconds(20);
constexpr int kRepairOn = 1;
constexpr int kRepairOffNoWindowProbe = -1;

std::vector<int> SocketsOf(int pid) {
  std::vector<int> fds;
  const std::string folder = absl::StrCat("/proc/", pid, "/fd");
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  if (dir == nullptr) return fds;  // gone
  while (const dirent* entry = ::readdir(dir.get())) {
    int fd = 0;
    if (!absl::SimpleAtoi(entry->d_name, &fd)) continue;
    char target[64];
    const ssize_t size = ::readlink(absl::StrCat(folder, "/", fd).c_str(), target, sizeof(target));
    if (size > 0 &&
        absl::StartsWith(absl::string_view(target, static_cast<size_t>(size)), "socket:")) {
      fds.push_back(fd);
    }
  }
  return fds;
}

absl::Status LeaveRepair(int pid) {
  const base::UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) {
    return errno == ESRCH ? absl::OkStatus()
                          : base::ErrnoStatus(errno, absl::StrCat("process ", pid));
  }
  absl::Status result;
  for (const int fd : SocketsOf(pid)) {
    const base::UniqueFd socket(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), fd, 0)));
    if (!socket.valid()) continue;  // closed meanwhile, or its process ended
    int mode = 0;
    socklen_t size = sizeof(mode);
    // Refused for what is no TCP socket.
    if (::getsockopt(socket.get(), IPPROTO_TCP, TCP_REPAIR, &mode, &size) != 0) continue;
    if (mode != kRepairOn) continue;
    if (::setsockopt(socket.get(), IPPROTO_TCP, TCP_REPAIR, &kRepairOffNoWindowProbe,
                     sizeof(kRepairOffNoWindowProbe)) != 0) {
      result.Update(base::ErrnoStatus(errno, absl::StrCat("TCP socket ", fd, " of ", pid)));
    }
  }
  return result;
}

absl::StatusOr<ProgramResult> Nft(std::vector<std::string> arguments) {
  const std::string nft = FindInPath("nft");
  if (nft.empty()) return absl::FailedPreconditionError("nft is not installed");
  arguments.insert(arguments.begin(), nft);
  return RunProgram(arguments, kNftTimeout);
}

}  // namespace

std::vector<std::string> ParseCriuTables(absl::string_view text) {
  std::vector<std::string> tables;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, "table inet ") && absl::StartsWith(line, "CRIU-")) {
      tables.emplace_back(absl::StripAsciiWhitespace(line));
    }
  }
  std::sort(tables.begin(), tables.end());
  return tables;
}

absl::StatusOr<std::vector<std::string>> ListCriuTables() {
  CEDANA_ASSIGN_OR_RETURN(const ProgramResult result, Nft({"list", "tables", "inet"}));
  if (result.exit_code != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("nft list tables: ", absl::StripAsciiWhitespace(result.output)));
  }
  return ParseCriuTables(result.output);
}

absl::Status CureTcp(const std::vector<int>& pids, const std::vector<std::string>& nft_tables) {
  absl::Status result;
  // Repair mode first: while the table stands, nothing arrives that the socket could not take.
  for (const int pid : pids) result.Update(LeaveRepair(pid));
  if (nft_tables.empty()) return result;
  CEDANA_ASSIGN_OR_RETURN(const std::vector<std::string> present, ListCriuTables());
  for (const std::string& table : nft_tables) {
    const std::string name(absl::StripPrefix(table, "inet "));
    if (std::find(present.begin(), present.end(), name) == present.end()) continue;
    absl::StatusOr<ProgramResult> deleted = Nft({"delete", "table", "inet", name});
    if (!deleted.ok()) {
      result.Update(deleted.status());
    } else if (deleted->exit_code != 0) {
      result.Update(absl::InternalError(absl::StrCat("nft delete table inet ", name, ": ",
                                                     absl::StripAsciiWhitespace(deleted->output))));
    }
  }
  return result;
}

}  // namespace cedana::criu
