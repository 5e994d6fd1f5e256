// One accepted connection as the io thread sees it: plain or TLS, the same coroutines for both.
// While a worker has the connection, the worker's Transport (made here) reads and writes instead.
// Included only where Asio may be.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/http/exchange_internal.h"
#include "core/http/tls_internal.h"
#include "core/http/transport_internal.h"

namespace cedana::http {

class Connection {
 public:
  template <typename T>
  using Awaitable = boost::asio::awaitable<T>;
  using Error = boost::beast::error_code;

  // `tls`: null for a plain connection.
  Connection(boost::asio::ip::tcp::socket socket, size_t buffer_bytes_max, std::string peer,
             std::unique_ptr<TlsSession> tls);

  const std::string& peer() const { return peer_; }
  bool secure() const { return tls_ != nullptr; }
  ReadBuffer& buffer() { return buffer_; }

  // One limit for everything that is awaited from now on; it ends with beast::error::timeout.
  void ExpireAfter(absl::Duration limit);
  // At once for a plain connection.
  Awaitable<Error> Handshake();
  // Reads at least one byte into the buffer, at most `bytes`. Error eof: the peer sends no more;
  // buffer_overflow: the buffer is full.
  Awaitable<Error> Fill(size_t bytes);
  Awaitable<Error> Send(absl::string_view bytes);
  // Says that nothing follows, and drops what still comes until the peer has seen it (or the
  // limit): closing a socket with unread bytes resets the connection, and the last answer may be
  // lost with it.
  Awaitable<void> Linger();

  // For the worker that has the connection from now on.
  std::unique_ptr<Transport> MakeTransport(const TransportLimits& limits);

  // The end of the connection will be a reset, not an end of stream.
  void EndByReset();
  // Wakes whoever awaits something here.
  void Cancel() { stream_.cancel(); }
  // Also wakes a worker. The descriptor stays open for it; its calls fail from here on.
  void ShutDown();

  bool with_worker = false;

 private:
  Awaitable<Error> FillSealed();
  Awaitable<Error> Flush();
  // Speaks plainly: the handshake has failed.
  Awaitable<void> SayWhyPlain();

  boost::beast::tcp_stream stream_;
  ReadBuffer buffer_;
  const std::string peer_;
  const std::unique_ptr<TlsSession> tls_;
};

}  // namespace cedana::http
