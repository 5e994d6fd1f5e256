// One request on its way through the service: where answers are made, so that every one has its
// request id, errors have one form, and the log knows what was answered.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "core/base/ids.h"
#include "core/base/json.h"
#include "core/http/server.h"

namespace cedana::api {

// HTTP status and code of docs/http.md for an error.
struct ErrorKind {
  int status;
  const char* code;
};
ErrorKind KindOf(const absl::Status& status);

// Used by one thread. Borrows the exchange.
class Call {
 public:
  Call(http::Exchange& exchange, std::string request_id, std::vector<std::string> segments,
       const base::Context& context)
      : exchange_(exchange),
        request_id_(std::move(request_id)),
        segments_(std::move(segments)),
        context_(context) {}

  const http::ServerRequest& request() const { return exchange_.request(); }
  const std::vector<std::string>& segments() const { return segments_; }
  const base::Context& context() const { return context_; }
  const std::string& request_id() const { return request_id_; }
  // "http://HOST" or "https://HOST", as the client reached us, for URLs that we hand out.
  std::string Origin() const;
  // The query's value; empty when absent.
  std::string Query(const std::string& name) const;

  // The id in path segment `index`.
  template <typename IdType>
  absl::StatusOr<IdType> IdAt(size_t index) const {
    return IdType::FromHex(segments_[index]);
  }
  // The body as a JSON object.
  absl::StatusOr<base::Json> ReadJson(size_t max_bytes);
  absl::StatusOr<size_t> ReadBody(std::span<uint8_t> out);
  // Nobody waits for the answer any more.
  bool cancelled() const { return exchange_.cancelled(); }
  // As Exchange::JudgeStalls.
  void JudgeStalls(absl::Duration ask_every, std::function<absl::Status()> judge) {
    exchange_.JudgeStalls(ask_every, std::move(judge));
  }

  // Answers. The status is of the sending: an error only means that nobody listens any more.
  absl::Status Send(int status, const base::Json& body);
  absl::Status Send(int status, http::Headers headers, absl::string_view body);
  absl::Status SendError(const absl::Status& error, http::Headers headers = {});
  absl::Status Start(int status, http::Headers headers, std::optional<uint64_t> length);
  absl::Status Write(std::span<const uint8_t> bytes);
  absl::Status Finish() { return exchange_.Finish(); }

  // For the log: 0 = nothing was answered.
  int answered() const { return answered_; }
  uint64_t received_bytes() const;  // of the body, as far as it was read or announced
  uint64_t sent_bytes() const { return sent_bytes_; }

 private:
  http::Exchange& exchange_;
  const std::string request_id_;
  const std::vector<std::string> segments_;
  const base::Context context_;
  int answered_ = 0;
  uint64_t read_bytes_ = 0;
  uint64_t sent_bytes_ = 0;
};

// The single range of a `Range` header over `size` bytes. Absent header, or one that is not
// understood: the whole. kInvalidArgument when it lies outside.
struct ByteRange {
  uint64_t offset = 0;
  uint64_t length = 0;
  bool partial = false;
};
absl::StatusOr<ByteRange> ParseRange(const std::string* header, uint64_t size);
// The headers of an answer with that range.
http::Headers RangeHeaders(const ByteRange& range, uint64_t size);

}  // namespace cedana::api
