// The other end of a connection, byte by byte: what a well-behaved library would never send.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/fd.h"
#include "core/base/thread.h"
#include "gtest/gtest.h"

namespace cedana::http {

// One connected socket. Reads give up after five seconds.
class RawPeer {
 public:
  explicit RawPeer(base::UniqueFd fd) : fd_(std::move(fd)) {}

  static RawPeer Connect(uint16_t port) {
    base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      fd.Reset();
    }
    return RawPeer(std::move(fd));
  }

  bool connected() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }

  // False when the other side is gone.
  bool Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // What arrives until it contains `mark`; everything when that never comes.
  std::string ReadUntil(absl::string_view mark) {
    while (!absl::StrContains(seen_, mark) && ReadSome()) {
    }
    const size_t at = seen_.find(std::string(mark));
    const size_t size = at == std::string::npos ? seen_.size() : at + mark.size();
    std::string result = seen_.substr(0, size);
    seen_.erase(0, size);
    return result;
  }

  // Everything up to the end of the connection.
  std::string ReadToEnd() {
    while (ReadSome()) {
    }
    return std::exchange(seen_, "");
  }

  bool ended() const { return ended_; }

  void Close() { fd_.Reset(); }
  // Answered by RST, not by an end of stream.
  void Reset() {
    const linger now{1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    fd_.Reset();
  }

 private:
  bool ReadSome() {
    char buffer[65536];
    pollfd entry{fd_.get(), POLLIN, 0};
    if (::poll(&entry, 1, 5000) <= 0) return false;
    const ssize_t got = ::recv(fd_.get(), buffer, sizeof(buffer), 0);
    ended_ = got <= 0;
    if (got > 0) seen_.append(buffer, static_cast<size_t>(got));
    return got > 0;
  }

  base::UniqueFd fd_;
  std::string seen_;
  bool ended_ = false;
};

// Plays one script per connection, in order; no further connection is accepted.
class RawServer {
 public:
  using Script = std::function<void(RawPeer&)>;

  explicit RawServer(std::vector<Script> scripts) : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    url_ = absl::StrCat("http://127.0.0.1:", ntohs(address.sin_port));
    thread_ = base::Thread("raw-server", [this, scripts = std::move(scripts)] {
      for (const Script& script : scripts) {
        RawPeer peer(base::UniqueFd(::accept(listener_.get(), nullptr, nullptr)));
        if (!peer.connected()) return;
        ++connections_;
        script(peer);
      }
    });
  }
  ~RawServer() { Join(); }

  // Waits for the scripts; one that still waits for its connection is given up.
  void Join() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.Join();
  }
  const std::string& url() const { return url_; }
  // After Join.
  int connections() const { return connections_; }

 private:
  base::UniqueFd listener_;
  std::string url_;
  int connections_ = 0;
  base::Thread thread_;
};

}  // namespace cedana::http
