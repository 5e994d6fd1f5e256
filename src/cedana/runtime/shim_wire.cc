#include "cedana/runtime/shim_wire.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::runtime {
namespace {

using base::Json;

// Calls `use` with an address that reaches `folder`/shim.sock whatever the length of the path:
// through a descriptor of the folder.
absl::Status WithAddress(const std::string& folder,
                         absl::Status (*use)(int socket, const sockaddr_un& address), int socket) {
  base::UniqueFd dir(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!dir.valid()) return base::ErrnoStatus(errno, folder);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = absl::StrCat("/proc/self/fd/", dir.get(), "/", kShimSocket);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return use(socket, address);
}

absl::Status Listen(int socket, const sockaddr_un& address) {
  ::unlink(address.sun_path);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::chmod(address.sun_path, 0600) != 0 || ::listen(socket, 64) != 0) {
    return base::ErrnoStatus(errno, kShimSocket);
  }
  return absl::OkStatus();
}

absl::Status Connect(int socket, const sockaddr_un& address) {
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return base::ErrnoStatus(errno, kShimSocket);
  }
  return absl::OkStatus();
}

absl::StatusOr<base::UniqueFd> MakeSocket() {
  base::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return base::ErrnoStatus(errno, "socket");
  return socket;
}

// Sends `bytes` as one packet, with a descriptor when `fd` is one.
absl::Status SendPacket(int socket, const void* bytes, size_t size, int fd, int flags) {
  iovec part{const_cast<void*>(bytes), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(first), &fd, sizeof(fd));
  }
  while (::sendmsg(socket, &header, flags | MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    return absl::UnavailableError(absl::StrCat("shim connection: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> Decode(const uint8_t* bytes, size_t size) {
  Json message = Json::from_cbor(bytes, bytes + size, true, false);
  if (message.is_discarded() || !message.is_object()) {
    return absl::InvalidArgumentError("shim connection: packet is not a message");
  }
  return message;
}

absl::StatusOr<Json> ReadMemfd(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return base::ErrnoStatus(errno, "memfd");
  if (!S_ISREG(st.st_mode) || static_cast<size_t>(st.st_size) > kMessageBytesMax) {
    return absl::InvalidArgumentError("shim connection: message too large");
  }
  std::vector<uint8_t> bytes(static_cast<size_t>(st.st_size));
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got =
        ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (got <= 0) return absl::InvalidArgumentError("shim connection: message cut short");
    done += static_cast<size_t>(got);
  }
  return Decode(bytes.data(), bytes.size());
}

std::vector<std::string> StringsOf(const Json& json, const char* key) {
  std::vector<std::string> out;
  const auto it = json.find(key);
  if (it == json.end() || !it->is_array()) return out;
  for (const Json& value : *it) {
    if (value.is_string()) out.push_back(value.get<std::string>());
  }
  return out;
}

}  // namespace

absl::StatusOr<base::UniqueFd> ListenAt(const std::string& folder) {
  CEDANA_ASSIGN_OR_RETURN(base::UniqueFd socket, MakeSocket());
  CEDANA_RETURN_IF_ERROR(base::Annotate(WithAddress(folder, Listen, socket.get()), folder));
  return socket;
}

absl::StatusOr<base::UniqueFd> ConnectAt(const std::string& folder) {
  CEDANA_ASSIGN_OR_RETURN(base::UniqueFd socket, MakeSocket());
  if (absl::Status status = WithAddress(folder, Connect, socket.get()); !status.ok()) {
    if (absl::IsNotFound(status) || absl::IsUnavailable(status)) {
      return absl::UnavailableError(absl::StrCat("no shim listens in ", folder));
    }
    return base::Annotate(status, folder);
  }
  return socket;
}

absl::Status SendMessage(int socket, const Json& message, int flags) {
  const std::vector<uint8_t> bytes = Json::to_cbor(message);
  if (bytes.size() <= kPacketBytesMax) {
    return SendPacket(socket, bytes.data(), bytes.size(), -1, flags);
  }
  if (bytes.size() > kMessageBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("message of ", bytes.size(), " bytes: the arguments are too long"));
  }
  base::UniqueFd memfd(::memfd_create("shim-message", MFD_CLOEXEC));
  if (!memfd.valid()) return base::ErrnoStatus(errno, "memfd_create");
  CEDANA_RETURN_IF_ERROR(base::WriteAll(
      memfd.get(), absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())));
  return SendPacket(socket, "M", 1, memfd.get(), flags);
}

absl::StatusOr<Json> ReceiveMessage(int socket) {
  uint8_t bytes[kPacketBytesMax];
  iovec part{bytes, sizeof(bytes)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t got;
  do {
    got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return absl::UnavailableError(absl::StrCat("shim: ", std::strerror(errno)));
  base::UniqueFd memfd;
  const cmsghdr* first = CMSG_FIRSTHDR(&header);
  if (first != nullptr && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(first), sizeof(fd));
    memfd.Reset(fd);
  }
  if (got == 0) return absl::UnavailableError("shim connection closed");
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return absl::InvalidArgumentError("shim connection: packet too large");
  }
  if (memfd.valid()) return ReadMemfd(memfd.get());
  return Decode(bytes, static_cast<size_t>(got));
}

Json ToJson(const StartRequest& request) {
  return Json{{"argv", request.argv},
              {"env", request.env},
              {"working_dir", request.working_dir},
              {"uid", request.uid},
              {"gid", request.gid},
              {"groups", request.groups},
              {"pipes", request.stdio.mode == StdioMode::kPipes},
              {"log_path", request.stdio.log_path},
              {"hold_output", request.stdio.hold_output},
              {"cgroup", request.cgroup}};
}

Json ToJson(const CriuRequest& request) {
  return Json{{"argv", request.argv},
              {"env", request.env},
              {"cgroup", request.cgroup},
              {"kill_cgroup", request.kill_cgroup},
              {"restore", request.restore},
              {"hold_cgroups", request.hold_cgroups},
              {"stderr_path", request.stderr_path},
              {"stdio_numbers", request.stdio_numbers},
              {"hold_output", request.hold_output},
              {"out_log", request.out_log},
              {"out_log_number", request.out_log_number}};
}

Json ToJson(const ExitStatus& exit) {
  return Json{{"code", exit.code}, {"signal", exit.signal}, {"known", exit.known}};
}

Json ToJson(const ShimState& state) {
  Json json{{"shim_pid", state.shim_pid},
            {"attachable", state.attachable},
            {"operation", state.operation},
            {"restore_yes", state.restore_yes}};
  if (state.job) json["job"] = {{"pid", state.job->pid}, {"start_ticks", state.job->start_ticks}};
  if (state.exit) json["exit"] = ToJson(*state.exit);
  return json;
}

absl::StatusOr<StartRequest> StartRequestFromJson(const Json& json) {
  StartRequest request;
  request.argv = StringsOf(json, "argv");
  request.env = StringsOf(json, "env");
  request.working_dir = base::StringOr(json, "working_dir", "/");
  request.uid = static_cast<uint32_t>(base::IntOr(json, "uid", 0));
  request.gid = static_cast<uint32_t>(base::IntOr(json, "gid", 0));
  for (const Json& group : json.value("groups", Json::array())) {
    if (group.is_number_integer()) request.groups.push_back(group.get<uint32_t>());
  }
  request.stdio.mode = base::BoolOr(json, "pipes", false) ? StdioMode::kPipes : StdioMode::kLog;
  request.stdio.log_path = base::StringOr(json, "log_path", "");
  request.stdio.hold_output = base::BoolOr(json, "hold_output", false);
  request.cgroup = base::StringOr(json, "cgroup", "");
  if (request.argv.empty() || request.argv[0].empty() || request.argv[0][0] != '/') {
    return absl::InvalidArgumentError("the program must be an absolute path");
  }
  if (request.stdio.mode == StdioMode::kLog && request.stdio.log_path.empty()) {
    return absl::InvalidArgumentError("a log path is missing");
  }
  return request;
}

absl::StatusOr<CriuRequest> CriuRequestFromJson(const Json& json) {
  CriuRequest request;
  request.argv = StringsOf(json, "argv");
  request.env = StringsOf(json, "env");
  request.cgroup = base::StringOr(json, "cgroup", "");
  request.kill_cgroup = base::StringOr(json, "kill_cgroup", "");
  request.restore = base::BoolOr(json, "restore", false);
  request.hold_cgroups = StringsOf(json, "hold_cgroups");
  request.stderr_path = base::StringOr(json, "stderr_path", "/dev/null");
  request.hold_output = base::BoolOr(json, "hold_output", false);
  request.out_log = base::StringOr(json, "out_log", "");
  request.out_log_number = static_cast<int>(base::IntOr(json, "out_log_number", -1));
  const Json numbers = json.value("stdio_numbers", Json::array());
  for (size_t i = 0; i < 3 && i < numbers.size(); ++i) {
    if (numbers[i].is_number_integer()) request.stdio_numbers[i] = numbers[i].get<int>();
  }
  if (request.argv.empty()) return absl::InvalidArgumentError("no program to run");
  return request;
}

ExitStatus ExitStatusFromJson(const Json& json) {
  ExitStatus exit;
  exit.code = static_cast<int>(base::IntOr(json, "code", 0));
  exit.signal = static_cast<int>(base::IntOr(json, "signal", 0));
  exit.known = base::BoolOr(json, "known", true);
  return exit;
}

ShimState ShimStateFromJson(const Json& json) {
  ShimState state;
  state.shim_pid = static_cast<int>(base::IntOr(json, "shim_pid", 0));
  state.attachable = base::BoolOr(json, "attachable", false);
  state.operation = base::BoolOr(json, "operation", false);
  state.restore_yes = base::BoolOr(json, "restore_yes", false);
  if (const auto job = json.find("job"); job != json.end()) {
    state.job = ProcessIdentity{static_cast<int>(base::IntOr(*job, "pid", 0)),
                                static_cast<uint64_t>(base::IntOr(*job, "start_ticks", 0))};
  }
  if (const auto exit = json.find("exit"); exit != json.end()) {
    state.exit = ExitStatusFromJson(*exit);
  }
  return state;
}

Json ErrorReply(int64_t id, const absl::Status& status) {
  return Json{{"id", id},
              {"error", static_cast<int>(status.code())},
              {"message", std::string(status.message())}};
}

absl::Status StatusOfReply(const Json& reply) {
  const int64_t code = base::IntOr(reply, "error", 0);
  if (code == 0) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(code), base::StringOr(reply, "message", ""));
}

}  // namespace cedana::runtime
