#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "cedana/criu/tcp_sockets_internal.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

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

using NameOf = int (*)(int, sockaddr*, socklen_t*);

std::string EndText(int socket, NameOf name_of) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (name_of(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "";
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
  const bool is_v6 = address.ss_family == AF_INET6;
  char text[INET6_ADDRSTRLEN];
  const void* raw = is_v6 ? static_cast<const void*>(&v6->sin6_addr) : &v4->sin_addr;
  if (::inet_ntop(address.ss_family, raw, text, sizeof(text)) == nullptr) return "";
  // An IPv4 connection of an IPv6 socket is locked as what it is.
  return absl::StrCat(absl::StripPrefix(text, "::ffff:"), " . ",
                      ntohs(is_v6 ? v6->sin6_port : v4->sin_port));
}

}  // namespace

absl::StatusOr<std::vector<base::UniqueFd>> TakeTcpSockets(int pid) {
  std::vector<base::UniqueFd> sockets;
  const base::UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) {
    if (errno == ESRCH || errno == EINVAL) return sockets;  // gone, or never a process
    return base::ErrnoStatus(errno, absl::StrCat("process ", pid));
  }
  for (const int fd : SocketsOf(pid)) {
    base::UniqueFd socket(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), fd, 0)));
    if (!socket.valid()) continue;  // closed meanwhile, or its process ended
    int mode = 0;
    socklen_t size = sizeof(mode);
    // Refused for what is no TCP socket.
    if (::getsockopt(socket.get(), IPPROTO_TCP, TCP_REPAIR, &mode, &size) != 0) continue;
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

std::string ConnectionText(int socket) {
  const std::string own = EndText(socket, ::getsockname);
  const std::string peer = EndText(socket, ::getpeername);
  return own.empty() || peer.empty() ? "" : absl::StrCat(own, " . ", peer);
}

bool LocksConnection(absl::string_view table_text, absl::string_view connection_text) {
  // Elements are separated by commas and may be on several lines. A port that is longer by a digit
  // is another connection.
  const std::string text = absl::StrReplaceAll(
      table_text, {{"\n", " "}, {"\t", " "}, {",", " "}, {"{", " "}, {"}", " "}});
  return !connection_text.empty() &&
         absl::StrContains(text, absl::StrCat(" ", connection_text, " "));
}

}  // namespace cedana::criu
