#include "cedana/runtime/tcp_repair.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cedana/runtime/procfs_internal.h"
#include "core/base/status.h"

namespace cedana::runtime {
namespace {

constexpr int kRepairOn = 1;
constexpr int kRepairOffNoWindowProbe = -1;

// kNotFound for what is no TCP socket.
absl::StatusOr<int> RepairMode(int socket) {
  int mode = 0;
  socklen_t size = sizeof(mode);
  if (::getsockopt(socket, IPPROTO_TCP, TCP_REPAIR, &mode, &size) == 0) return mode;
  return absl::NotFoundError("no TCP socket");
}

}  // namespace

absl::StatusOr<std::vector<base::UniqueFd>> TakeTcpSockets(int pid) {
  std::vector<base::UniqueFd> sockets;
  const base::UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) {
    if (errno == ESRCH || errno == EINVAL) return sockets;  // gone, or never a process
    return base::ErrnoStatus(errno, absl::StrCat("process ", pid));
  }
  for (const int fd : NumbersIn(ProcPath(pid, "fd"))) {
    if (!absl::StartsWith(FdTarget(pid, fd), "socket:")) continue;
    base::UniqueFd socket(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), fd, 0)));
    if (!socket.valid()) continue;  // closed meanwhile, or its process ended
    if (RepairMode(socket.get()).ok()) sockets.push_back(std::move(socket));
  }
  return sockets;
}

absl::Status LeaveTcpRepair(int pid) {
  CEDANA_ASSIGN_OR_RETURN(const std::vector<base::UniqueFd> sockets, TakeTcpSockets(pid));
  absl::Status result;
  for (const base::UniqueFd& socket : sockets) {
    if (RepairMode(socket.get()).value_or(0) != kRepairOn) continue;
    const int mode = kRepairOffNoWindowProbe;
    if (::setsockopt(socket.get(), IPPROTO_TCP, TCP_REPAIR, &mode, sizeof(mode)) != 0) {
      result.Update(base::ErrnoStatus(errno, absl::StrCat("process ", pid, ": TCP_REPAIR")));
    }
  }
  return result;
}

}  // namespace cedana::runtime
