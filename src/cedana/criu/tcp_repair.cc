#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cedana/criu/criu.h"
#include "cedana/criu/program_internal.h"
#include "cedana/criu/tcp_sockets_internal.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

constexpr int kRepairOn = 1;
constexpr int kRepairOffNoWindowProbe = -1;

absl::Status SetRepair(int socket, int mode) {
  if (::setsockopt(socket, IPPROTO_TCP, TCP_REPAIR, &mode, sizeof(mode)) == 0) {
    return absl::OkStatus();
  }
  return base::ErrnoStatus(errno, "TCP_REPAIR");
}

// Takes the sockets of `pid` that are in repair mode out of it; `taken` gets them.
absl::Status LeaveRepair(int pid, std::vector<base::UniqueFd>* taken) {
  CEDANA_ASSIGN_OR_RETURN(std::vector<base::UniqueFd> sockets, TakeTcpSockets(pid));
  absl::Status result;
  for (base::UniqueFd& socket : sockets) {
    int mode = 0;
    socklen_t size = sizeof(mode);
    if (::getsockopt(socket.get(), IPPROTO_TCP, TCP_REPAIR, &mode, &size) != 0) continue;
    if (mode != kRepairOn) continue;
    result.Update(base::Annotate(SetRepair(socket.get(), kRepairOffNoWindowProbe),
                                 absl::StrCat("process ", pid)));
    taken->push_back(std::move(socket));
  }
  return result;
}

}  // namespace

void TcpHold::OnImage(const std::string& name) {
  absl::string_view number = name;
  if (!absl::ConsumeSuffix(&number, ".img")) return;
  absl::MutexLock lock(&mutex_);
  if (absl::ConsumePrefix(&number, "pagemap-")) {
    if (!absl::SimpleAtoi(number, &pid_)) pid_ = 0;  // of shared memory
  } else if (absl::StartsWith(number, "pages-") && pid_ != 0) {
    status_.Update(LeaveRepair(pid_, &sockets_));
    pid_ = 0;
  }
}

absl::Status TcpHold::Reenter() {
  absl::MutexLock lock(&mutex_);
  for (const base::UniqueFd& socket : sockets_) {
    status_.Update(SetRepair(socket.get(), kRepairOn));
  }
  // Ours must not be the last descriptors, or the sockets would outlive the process.
  sockets_.clear();
  return status_;
}

absl::Status CureTcp(const std::vector<int>& pids, const std::vector<std::string>& nft_tables) {
  absl::Status result;
  std::vector<base::UniqueFd> taken;
  // First: a process that sends or receives in repair mode gets an error.
  for (const int pid : pids) result.Update(LeaveRepair(pid, &taken));
  result.Update(DeleteCriuTables(nft_tables));
  return result;
}

}  // namespace cedana::criu
