#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/http/transport_internal.h"

namespace cedana::http {
namespace {

constexpr size_t kPiecesMax = 4;

class PlainTransport final : public Transport {
 public:
  PlainTransport(int fd, const TransportLimits& limits) : fd_(fd), limits_(limits) {}

  absl::StatusOr<size_t> Read(std::span<uint8_t> out) override {
    while (true) {
      const ssize_t got = ::recv(fd_, out.data(), out.size(), 0);
      if (got >= 0) {
        moved_ += static_cast<uint64_t>(got);
        return static_cast<size_t>(got);
      }
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
      moved_ += static_cast<uint64_t>(sent);
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
    moved_ = 0;
    waited_ = absl::ZeroDuration();
  }

  bool PeerGone() override {
    pollfd entry{fd_, POLLRDHUP, 0};
    return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
  }

 private:
  absl::Status Await(short events) {
    pollfd entry{fd_, events, 0};
    if (judge_) return AwaitJudged(entry);
    absl::Duration left = limits_.io_timeout;
    while (left > absl::ZeroDuration()) {
      CEDANA_RETURN_IF_ERROR(CheckPace());
      const absl::Duration step = std::min(left, limits_.slow_time - waited_);
      const absl::Duration began = base::SystemClock().Monotonic();
      const int ready = ::poll(&entry, 1, Milliseconds(step));
      const absl::Duration took = base::SystemClock().Monotonic() - began;
      waited_ += took;
      left -= took;
      if (ready > 0) return absl::OkStatus();
      if (ready < 0 && errno != EINTR) return base::ErrnoStatus(errno, "poll");
    }
    return absl::DeadlineExceededError(
        absl::StrCat("no byte moved for ", absl::FormatDuration(limits_.io_timeout)));
  }

  // As long as the handler is content; the pace is its affair then as well. What counts is all the
  // waiting since it was asked last: a peer that moves a few bytes now and then is not spared.
  absl::Status AwaitJudged(pollfd& entry) {
    while (true) {
      if (waited_ >= ask_every_) {
        waited_ = absl::ZeroDuration();
        CEDANA_RETURN_IF_ERROR(judge_());
      }
      const absl::Duration began = base::SystemClock().Monotonic();
      const int ready = ::poll(&entry, 1, Milliseconds(ask_every_ - waited_));
      waited_ += base::SystemClock().Monotonic() - began;
      if (ready > 0) return absl::OkStatus();
      if (ready < 0 && errno != EINTR) return base::ErrnoStatus(errno, "poll");
    }
  }

  static int Milliseconds(absl::Duration time) {
    return static_cast<int>(std::clamp<int64_t>(
        absl::ToInt64Milliseconds(absl::Ceil(time, absl::Milliseconds(1))), 1, INT32_MAX));
  }

  // Of all that was waited for so far.
  absl::Status CheckPace() {
    if (waited_ < limits_.slow_time) return absl::OkStatus();
    const double enough =
        static_cast<double>(limits_.slow_bytes) * absl::FDivDuration(waited_, limits_.slow_time);
    if (static_cast<double>(moved_) < enough) {
      return absl::DeadlineExceededError(
          absl::StrCat("too slow: ", moved_, " bytes moved in ", absl::FormatDuration(waited_)));
    }
    moved_ = 0;
    waited_ = absl::ZeroDuration();
    return absl::OkStatus();
  }

  static absl::Status Lost(absl::string_view what) {
    return absl::UnavailableError(
        absl::StrCat("connection lost: ", base::ErrnoStatus(errno, what).message()));
  }

  const int fd_;
  const TransportLimits limits_;
  uint64_t moved_ = 0;
  absl::Duration waited_;  // for the peer, and for nothing else
  absl::Duration ask_every_;
  std::function<absl::Status()> judge_;
};

}  // namespace

std::unique_ptr<Transport> MakePlainTransport(int fd, const TransportLimits& limits) {
  return std::make_unique<PlainTransport>(fd, limits);
}

}  // namespace cedana::http
