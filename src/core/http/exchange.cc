#include <algorithm>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/http/exchange_internal.h"

namespace cedana::http {
namespace {

namespace bh = boost::beast::http;

bool ParseQuery(absl::string_view text, Headers& out) {
  for (const absl::string_view pair : absl::StrSplit(text, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    // Clients that encode forms write a space as '+', and a plus as %2B.
    absl::StatusOr<std::string> name =
        PercentDecode(absl::StrReplaceAll(parts.first, {{"+", " "}}));
    absl::StatusOr<std::string> value =
        PercentDecode(absl::StrReplaceAll(parts.second, {{"+", " "}}));
    if (!name.ok() || !value.ok()) return false;
    out.emplace_back(*std::move(name), *std::move(value));
  }
  return true;
}

bool HasNoBody(int status) { return status / 100 == 1 || status == 204 || status == 304; }

}  // namespace

std::optional<Refusal> ReadRequestHead(const Parser& parser, ServerRequest& out) {
  const auto& head = parser.get();
  out.method = std::string(head.method_string());
  out.target = std::string(head.target());
  for (const auto& field : head) {
    out.headers.emplace_back(absl::AsciiStrToLower(absl::string_view(field.name_string().data(),
                                                                     field.name_string().size())),
                             std::string(field.value()));
  }
  if (out.target.empty() || out.target[0] != '/') return Refusal{400, "target is not a path"};
  const size_t mark = out.target.find('?');
  out.path = out.target.substr(0, mark);
  if (mark != std::string::npos &&
      !ParseQuery(absl::string_view(out.target).substr(mark + 1), out.query)) {
    return Refusal{400, "bad percent-encoding in the query"};
  }
  const auto hosts = head.count(bh::field::host);
  if (hosts > 1 || (hosts == 0 && head.version() >= 11)) return Refusal{400, "one Host is needed"};

  const std::string* encoding = out.Header("transfer-encoding");
  if (encoding != nullptr) {
    // Two lengths for one body are how requests are smuggled past a proxy.
    if (out.Header("content-length") != nullptr || head.version() < 11) {
      return Refusal{400, "transfer-encoding is not allowed here"};
    }
    if (!parser.chunked() || !absl::EqualsIgnoreCase(*encoding, "chunked")) {
      return Refusal{501, "only chunked transfer-encoding is known"};
    }
    out.chunked = true;
  } else if (const auto length = parser.content_length()) {
    out.content_length = *length;
  }
  if (const std::string* expect = out.Header("expect"); expect != nullptr && head.version() >= 11) {
    if (!absl::EqualsIgnoreCase(*expect, "100-continue")) {
      return Refusal{417, "only 100-continue can be expected"};
    }
    out.expects_continue = out.chunked || out.content_length.value_or(0) > 0;
  }
  return std::nullopt;
}

absl::StatusOr<std::string> MakeHead(int status, const Headers& headers) {
  const auto reason = bh::obsolete_reason(bh::int_to_status(static_cast<unsigned>(status)));
  std::string head = absl::StrCat("HTTP/1.1 ", status, " ",
                                  absl::string_view(reason.data(), reason.size()), "\r\n");
  const bool dated = std::any_of(headers.begin(), headers.end(), [](const auto& header) {
    return absl::EqualsIgnoreCase(header.first, "date");
  });
  if (!dated) {
    absl::StrAppend(&head, "Date: ",
                    absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", base::SystemClock().Now(),
                                     absl::UTCTimeZone()),
                    "\r\n");
  }
  for (const auto& [name, value] : headers) {
    if (name.empty() || name.find_first_of(": \t\r\n") != std::string::npos ||
        value.find_first_of(absl::string_view("\r\n\0", 3).data(), 0, 3) != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("header \"", name, "\" cannot be sent"));
    }
    absl::StrAppend(&head, name, ": ", value, "\r\n");
  }
  return head;
}

ServerExchange::ServerExchange(Transport& transport, ReadBuffer& buffer, Parser& parser,
                               ServerRequest request, const std::atomic<bool>& stopping,
                               const std::atomic<bool>& cut)
    : transport_(transport),
      buffer_(buffer),
      parser_(parser),
      request_(std::move(request)),
      stopping_(stopping),
      cut_(cut),
      body_left_(request_.content_length.value_or(0)),
      // Who has begun to send the body waits for nothing.
      awaits_continue_(request_.expects_continue && buffer.size() == 0) {}

bool ServerExchange::cancelled() const { return cut_ || transport_.PeerGone(); }

bool ServerExchange::BodyComplete() const {
  return request_.chunked ? parser_.is_done() : body_left_ == 0;
}

absl::Status ServerExchange::AnswerExpectation() {
  if (!awaits_continue_) return absl::OkStatus();
  if (started()) {
    return absl::FailedPreconditionError("answered already: the peer will not send the body");
  }
  const absl::string_view answer[] = {"HTTP/1.1 100 Continue\r\n\r\n"};
  CEDANA_RETURN_IF_ERROR(Send(answer));
  awaits_continue_ = false;
  return absl::OkStatus();
}

absl::StatusOr<size_t> ServerExchange::ReadBody(std::span<uint8_t> out) {
  if (!read_status_.ok()) return read_status_;
  if (out.empty() || BodyComplete()) return size_t{0};
  CEDANA_RETURN_IF_ERROR(AnswerExpectation());
  absl::StatusOr<size_t> got = request_.chunked ? ReadChunked(out) : ReadSized(out);
  if (!got.ok()) read_status_ = got.status();
  return got;
}

absl::StatusOr<size_t> ServerExchange::ReadSized(std::span<uint8_t> out) {
  out = out.first(std::min<uint64_t>(out.size(), body_left_));
  size_t got = std::min(out.size(), buffer_.size());
  if (got > 0) {
    std::copy_n(static_cast<const uint8_t*>(buffer_.data().data()), got, out.data());
    buffer_.consume(got);
  } else {
    CEDANA_ASSIGN_OR_RETURN(got, transport_.Read(out));
    if (got == 0) {
      return absl::UnavailableError(
          absl::StrCat("connection ended, ", body_left_, " bytes of the body missing"));
    }
  }
  body_left_ -= got;
  return got;
}

absl::StatusOr<size_t> ServerExchange::ReadChunked(std::span<uint8_t> out) {
  auto& body = parser_.get().body();
  body.data = out.data();
  body.size = out.size();
  body.more = true;
  bool need_more = buffer_.size() == 0;
  while (!parser_.is_done() && body.size > 0) {
    if (need_more) {
      if (body.size < out.size()) break;  // better something now
      const size_t room = std::min(kChunkReadBytes, buffer_.max_size() - buffer_.size());
      if (room == 0) return absl::InvalidArgumentError("chunk header or trailer too large");
      const auto space = buffer_.prepare(room);
      CEDANA_ASSIGN_OR_RETURN(const size_t got,
                              transport_.Read({static_cast<uint8_t*>(space.data()), space.size()}));
      if (got == 0) return absl::UnavailableError("connection ended inside a chunked body");
      buffer_.commit(got);
    }
    boost::beast::error_code error;
    buffer_.consume(parser_.put(buffer_.data(), error));
    need_more = error == bh::error::need_more || buffer_.size() == 0;
    if (error && error != bh::error::need_more && error != bh::error::need_buffer) {
      return absl::InvalidArgumentError(absl::StrCat("bad chunked body: ", error.message()));
    }
  }
  return out.size() - body.size;
}

absl::StatusOr<std::string> ServerExchange::ReadAll(size_t max_bytes) {
  const auto too_long = [&] {
    return absl::ResourceExhaustedError(absl::StrCat("body of more than ", max_bytes, " bytes"));
  };
  if (request_.content_length.value_or(0) > max_bytes) return too_long();
  std::string all;
  constexpr size_t kStep = 64u << 10;
  while (true) {
    const size_t before = all.size();
    all.resize(before + std::min(kStep, max_bytes - before + 1));
    CEDANA_ASSIGN_OR_RETURN(
        const size_t got,
        ReadBody({reinterpret_cast<uint8_t*>(all.data()) + before, all.size() - before}));
    all.resize(before + got);
    if (got == 0) return all;
    if (all.size() > max_bytes) return too_long();
  }
}

bool ServerExchange::DecideKeepAlive() const {
  if (stopping_ || !read_status_.ok() || parser_.get().version() < 11 || !parser_.keep_alive()) {
    return false;
  }
  if (BodyComplete()) return true;
  // Whether a peer that was refused still sends its body is its choice, so nothing that follows on
  // this connection could be told apart from it.
  return !awaits_continue_ && !request_.chunked && body_left_ <= kDrainBytesMax;
}

absl::StatusOr<std::string> ServerExchange::BeginAnswer(int status, const Headers& headers,
                                                        std::optional<uint64_t> content_length,
                                                        bool has_body) {
  if (started()) return absl::FailedPreconditionError("this request has its answer already");
  if (status < 200 || status > 599) {
    return absl::InvalidArgumentError(absl::StrCat("status ", status, " is no final answer"));
  }
  CEDANA_ASSIGN_OR_RETURN(std::string head, MakeHead(status, headers));
  keep_alive_ = DecideKeepAlive();
  for (const auto& [name, value] : headers) {
    if (absl::EqualsIgnoreCase(name, "content-length") ||
        absl::EqualsIgnoreCase(name, "transfer-encoding") ||
        absl::EqualsIgnoreCase(name, "connection")) {
      return absl::InvalidArgumentError(absl::StrCat(name, " is set by the server"));
    }
  }
  answer_has_body_ = has_body && request_.method != "HEAD" && !HasNoBody(status);
  if (!HasNoBody(status)) {
    if (content_length) {
      absl::StrAppend(&head, "Content-Length: ", *content_length, "\r\n");
    } else if (parser_.get().version() >= 11) {
      answer_chunked_ = answer_has_body_;
      head += "Transfer-Encoding: chunked\r\n";
    } else {
      keep_alive_ = false;  // HTTP/1.0: ended by the end of the connection
    }
  }
  head += keep_alive_ ? "\r\n" : "Connection: close\r\n\r\n";
  answer_left_ = content_length;
  return head;
}

absl::Status ServerExchange::Send(std::span<const absl::string_view> pieces) {
  if (!write_status_.ok()) return write_status_;
  write_status_ = transport_.Write(pieces);
  return write_status_;
}

absl::Status ServerExchange::Respond(int status, const Headers& headers, absl::string_view body) {
  CEDANA_ASSIGN_OR_RETURN(const std::string head, BeginAnswer(status, headers, body.size(), true));
  state_ = State::kFinished;
  const absl::string_view pieces[] = {head, answer_has_body_ ? body : absl::string_view()};
  return Send(pieces);
}

absl::Status ServerExchange::Start(int status, const Headers& headers,
                                   std::optional<uint64_t> content_length) {
  CEDANA_ASSIGN_OR_RETURN(const std::string head,
                          BeginAnswer(status, headers, content_length, true));
  state_ = State::kStreaming;
  const absl::string_view pieces[] = {head};
  return Send(pieces);
}

absl::Status ServerExchange::Write(std::span<const uint8_t> bytes) {
  if (state_ != State::kStreaming) return absl::FailedPreconditionError("no streamed answer");
  if (!answer_has_body_ || bytes.empty()) return write_status_;
  const absl::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (answer_chunked_) {
    const std::string size = absl::StrCat(absl::Hex(bytes.size()), "\r\n");
    const absl::string_view pieces[] = {size, text, "\r\n"};
    return Send(pieces);
  }
  if (answer_left_) {
    if (bytes.size() > *answer_left_) {
      return absl::OutOfRangeError("more bytes than the answer's declared length");
    }
    *answer_left_ -= bytes.size();
  }
  const absl::string_view pieces[] = {text};
  return Send(pieces);
}

absl::Status ServerExchange::Finish() {
  if (state_ != State::kStreaming) return absl::FailedPreconditionError("no streamed answer");
  if (answer_has_body_ && answer_left_.value_or(0) > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(*answer_left_, " bytes short of the answer's declared length"));
  }
  if (answer_chunked_) {
    const absl::string_view pieces[] = {"0\r\n\r\n"};
    CEDANA_RETURN_IF_ERROR(Send(pieces));
  }
  state_ = State::kFinished;
  return write_status_;
}

void ServerExchange::Cut() {
  state_ = State::kStreaming;  // and for ever: End sees an answer that has no end
  write_status_ = absl::CancelledError("the connection was cut");
}

ServerExchange::Next ServerExchange::End() const {
  if (state_ != State::kFinished || !write_status_.ok()) return Next::kCut;
  return keep_alive_ ? Next::kKeepAlive : Next::kLinger;
}

}  // namespace cedana::http
