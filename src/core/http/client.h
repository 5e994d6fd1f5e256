// HTTP client: one blocking call per request, over pooled connections. libcurl is behind it and
// appears nowhere else.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/context.h"

namespace cedana::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct ClientOptions {
  std::string ca_file;  // empty: the system's authorities
  std::string user_agent = "cedana";
  absl::Duration connect_timeout = absl::Seconds(5);
  // No byte in either direction for this long ends the request (deadlines follow progress).
  absl::Duration stall_timeout = absl::Seconds(30);
  int connections_max = 16;  // kept open, idle, to each origin
};

struct ClientRequest {
  std::string method = "GET";
  std::string url;
  Headers headers;
  // Sent with Content-Length. Borrowed for the call; absent: no body.
  std::span<const uint8_t> body;
  bool has_body = false;
  bool expect_continue = false;  // wait for 100 before the body, so that a refusal costs nothing
  // Called in order with the body of a 2xx answer instead of gathering it; an error ends the call.
  std::function<absl::Status(std::span<const uint8_t>)> on_body;
  size_t body_bytes_max = 64u << 20;  // of a gathered answer
  // Called in the caller's thread whenever bytes moved, in either direction, with their number so
  // far. Of an upload those count that have left: what still waits in the system's buffers does
  // not, or a peer that takes nothing would look fast for the first megabytes.
  std::function<void(uint64_t moved)> on_progress;
};

struct ClientResponse {
  int status = 0;
  Headers headers;  // names in lower case
  std::string body;
  const std::string* Header(const std::string& lower_case_name) const;
};

// Thread-safe.
class Client {
 public:
  static absl::StatusOr<std::unique_ptr<Client>> Create(ClientOptions options);
  virtual ~Client() = default;

  // Any answer, whatever its status, is OK here. Errors: kUnavailable (certainly not processed:
  // no connection, or nothing of the request was sent), kUnknown (sent, but the answer was lost or
  // did not come within the stall timeout), kDataLoss (body cut short of its declared length, or
  // stalled), and of the context kDeadlineExceeded and kCancelled, which say nothing about what the
  // server did. kInvalidArgument: no such request can be sent.
  virtual absl::StatusOr<ClientResponse> Do(const base::Context& context,
                                            const ClientRequest& request) = 0;
};

// One path segment or query value, everything but unreserved characters as %XX.
std::string PercentEncode(absl::string_view text);
absl::StatusOr<std::string> PercentDecode(absl::string_view text);

}  // namespace cedana::http
