#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cedana/runtime/shim_client.h"
#include "cedana/runtime/shim_wire.h"
#include "core/base/status.h"

namespace cedana::runtime {
namespace {

class Attach : public ShimAttach {
 public:
  Attach(base::UniqueFd socket, base::UniqueFd closed)
      : socket_(std::move(socket)), closed_(std::move(closed)) {}

  absl::StatusOr<Output> Next() override {
    char packet[kAttachPayloadBytesMax + 1];
    while (true) {
      pollfd entries[2] = {{closed_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
      if (::poll(entries, 2, -1) < 0 && errno != EINTR) return base::ErrnoStatus(errno, "poll");
      if ((entries[0].revents & POLLIN) != 0) return absl::CancelledError("attach closed");
      const ssize_t got = ::recv(socket_.get(), packet, sizeof(packet), MSG_DONTWAIT);
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got <= 0) return absl::UnavailableError("the job's shim has closed the connection");
      return ParsePacket(packet, static_cast<size_t>(got));
    }
  }

  absl::Status SendStdin(absl::string_view bytes) override {
    while (!bytes.empty()) {
      const absl::string_view part = bytes.substr(0, kAttachPayloadBytesMax);
      CEDANA_RETURN_IF_ERROR(SendPacket(part));
      bytes.remove_prefix(part.size());
    }
    return absl::OkStatus();
  }

  absl::Status CloseStdin() override { return SendPacket(""); }

  void Close() override {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t wrote = ::write(closed_.get(), &one, sizeof(one));
    ::shutdown(socket_.get(), SHUT_RDWR);
  }

 private:
  static absl::StatusOr<Output> ParsePacket(const char* packet, size_t size) {
    Output output;
    output.stream = static_cast<unsigned char>(packet[0]);
    if (output.stream == kAttachStdout || output.stream == kAttachStderr) {
      output.bytes.assign(packet + 1, size - 1);
      return output;
    }
    const base::Json exit = base::Json::from_cbor(packet + 1, packet + size, true, false);
    if (output.stream != kAttachEnd || !exit.is_object()) {
      return absl::InternalError("attach: packet not understood");
    }
    output.exit = ExitStatusFromJson(exit);
    return output;
  }

  // Blocks while the job does not read: that is its pipe, continued.
  absl::Status SendPacket(absl::string_view payload) {
    char stream = kAttachStdin;
    iovec parts[2] = {{&stream, 1}, {const_cast<char*>(payload.data()), payload.size()}};
    msghdr header{};
    header.msg_iov = parts;
    header.msg_iovlen = 2;
    while (::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) < 0) {
      if (errno == EINTR) continue;
      return absl::UnavailableError(absl::StrCat("attach: ", std::strerror(errno)));
    }
    return absl::OkStatus();
  }

  const base::UniqueFd socket_;
  const base::UniqueFd closed_;  // readable once Close was called
};

}  // namespace

absl::StatusOr<std::unique_ptr<ShimAttach>> ShimAttach::Connect(const std::string& folder) {
  CEDANA_ASSIGN_OR_RETURN(base::UniqueFd socket, ConnectAt(folder));
  base::UniqueFd closed(::eventfd(0, EFD_CLOEXEC));
  if (!closed.valid()) return base::ErrnoStatus(errno, "eventfd");
  CEDANA_RETURN_IF_ERROR(SendMessage(socket.get(), base::Json{{"role", "attach"}}));
  CEDANA_ASSIGN_OR_RETURN(const base::Json reply, ReceiveMessage(socket.get()));
  CEDANA_RETURN_IF_ERROR(StatusOfReply(reply));
  return std::make_unique<Attach>(std::move(socket), std::move(closed));
}

}  // namespace cedana::runtime
