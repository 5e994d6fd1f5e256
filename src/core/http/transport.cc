#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/http/transport_internal.h"

namespace cedana::http {
namespace {

constexpr size_t kPiecesMax = 4;

class PlainTransport final : public Transport {
 public:
  PlainTransport(int fd, absl::Duration timeout) : fd_(fd), timeout_(timeout) {}

  absl::StatusOr<size_t> Read(std::span<uint8_t> out) override {
    while (true) {
      const ssize_t got = ::recv(fd_, out.data(), out.size(), 0);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return Lost("read");
      CEDANA_RETURN_IF_ERROR(Await(POLLIN));
    }
  }

  absl::Status Write(std::span<const absl::string_view> pieces) override {
    std::array<iovec, kPiecesMax> parts;
    size_t count = 0;
    for (const absl::string_view piece : pieces) {
      if (piece.empty()) continue;
      if (count == kPiecesMax) return absl::InternalError("too many pieces in one write");
      parts[count++] = iovec{const_cast<char*>(piece.data()), piece.size()};
    }
    size_t first = 0;
    while (first < count) {
      msghdr message{};
      message.msg_iov = &parts[first];
      message.msg_iovlen = count - first;
      const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return Lost("write");
        CEDANA_RETURN_IF_ERROR(Await(POLLOUT));
        continue;
      }
      for (auto left = static_cast<size_t>(sent); first < count;) {
        const size_t step = std::min(left, parts[first].iov_len);
        parts[first].iov_base = static_cast<char*>(parts[first].iov_base) + step;
        parts[first].iov_len -= step;
        left -= step;
        if (parts[first].iov_len > 0) break;
        ++first;
      }
    }
    return absl::OkStatus();
  }

  void JudgeStalls(absl::Duration ask_every, std::function<absl::Status()> judge) override {
    ask_every_ = ask_every;
    judge_ = std::move(judge);
  }

  bool PeerGone() override {
    pollfd entry{fd_, POLLRDHUP, 0};
    return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
  }

 private:
  absl::Status Await(short events) {
    pollfd entry{fd_, events, 0};
    const absl::Duration step = judge_ ? ask_every_ : timeout_;
    const int64_t step_ms = std::clamp<int64_t>(absl::ToInt64Milliseconds(step), 1, INT32_MAX);
    while (true) {
      const int ready = ::poll(&entry, 1, static_cast<int>(step_ms));
      if (ready > 0) return absl::OkStatus();
      if (ready < 0) {
        if (errno != EINTR) return base::ErrnoStatus(errno, "poll");
        continue;
      }
      if (!judge_) {
        return absl::DeadlineExceededError(
            absl::StrCat("no byte moved for ", absl::FormatDuration(timeout_)));
      }
      CEDANA_RETURN_IF_ERROR(judge_());
    }
  }

  static absl::Status Lost(absl::string_view what) {
    return absl::UnavailableError(
        absl::StrCat("connection lost: ", base::ErrnoStatus(errno, what).message()));
  }

  const int fd_;
  const absl::Duration timeout_;
  absl::Duration ask_every_;
  std::function<absl::Status()> judge_;
};

}  // namespace

std::unique_ptr<Transport> MakePlainTransport(int fd, absl::Duration timeout) {
  return std::make_unique<PlainTransport>(fd, timeout);
}

}  // namespace cedana::http
