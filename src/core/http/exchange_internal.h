// One request on one connection, from its parsed header to its answer. Included only where Beast
// may be.
#pragma once

#include <atomic>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "core/http/server.h"
#include "core/http/transport_internal.h"

namespace cedana::http {

using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;
using ReadBuffer = boost::beast::flat_buffer;

// An unread rest of a body of at most this size is read and dropped, to keep the connection; not by
// a worker.
inline constexpr uint64_t kDrainBytesMax = 64u << 10;
// One read of a chunked body, which goes through the connection's buffer.
inline constexpr size_t kChunkReadBytes = 64u << 10;

// Why a parsed header is no request that we serve.
struct Refusal {
  int status = 0;
  std::string text;
};
// Fills `out` from a parsed header; a value when the request is to be refused.
std::optional<Refusal> ReadRequestHead(const Parser& parser, ServerRequest& out);

// Status line and headers up to the empty line. kInvalidArgument for a header that would break it.
absl::StatusOr<std::string> MakeHead(int status, const Headers& headers);

class ServerExchange final : public Exchange {
 public:
  // What becomes of the connection.
  enum class Next { kKeepAlive, kLinger, kCut };

  // Borrows everything but `request`. `buffer` holds what was read past the header and keeps what
  // is read past the body. `stopping`: answers close; `cut`: the grace is over.
  ServerExchange(Transport& transport, ReadBuffer& buffer, Parser& parser, ServerRequest request,
                 const std::atomic<bool>& stopping, const std::atomic<bool>& cut);

  const ServerRequest& request() const override { return request_; }
  absl::StatusOr<size_t> ReadBody(std::span<uint8_t> out) override;
  absl::StatusOr<std::string> ReadAll(size_t max_bytes) override;
  absl::Status Respond(int status, const Headers& headers, absl::string_view body) override;
  absl::Status Start(int status, const Headers& headers,
                     std::optional<uint64_t> content_length) override;
  absl::Status Write(std::span<const uint8_t> bytes) override;
  absl::Status Finish() override;
  void Cut() override;
  void JudgeStalls(absl::Duration ask_every, std::function<absl::Status()> judge) override {
    transport_.JudgeStalls(ask_every, std::move(judge));
  }
  bool cancelled() const override;

  bool started() const { return state_ != State::kIdle; }
  // After the handler. Kept with a rest of the body unread: the peer is owed its dropping.
  Next End() const;
  uint64_t unread() const { return body_left_; }

 private:
  enum class State { kIdle, kStreaming, kFinished };

  absl::Status AnswerExpectation();
  absl::StatusOr<size_t> ReadSized(std::span<uint8_t> out);
  absl::StatusOr<size_t> ReadChunked(std::span<uint8_t> out);
  bool BodyComplete() const;
  // May the connection serve another request after this answer? Decided when the head is sent.
  bool DecideKeepAlive() const;
  absl::StatusOr<std::string> BeginAnswer(int status, const Headers& headers,
                                          std::optional<uint64_t> content_length, bool has_body);
  absl::Status Send(std::span<const absl::string_view> pieces);

  Transport& transport_;
  ReadBuffer& buffer_;
  Parser& parser_;
  const ServerRequest request_;
  const std::atomic<bool>& stopping_;
  const std::atomic<bool>& cut_;

  uint64_t body_left_ = 0;     // of a body with a length
  bool awaits_continue_;       // the peer holds the body back
  absl::Status read_status_;   // sticky
  absl::Status write_status_;  // sticky
  State state_ = State::kIdle;
  bool keep_alive_ = false;
  bool answer_has_body_ = true;  // not for HEAD, 204, 304
  bool answer_chunked_ = false;
  std::optional<uint64_t> answer_left_;  // of an answer with a length
};

}  // namespace cedana::http
