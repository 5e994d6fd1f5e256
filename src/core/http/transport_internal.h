// What a worker thread does with a connection: blocking reads and writes that end when nothing, or
// too little, moves, or when the handler says so. Two kinds: plain TCP, and TLS on top of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace cedana::http {

class TlsSession;

// How much a peer has to move (server.h).
struct TransportLimits {
  absl::Duration io_timeout;
  uint64_t slow_bytes = 0;
  absl::Duration slow_time;
};

// Used by one thread at a time. Errors: kUnavailable (connection lost), kDeadlineExceeded (no byte
// moved for the timeout, or too few in all), those of a judge.
class Transport {
 public:
  virtual ~Transport() = default;
  // At least one byte; 0 when the peer sends no more. Requires: `out` is not empty.
  virtual absl::StatusOr<size_t> Read(std::span<uint8_t> out) = 0;
  // All pieces, in order, at most 4 of them.
  virtual absl::Status Write(std::span<const absl::string_view> pieces) = 0;
  // As Exchange::JudgeStalls.
  virtual void JudgeStalls(absl::Duration ask_every, std::function<absl::Status()> judge) = 0;
  // The peer closed its side, or the connection is broken. Does not block.
  virtual bool PeerGone() = 0;
};

// Borrows the connected, non-blocking socket `fd`. shutdown(2) from another thread wakes it.
std::unique_ptr<Transport> MakePlainTransport(int fd, const TransportLimits& limits);
// The same with the session's seal around every byte; borrows both. Requires: the session's
// handshake is complete.
std::unique_ptr<Transport> MakeTlsTransport(TlsSession& session, int fd,
                                            const TransportLimits& limits);

}  // namespace cedana::http
