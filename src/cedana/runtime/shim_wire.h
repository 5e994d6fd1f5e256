// The wire between a shim and its clients: sockets, packets and their encoding. README.md of this
// folder lists the packets.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cedana/runtime/shim_client.h"
#include "core/base/fd.h"
#include "core/base/json.h"

namespace cedana::runtime {

inline constexpr char kShimSocket[] = "shim.sock";
inline constexpr char kShimPidFile[] = "shim.pid";
inline constexpr char kShimExitFile[] = "exit.json";
inline constexpr char kShimLogFile[] = "shim.log";
// The descriptor at which a shim finds its listening socket.
inline constexpr int kShimListenFd = 3;

inline constexpr size_t kPacketBytesMax = 64 << 10;   // a larger message goes through a memfd
inline constexpr size_t kMessageBytesMax = 16 << 20;  // arguments, environment: exec allows 6 MiB
inline constexpr size_t kAttachPayloadBytesMax = 32 << 10;  // of one attach packet

// First byte of a packet on an attach connection.
enum AttachStream : char { kAttachEnd = 0, kAttachStdin = 0, kAttachStdout = 1, kAttachStderr = 2 };

// `folder` may be longer than a socket address holds. Close-on-exec.
absl::StatusOr<base::UniqueFd> ListenAt(const std::string& folder);
// kUnavailable: nobody listens.
absl::StatusOr<base::UniqueFd> ConnectAt(const std::string& folder);

// One message is one packet of CBOR (JSON's values, but strings may be any bytes), or a small
// packet with a memfd that holds it. kUnavailable: the other side is gone (or, with `flags`
// MSG_DONTWAIT, does not read).
absl::Status SendMessage(int socket, const base::Json& message, int flags = 0);
// kUnavailable: the other side is gone. kInvalidArgument: not a message.
absl::StatusOr<base::Json> ReceiveMessage(int socket);

base::Json ToJson(const StartRequest& request);
base::Json ToJson(const CriuRequest& request);
base::Json ToJson(const ExitStatus& exit);
base::Json ToJson(const ShimState& state);
absl::StatusOr<StartRequest> StartRequestFromJson(const base::Json& json);
absl::StatusOr<CriuRequest> CriuRequestFromJson(const base::Json& json);
ExitStatus ExitStatusFromJson(const base::Json& json);
ShimState ShimStateFromJson(const base::Json& json);

// An error reply carries its Status.
base::Json ErrorReply(int64_t id, const absl::Status& status);
absl::Status StatusOfReply(const base::Json& reply);

}  // namespace cedana::runtime
