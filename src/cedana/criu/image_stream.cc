#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "cedana/criu/image_stream_internal.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

constexpr ssize_t kTryAgain = -1;

}  // namespace

ImageStream::ImageStream(std::string name, base::UniqueFd pipe, int wake_fd)
    : name_(std::move(name)), wake_fd_(wake_fd), poll_fd_(pipe.get()), pipe_(std::move(pipe)) {
  // More than pipe-max-size is EPERM, and over the user's budget of pipe pages as well: smaller
  // pipes only make it slower.
  for (int bytes = base::kPipeBytes; bytes > 65536; bytes /= 2) {
    if (::fcntl(poll_fd_, F_SETPIPE_SZ, bytes) >= 0) break;
  }
  ::fcntl(poll_fd_, F_SETFL, ::fcntl(poll_fd_, F_GETFL) | O_NONBLOCK);
}

absl::StatusOr<ssize_t> ImageStream::Try(uint8_t* data, size_t size, bool write) {
  absl::MutexLock lock(&mutex_);
  if (!pipe_.valid()) return reason_;
  const ssize_t moved = write ? ::write(pipe_.get(), data, size) : ::read(pipe_.get(), data, size);
  if (moved >= 0) return moved;
  if (errno == EAGAIN || errno == EINTR) return kTryAgain;
  if (errno == EPIPE) {
    return absl::AbortedError(absl::StrCat("CRIU closed it after ", bytes_.load(), " bytes"));
  }
  return base::ErrnoStatus(errno, write ? "write" : "read");
}

absl::StatusOr<size_t> ImageStream::Transfer(uint8_t* data, size_t size, bool write) {
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const ssize_t moved, Try(data, size, write));
    if (moved != kTryAgain) {
      bytes_ += static_cast<uint64_t>(moved);
      return static_cast<size_t>(moved);
    }
    pollfd polled[] = {{poll_fd_, static_cast<short>(write ? POLLOUT : POLLIN), 0},
                       {wake_fd_, POLLIN, 0}};
    ::poll(polled, 2, -1);
  }
}

absl::StatusOr<size_t> ImageStream::Read(std::span<uint8_t> out) {
  if (out.empty() || at_end_) return 0;
  CEDANA_ASSIGN_OR_RETURN(const size_t got, Transfer(out.data(), out.size(), false));
  if (got == 0) at_end_ = true;
  return got;
}

absl::Status ImageStream::Write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    // write(2) does not change what it is given.
    CEDANA_ASSIGN_OR_RETURN(const size_t wrote, Transfer(const_cast<uint8_t*>(bytes.data()),
                                                         bytes.size(), /*write=*/true));
    bytes = bytes.subspan(wrote);
  }
  return absl::OkStatus();
}

void ImageStream::Close(absl::Status reason) {
  absl::MutexLock lock(&mutex_);
  if (!pipe_.valid()) return;
  pipe_.Reset();
  reason_ = reason.ok() ? absl::CancelledError("closed") : std::move(reason);
}

}  // namespace cedana::criu
