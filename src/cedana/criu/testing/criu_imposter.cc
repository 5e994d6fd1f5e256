#include "cedana/criu/testing/criu_imposter.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "cedana/criu/image_request.h"

namespace cedana::criu {

CriuImposter::CriuImposter(const std::string& folder, bool restore) {
  ::signal(SIGPIPE, SIG_IGN);
  socket_.Reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path =
      absl::StrCat(folder, restore ? "/streamer-serve.sock" : "/streamer-capture.sock");
  std::memcpy(address.sun_path, path.data(), path.size());
  if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    socket_.Reset();
  }
}

bool CriuImposter::Send(absl::string_view bytes) {
  return ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(bytes.size());
}

bool CriuImposter::SendFds(const int* fds, size_t count) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
  }
  return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) == 1;
}

base::UniqueFd CriuImposter::OpenForDump(const std::string& name) {
  base::Pipe pipe = base::MakePipe().value();
  const int fd = pipe.read.get();
  if (!Send(EncodeRequest(name)) || !SendFds(&fd, 1)) return base::UniqueFd();
  return std::move(pipe.write);
}

base::UniqueFd CriuImposter::OpenForRestore(const std::string& name) {
  base::Pipe pipe = base::MakePipe().value();
  const int fd = pipe.write.get();
  if (!Send(EncodeRequest(name)) || ReadReply() != 1 || !SendFds(&fd, 1)) return base::UniqueFd();
  return std::move(pipe.read);
}

int CriuImposter::ReadReply() {
  uint8_t reply[6];
  const auto got = base::ReadFully(socket_.get(), reply, sizeof(reply));
  if (!got.ok() || *got != sizeof(reply) || DecodeLength(reply) != 2 || reply[4] != 0x08) return -1;
  return reply[5];
}

bool CriuImposter::HungUp() {
  pollfd polled{socket_.get(), POLLIN, 0};
  char byte;
  return ::poll(&polled, 1, 30000) == 1 && ::recv(socket_.get(), &byte, 1, 0) <= 0;
}

std::string ReadAll(int fd) {
  std::string out;
  char bytes[65536];
  for (ssize_t got; (got = ::read(fd, bytes, sizeof(bytes))) > 0;) {
    out.append(bytes, static_cast<size_t>(got));
  }
  return out;
}

bool WriteAllTo(int fd, absl::string_view bytes) { return base::WriteAll(fd, bytes).ok(); }

std::string Pattern(size_t size) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; ++i) {
    out[i] = static_cast<char>((i * 2654435761u + (i >> 12)) >> 7);
  }
  return out;
}

}  // namespace cedana::criu
