// The life of a connection, top to bottom, is ServeConnection. Everything but the handlers runs on
// one thread, so connections need no locks; while a worker has a connection its coroutine sleeps.
#include "core/http/server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>
#include <exception>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/base/thread.h"
#include "core/http/connection_internal.h"
#include "core/http/exchange_internal.h"
#include "core/http/tls_internal.h"
#include "core/http/worker_pool_internal.h"

namespace cedana::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kHeaderReadBytes = 4096;
// How long a peer may take to read the last answer before the connection is closed.
constexpr absl::Duration kLingerTime = absl::Seconds(2);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

// A path as the log may show it where nobody knows what it means: what follows may authorise.
std::string Beginning(const std::string& path) {
  const size_t second = path.find('/', 1);
  const size_t third = second == std::string::npos ? second : path.find('/', second + 1);
  return path.substr(0, third);
}

class ServerImpl final : public Server {
 public:
  ServerImpl(ServerOptions options, Handler handler)
      : options_(std::move(options)),
        handler_(std::move(handler)),
        workers_(options_.workers, options_.is_bulk ? options_.bulk_workers : options_.workers) {}
  ~ServerImpl() override;

  absl::Status Open();
  uint16_t port() const override { return port_; }
  void Stop(absl::Duration grace) override;

 private:
  enum class HeaderResult { kRequest, kEnd, kRefused };

  asio::awaitable<void> Accept();
  asio::awaitable<void> ServeConnection(std::shared_ptr<Connection> connection);
  asio::awaitable<HeaderResult> ReadHeader(Connection& connection, Parser& parser);
  // Drops what is left of a request's body; false when it does not come.
  asio::awaitable<bool> Drop(Connection& connection, uint64_t bytes);
  asio::awaitable<void> OnWorker(std::function<void()> work, bool bulk);
  asio::awaitable<void> Refuse(Connection& connection, int status, std::string text);
  asio::awaitable<void> Linger(Connection& connection);
  absl::Status ListenOn(const tcp::endpoint& endpoint);
  // On a worker. `unread`: of the body, by a handler that answered without it.
  ServerExchange::Next Handle(Connection& connection, Parser& parser, ServerRequest request,
                              uint64_t* unread);
  void StartConnection(tcp::socket socket);
  void StopAccepting();
  // Runs `step` on the io thread and waits for it.
  void OnIoThread(const std::function<void()>& step);
  bool Idle() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return running_ == 0; }

  const ServerOptions options_;
  const Handler handler_;
  uint16_t port_ = 0;

  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> keep_running_;
  std::unique_ptr<TlsContext> tls_;                              // io thread only; null: plain
  std::unordered_set<std::shared_ptr<Connection>> connections_;  // io thread only

  std::atomic<bool> stopping_{false};
  std::atomic<bool> cut_{false};
  absl::Mutex mutex_;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;  // requests with a worker, or waiting for one

  WorkerPool workers_;
  base::Thread io_thread_;
};

absl::Status ServerImpl::Open() {
  if (options_.tls_cert_file.empty() != options_.tls_key_file.empty()) {
    return absl::InvalidArgumentError("TLS: certificate and key are wanted together");
  }
  if (!options_.tls_cert_file.empty()) {
    CEDANA_ASSIGN_OR_RETURN(tls_, TlsContext::Open(options_.tls_cert_file, options_.tls_key_file));
  }
  beast::error_code error;
  const auto address = asio::ip::make_address(options_.address, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat("bad address ", options_.address));
  CEDANA_RETURN_IF_ERROR(ListenOn(tcp::endpoint(address, options_.port)));
  keep_running_.emplace(io_.get_executor());
  asio::co_spawn(io_, Accept(), asio::detached);
  io_thread_ = base::Thread("http-io", [this] { io_.run(); });
  return absl::OkStatus();
}

absl::Status ServerImpl::ListenOn(const tcp::endpoint& endpoint) {
  beast::error_code error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    const std::string text =
        absl::StrCat("listen on ", options_.address, ":", options_.port, ": ", error.message());
    return error == asio::error::address_in_use ? absl::AlreadyExistsError(text)
                                                : absl::InvalidArgumentError(text);
  }
  port_ = acceptor_.local_endpoint(error).port();
  return absl::OkStatus();
}

asio::awaitable<void> ServerImpl::Accept() {
  while (!stopping_) {
    auto [error, socket] = co_await acceptor_.async_accept(kAwait);
    if (stopping_) break;
    if (!error) {
      StartConnection(std::move(socket));
      continue;
    }
    base::LogWarn("accept failed", {{"error", error.message()}});
    // Out of descriptors, mostly: wait for connections to end.
    asio::steady_timer pause(io_, kAcceptPause);
    co_await pause.async_wait(kAwait);
  }
}

void ServerImpl::StartConnection(tcp::socket socket) {
  beast::error_code error;
  socket.non_blocking(true, error);
  if (!error) socket.set_option(tcp::no_delay(true), error);
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return;
  if (connections_.size() >= static_cast<size_t>(options_.connections_max)) {
    static constexpr char kFull[] =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if (tls_ == nullptr) socket.write_some(asio::buffer(kFull, sizeof(kFull) - 1), error);
    return;
  }
  std::unique_ptr<TlsSession> session;
  if (tls_ != nullptr) {
    absl::StatusOr<std::unique_ptr<TlsSession>> made = tls_->NewSession();
    if (!made.ok()) {
      base::LogWarn("connection refused", {{"error", made.status().message()}});
      return;
    }
    session = *std::move(made);
  }
  auto connection = std::make_shared<Connection>(
      std::move(socket), options_.header_bytes_max + kChunkReadBytes,
      absl::StrCat(peer.address().to_string(), ":", peer.port()), std::move(session));
  connections_.insert(connection);
  asio::co_spawn(io_, ServeConnection(connection),
                 [this, connection](const std::exception_ptr& failure) {
                   if (failure) base::LogError("connection failed", {{"peer", connection->peer()}});
                   connections_.erase(connection);
                 });
}

asio::awaitable<void> ServerImpl::ServeConnection(std::shared_ptr<Connection> connection) {
  connection->ExpireAfter(options_.handshake_timeout);
  if (co_await connection->Handshake()) co_return;
  while (!stopping_) {
    auto parser = std::make_unique<Parser>();
    parser->header_limit(static_cast<uint32_t>(options_.header_bytes_max));
    parser->body_limit(boost::none);
    const HeaderResult result = co_await ReadHeader(*connection, *parser);
    if (result != HeaderResult::kRequest || stopping_) break;

    ServerRequest request;
    request.peer = connection->peer();
    request.secure = connection->secure();
    if (const auto refusal = ReadRequestHead(*parser, request)) {
      co_await Refuse(*connection, refusal->status, refusal->text);
      break;
    }

    // The worker has the socket for itself until it is done with this request.
    connection->with_worker = true;
    ServerExchange::Next next = ServerExchange::Next::kCut;
    uint64_t unread = 0;
    const bool bulk = options_.is_bulk && options_.is_bulk(request);
    std::function<void()> work = [&] {
      next = Handle(*connection, *parser, std::move(request), &unread);
    };
    co_await OnWorker(std::move(work), bulk);
    connection->with_worker = false;

    if (next == ServerExchange::Next::kLinger) co_await Linger(*connection);
    // An HTTP/1.0 answer is complete at the end of the stream, so this one ends otherwise.
    if (next == ServerExchange::Next::kCut && parser->get().version() < 11) {
      connection->EndByReset();
    }
    if (next != ServerExchange::Next::kKeepAlive) break;
    if (!co_await Drop(*connection, unread)) break;
    if (connection->buffer().size() == 0) connection->buffer().shrink_to_fit();
  }
}

asio::awaitable<ServerImpl::HeaderResult> ServerImpl::ReadHeader(Connection& connection,
                                                                 Parser& parser) {
  ReadBuffer& buffer = connection.buffer();
  if (buffer.size() == 0) {
    connection.ExpireAfter(options_.idle_timeout);
    if (co_await connection.Fill(kHeaderReadBytes)) co_return HeaderResult::kEnd;
  }
  // One limit for the whole header: a peer that sends it byte by byte gains nothing.
  connection.ExpireAfter(options_.io_timeout);
  beast::error_code error;
  while (true) {
    buffer.consume(parser.put(buffer.data(), error));
    if (!error && parser.is_header_done()) co_return HeaderResult::kRequest;
    if (error && error != beast::http::error::need_more) break;
    error = co_await connection.Fill(kHeaderReadBytes);
    if (error) break;
  }
  if (error == beast::http::error::header_limit || error == beast::http::error::buffer_overflow) {
    co_await Refuse(connection, 431, "header too large");
  } else if (error == beast::error::timeout) {
    co_await Refuse(connection, 408, "header not complete in time");
  } else if (error.category() ==
             beast::http::make_error_code(beast::http::error::end_of_stream).category()) {
    co_await Refuse(connection, 400, error.message());
  } else {
    co_return HeaderResult::kEnd;
  }
  co_return HeaderResult::kRefused;
}

asio::awaitable<bool> ServerImpl::Drop(Connection& connection, uint64_t bytes) {
  ReadBuffer& buffer = connection.buffer();
  connection.ExpireAfter(kLingerTime);
  while (true) {
    const uint64_t here = std::min<uint64_t>(bytes, buffer.size());
    buffer.consume(here);
    bytes -= here;
    if (bytes == 0) co_return true;
    if (co_await connection.Fill(kHeaderReadBytes)) co_return false;
  }
}

asio::awaitable<void> ServerImpl::OnWorker(std::function<void()> work, bool bulk) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [this, bulk](auto handler, std::function<void()> task) {
        {
          absl::MutexLock lock(&mutex_);
          ++running_;
        }
        auto resume = std::make_shared<decltype(handler)>(std::move(handler));
        workers_.Submit(
            [this, resume, task = std::move(task)] {
              task();
              // Posted first: once nothing is running, the io thread may end when it has no work.
              asio::post(io_, [resume = std::move(*resume)]() mutable { std::move(resume)(); });
              absl::MutexLock lock(&mutex_);
              --running_;
            },
            bulk);
      },
      asio::use_awaitable, std::move(work));
}

ServerExchange::Next ServerImpl::Handle(Connection& connection, Parser& parser,
                                        ServerRequest request, uint64_t* unread) {
  if (cut_) return ServerExchange::Next::kCut;
  const std::unique_ptr<Transport> transport =
      connection.MakeTransport({options_.io_timeout, options_.slow_bytes, options_.slow_time});
  ServerExchange exchange(*transport, connection.buffer(), parser, std::move(request), stopping_,
                          cut_);
  std::string failure;
  try {
    handler_(exchange);
    if (!exchange.started()) {
      if (exchange.cancelled()) return ServerExchange::Next::kCut;  // nobody is there to answer
      failure = "handler gave no answer";
    }
  } catch (const std::exception& error) {
    failure = error.what();
  } catch (...) {
    failure = "unknown exception";
  }
  transport->JudgeStalls({}, nullptr);  // it is the handler's, which has ended
  if (!failure.empty()) {
    base::LogError("request failed", {{"method", exchange.request().method},
                                      {"path", Beginning(exchange.request().path)},
                                      {"peer", connection.peer()},
                                      {"error", failure}});
    if (!exchange.started()) {
      exchange.Respond(500, {{"content-type", "text/plain"}}, "internal error\n").IgnoreError();
    } else {
      return ServerExchange::Next::kCut;
    }
  }
  *unread = exchange.unread();
  return exchange.End();
}

asio::awaitable<void> ServerImpl::Refuse(Connection& connection, int status, std::string text) {
  text += "\n";
  std::string answer = MakeHead(status, {{"Content-Type", "text/plain"},
                                         {"Content-Length", absl::StrCat(text.size())},
                                         {"Connection", "close"}})
                           .value();
  absl::StrAppend(&answer, "\r\n", text);
  connection.ExpireAfter(kLingerTime);
  const beast::error_code error = co_await connection.Send(answer);
  if (!error) co_await Linger(connection);
}

asio::awaitable<void> ServerImpl::Linger(Connection& connection) {
  if (cut_) co_return;
  connection.ExpireAfter(kLingerTime);
  co_await connection.Linger();
}

void ServerImpl::OnIoThread(const std::function<void()>& step) {
  absl::Notification done;
  asio::post(io_, [&] {
    step();
    done.Notify();
  });
  done.WaitForNotification();
}

void ServerImpl::StopAccepting() {
  stopping_ = true;
  beast::error_code ignored;
  acceptor_.close(ignored);
  for (const auto& connection : connections_) {
    if (!connection->with_worker) connection->Cancel();
  }
}

void ServerImpl::Stop(absl::Duration grace) {
  OnIoThread([this] { StopAccepting(); });
  {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(this, &ServerImpl::Idle), grace);
  }
  cut_ = true;
  OnIoThread([this] {
    for (const auto& connection : connections_) connection->ShutDown();
  });
}

ServerImpl::~ServerImpl() {
  if (!io_thread_.joinable()) return;
  Stop(absl::ZeroDuration());
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &ServerImpl::Idle));
  }
  keep_running_.reset();
  io_thread_.Join();  // ends with the last connection
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(ServerOptions options, Handler handler) {
  auto server = std::make_unique<ServerImpl>(std::move(options), std::move(handler));
  if (absl::Status status = server->Open(); !status.ok()) return status;
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace cedana::http
