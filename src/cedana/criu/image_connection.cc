#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "cedana/criu/image_connection_internal.h"
#include "cedana/criu/image_request.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::criu {
namespace {

constexpr size_t kPassedFdsMax = 253;  // the kernel's bound on one message

// The pipe must be one, and its direction ours: read while dumping, write while restoring.
absl::Status CheckPipe(int fd, bool restore) {
  struct stat st {};
  const int flags = ::fcntl(fd, F_GETFL);
  if (::fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode) || flags < 0 ||
      (flags & O_ACCMODE) != (restore ? O_WRONLY : O_RDONLY)) {
    return absl::InvalidArgumentError("what came on CRIU's image socket is not the pipe expected");
  }
  return absl::OkStatus();
}

}  // namespace

bool ImageConnection::Idle() const {
  int waiting = 0;
  return stage_ == Stage::kLength && buffer_.empty() &&
         (::ioctl(socket_.get(), FIONREAD, &waiting) != 0 || waiting == 0);
}

// Reads until `buffer_` has `size` bytes, and never more: a passed descriptor belongs to the byte
// that follows the request. kRequest means "complete" here.
absl::StatusOr<ImageConnection::Event> ImageConnection::Fill(size_t size) {
  while (buffer_.size() < size) {
    char bytes[4096];
    const size_t wanted = std::min(sizeof(bytes), size - buffer_.size());
    const ssize_t got = ::recv(socket_.get(), bytes, wanted, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return Event::kNothing;
    if (got <= 0) {
      if (stage_ == Stage::kLength && buffer_.empty()) return Event::kHungUp;
      return absl::AbortedError("CRIU hung up in the middle of a request");
    }
    buffer_.append(bytes, static_cast<size_t>(got));
  }
  return Event::kRequest;
}

absl::StatusOr<ImageConnection::Event> ImageConnection::ReceivePipe() {
  char byte;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kPassedFdsMax)];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Event::kNothing;
  if (got <= 0) {
    return absl::AbortedError(absl::StrCat("CRIU hung up before it passed ", name_));
  }
  int passed = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      pipe_.Reset(fd);  // of several, the earlier ones are closed
      ++passed;
    }
  }
  if (passed != 1) {
    pipe_.Reset();
    return absl::InvalidArgumentError(
        absl::StrCat(passed, " descriptors came on CRIU's image socket instead of one"));
  }
  CEDANA_RETURN_IF_ERROR(CheckPipe(pipe_.get(), restore_));
  stage_ = Stage::kLength;
  return Event::kPipe;
}

absl::StatusOr<ImageConnection::Event> ImageConnection::Progress() {
  if (stage_ == Stage::kLength) {
    CEDANA_ASSIGN_OR_RETURN(const Event event, Fill(kLengthBytes));
    if (event != Event::kRequest) return event;
    message_bytes_ = DecodeLength(reinterpret_cast<const uint8_t*>(buffer_.data()));
    if (message_bytes_ == 0 || message_bytes_ >= base::kImageRequestBytesMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("a request of ", message_bytes_, " bytes on CRIU's image socket"));
    }
    buffer_.clear();
    stage_ = Stage::kMessage;
  }
  if (stage_ == Stage::kMessage) {
    CEDANA_ASSIGN_OR_RETURN(const Event event, Fill(message_bytes_));
    if (event != Event::kRequest) return event;
    CEDANA_ASSIGN_OR_RETURN(name_, DecodeRequest(buffer_));
    buffer_.clear();
    stage_ = restore_ ? Stage::kAnswer : Stage::kPipe;
    if (restore_) return Event::kRequest;
  }
  if (stage_ == Stage::kPipe) return ReceivePipe();
  return Event::kNothing;
}

absl::Status ImageConnection::Answer(bool exists) {
  const std::string reply = EncodeReply(exists);
  const ssize_t sent =
      ::send(socket_.get(), reply.data(), reply.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent != static_cast<ssize_t>(reply.size())) {
    return absl::AbortedError(absl::StrCat("CRIU hung up after asking for ", name_));
  }
  stage_ = exists ? Stage::kPipe : Stage::kLength;
  return absl::OkStatus();
}

}  // namespace cedana::criu
