#include "cedana/runtime/parasite_guard.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace cedana::runtime {
namespace {

// The control socket is the only one of its kind that CRIU has during a dump.
bool IsControlSocket(int fd) {
  int domain = 0;
  int type = 0;
  socklen_t size = sizeof(int);
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
         ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

// A second holder of a write end would keep a reader from ever seeing its end.
bool IsReadEnd(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) == O_RDONLY;
}

}  // namespace

ParasiteGuard::ParasiteGuard(pid_t criu)
    : criu_(criu), pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, criu, 0))) {}

base::UniqueFd ParasiteGuard::Hold(int fd, bool socket) const {
  base::UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd_.get(), fd, 0)));
  if (copy.valid() && !(socket ? IsControlSocket(copy.get()) : IsReadEnd(copy.get()))) copy.Reset();
  return copy;
}

void ParasiteGuard::Look() {
  if (!pidfd_.valid()) return;
  const std::string folder = absl::StrCat("/proc/", criu_, "/fd");
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  // A CRIU that has ended shows nothing: what is held stays until this object goes.
  if (dir == nullptr) return;
  std::map<std::string, base::UniqueFd> still;
  bool any = false;
  while (const dirent* entry = ::readdir(dir.get())) {
    int fd = 0;
    char target[64];
    if (!absl::SimpleAtoi(entry->d_name, &fd)) continue;
    const ssize_t size = ::readlinkat(::dirfd(dir.get()), entry->d_name, target, sizeof(target));
    if (size <= 0) continue;
    any = true;
    const absl::string_view name(target, static_cast<size_t>(size));
    const bool socket = name.substr(0, 8) == "socket:[";
    if (!socket && name.substr(0, 6) != "pipe:[") continue;
    // Both ends of a pipe have one name, so the number tells them apart.
    std::string key = absl::StrCat(fd, " ", name);
    const auto known = held_.find(key);
    still.insert_or_assign(std::move(key),
                           known != held_.end() ? std::move(known->second) : Hold(fd, socket));
  }
  if (any) held_ = std::move(still);
}

}  // namespace cedana::runtime
