#include "core/http/connection_internal.h"

#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <utility>

#include "core/base/log.h"

namespace cedana::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kSealedReadBytes = 4096;
constexpr char kPlainToTls[] =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 27\r\n"
    "Connection: close\r\n\r\nthis port speaks TLS only.\n";

beast::error_code Broken() { return asio::error::make_error_code(asio::error::connection_aborted); }

}  // namespace

Connection::Connection(tcp::socket socket, size_t buffer_bytes_max, std::string peer,
                       std::unique_ptr<TlsSession> tls)
    : stream_(std::move(socket)),
      buffer_(buffer_bytes_max),
      peer_(std::move(peer)),
      tls_(std::move(tls)) {}

void Connection::ExpireAfter(absl::Duration limit) {
  // Bounded, so that adding it to a time point cannot overflow.
  stream_.expires_after(absl::ToChronoNanoseconds(std::min(limit, absl::Hours(24 * 365))));
}

Connection::Awaitable<Connection::Error> Connection::Flush() {
  if (tls_->output().empty()) co_return Error();
  const absl::string_view sealed = tls_->output();
  auto [error, sent] =
      co_await asio::async_write(stream_, asio::buffer(sealed.data(), sealed.size()), kAwait);
  tls_->DropOutput();
  co_return error;
}

Connection::Awaitable<Connection::Error> Connection::FillSealed() {
  std::array<uint8_t, kSealedReadBytes> sealed;
  auto [error, got] = co_await stream_.async_read_some(asio::buffer(sealed), kAwait);
  if (error) co_return error;
  co_return tls_->Feed(std::span(sealed.data(), got)).ok() ? Error() : Broken();
}

Connection::Awaitable<void> Connection::SayWhyPlain() {
  auto [error, sent] = co_await asio::async_write(
      stream_, asio::buffer(kPlainToTls, sizeof(kPlainToTls) - 1), kAwait);
  if (!error) {
    Error ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }
}

Connection::Awaitable<Connection::Error> Connection::Handshake() {
  if (tls_ == nullptr) co_return Error();
  while (true) {
    const absl::StatusOr<bool> complete = tls_->Handshake();
    if (!complete.ok()) {
      base::LogInfo("connection refused",
                    {{"peer", peer_}, {"error", complete.status().message()}});
      if (tls_->peer_is_plain()) {
        co_await SayWhyPlain();
      } else {
        co_await Flush();  // the alert
      }
      co_return Broken();
    }
    if (const Error error = co_await Flush(); error) co_return error;
    if (*complete) co_return Error();
    if (const Error error = co_await FillSealed(); error) co_return error;
  }
}

Connection::Awaitable<Connection::Error> Connection::Fill(size_t bytes) {
  const size_t room = std::min(bytes, buffer_.max_size() - buffer_.size());
  if (room == 0) co_return beast::http::make_error_code(beast::http::error::buffer_overflow);
  const auto space = buffer_.prepare(room);
  if (tls_ == nullptr) {
    auto [error, got] = co_await stream_.async_read_some(space, kAwait);
    buffer_.commit(got);
    co_return error;
  }
  while (true) {
    const absl::StatusOr<size_t> got =
        tls_->Read({static_cast<uint8_t*>(space.data()), space.size()});
    if (const Error error = co_await Flush(); error) co_return error;
    if (!got.ok()) co_return Broken();
    if (*got > 0) {
      buffer_.commit(*got);
      co_return Error();
    }
    if (tls_->closed()) co_return asio::error::make_error_code(asio::error::eof);
    if (const Error error = co_await FillSealed(); error) co_return error;
  }
}

Connection::Awaitable<Connection::Error> Connection::Send(absl::string_view bytes) {
  if (tls_ != nullptr) {
    if (!tls_->Write(bytes).ok()) co_return Broken();
    co_return co_await Flush();
  }
  auto [error, sent] =
      co_await asio::async_write(stream_, asio::buffer(bytes.data(), bytes.size()), kAwait);
  co_return error;
}

Connection::Awaitable<void> Connection::Linger() {
  Error error;
  if (tls_ != nullptr) {
    tls_->Close();
    error = co_await Flush();
  }
  stream_.socket().shutdown(tcp::socket::shutdown_send, error);
  buffer_.clear();
  while (!error) {
    auto [failure, got] =
        co_await stream_.async_read_some(buffer_.prepare(kChunkReadBytes), kAwait);
    error = failure;
  }
}

std::unique_ptr<Transport> Connection::MakeTransport(const TransportLimits& limits) {
  const int fd = stream_.socket().native_handle();
  return tls_ == nullptr ? MakePlainTransport(fd, limits) : MakeTlsTransport(*tls_, fd, limits);
}

void Connection::EndByReset() {
  Error ignored;
  stream_.socket().set_option(asio::socket_base::linger(true, 0), ignored);
}

void Connection::ShutDown() {
  ::shutdown(stream_.socket().native_handle(), SHUT_RDWR);
  if (!with_worker) Cancel();
}

}  // namespace cedana::http
