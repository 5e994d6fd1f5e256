// HTTP/1.1 server. Connections wait in coroutines; each request is handled by one call on a worker
// thread that may block. TLS is there for both or for none. Boost.Beast and OpenSSL are behind it
// and appear nowhere else.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/http/client.h"

namespace cedana::http {

struct ServerRequest;

struct ServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;  // 0: any free one
  int workers = 32;   // requests handled at once; more wait
  // Of these, how many may be busy with what `is_bulk` says takes long, so that the others find a
  // worker at once. Without it all are alike. Runs on the thread that serves all connections.
  std::function<bool(const ServerRequest&)> is_bulk;
  int bulk_workers = 16;
  int connections_max = 1024;
  size_t header_bytes_max = 64u << 10;
  absl::Duration io_timeout = absl::Seconds(60);  // without a byte of progress
  // A worker waits no longer for a peer that moves fewer bytes than `slow_bytes` in each
  // `slow_time` of waiting for it: one byte now and then would keep a worker for ever.
  uint64_t slow_bytes = 64u << 10;
  absl::Duration slow_time = absl::Minutes(1);
  absl::Duration idle_timeout = absl::Seconds(300);
  // PEM files; both empty: plain HTTP. Read again when they change: new connections get the new
  // certificate, and a pair that does not fit together leaves the old one in place.
  std::string tls_cert_file;
  std::string tls_key_file;
  absl::Duration handshake_timeout = absl::Seconds(10);  // for the whole of it
};

struct ServerRequest {
  std::string method;
  std::string target;                      // as sent: "/v2/files/a%2Fb?x=1"
  std::string path;                        // the part before '?', still percent-encoded
  Headers query;                           // decoded
  Headers headers;                         // names in lower case
  std::string peer;                        // "127.0.0.1:40512"
  bool secure = false;                     // came over TLS
  std::optional<uint64_t> content_length;  // absent with chunked, and without a body
  bool chunked = false;
  bool expects_continue = false;
  const std::string* Header(const std::string& lower_case_name) const;
  const std::string* Query(const std::string& name) const;
  // Path segments, split at '/' *before* decoding, so that %2F stays inside its segment.
  absl::StatusOr<std::vector<std::string>> Segments() const;
};

// One request and its answer. Used by one worker thread, only during the handler's call.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const ServerRequest& request() const = 0;

  // Reads the next bytes of the request's body, 0 at its end. The first call answers
  // `Expect: 100-continue`; a handler that answers without reading refuses before the body.
  virtual absl::StatusOr<size_t> ReadBody(std::span<uint8_t> out) = 0;
  // The whole body, at most `max_bytes` (else kResourceExhausted).
  virtual absl::StatusOr<std::string> ReadAll(size_t max_bytes) = 0;

  // A complete answer.
  virtual absl::Status Respond(int status, const Headers& headers, absl::string_view body) = 0;
  // A streamed answer: with a length, or chunked without. Finish ends it properly; leaving it out
  // cuts the connection, so that the peer sees an incomplete body. HEAD: no body is sent.
  virtual absl::Status Start(int status, const Headers& headers,
                             std::optional<uint64_t> content_length) = 0;
  virtual absl::Status Write(std::span<const uint8_t> bytes) = 0;
  virtual absl::Status Finish() = 0;
  // Ends the connection without an answer, or in the middle of one. For servers that play broken.
  virtual void Cut() = 0;
  // `judge` is asked after every `ask_every` of waiting for the peer, whether it moves a little
  // meanwhile or nothing, and its error ends the wait. Null: the server's io_timeout ends it, as it
  // does unless this is called.
  virtual void JudgeStalls(absl::Duration ask_every, std::function<absl::Status()> judge) = 0;
  // The connection was lost, or the server stops and its grace is over.
  virtual bool cancelled() const = 0;
};

using Handler = std::function<void(Exchange&)>;

// Serves from Start until Stop or destruction (which waits for the handlers).
class Server {
 public:
  static absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options, Handler handler);
  virtual ~Server() = default;
  virtual uint16_t port() const = 0;
  // Takes no new connection, lets running requests end for at most `grace`, then cuts them.
  virtual void Stop(absl::Duration grace) = 0;
};

}  // namespace cedana::http
