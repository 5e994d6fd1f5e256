#include "cedana/criu/connection_text_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace cedana::criu {
namespace {

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
