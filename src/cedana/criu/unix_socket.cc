#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "cedana/criu/unix_socket_internal.h"
#include "core/base/status.h"

namespace cedana::criu {

absl::StatusOr<base::UniqueFd> ListenUnix(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", path.size(),
                                                   " bytes, a socket's path may have ",
                                                   sizeof(address.sun_path) - 1));
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return base::ErrnoStatus(errno == EADDRINUSE ? EEXIST : errno, path);
  }
  if (::chmod(path.c_str(), 0600) != 0 || ::listen(fd.get(), 16) != 0) {
    return base::ErrnoStatus(errno, path);
  }
  return fd;
}

absl::StatusOr<base::UniqueFd> MakeEvent() {
  base::UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return base::ErrnoStatus(errno, "eventfd");
  return fd;
}

void Signal(int event_fd) {
  const uint64_t one = 1;
  // Can only fail when the counter is full, and then the event is readable already.
  [[maybe_unused]] const ssize_t wrote = ::write(event_fd, &one, sizeof(one));
}

void Drain(int event_fd) {
  uint64_t count;
  [[maybe_unused]] const ssize_t got = ::read(event_fd, &count, sizeof(count));
}

}  // namespace cedana::criu
