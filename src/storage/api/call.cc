#include "storage/api/call.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/metadata/errors.h"

namespace cedana::api {
namespace {

constexpr char kRetryAfterSeconds[] = "1";

// Only what a host and a port are made of may end in a URL that we hand out.
bool GoodHost(const std::string& host) {
  return !host.empty() && host.size() <= 255 &&
         std::all_of(host.begin(), host.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == ':' || c == '[' ||
                  c == ']';
         });
}

}  // namespace

ErrorKind KindOf(const absl::Status& status) {
  if (metadata::IsParentGone(status)) return {410, "parent_gone"};
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return {400, "invalid_argument"};
    case absl::StatusCode::kUnauthenticated:
      return {401, "unauthenticated"};
    case absl::StatusCode::kPermissionDenied:
      return {403, "permission_denied"};
    case absl::StatusCode::kNotFound:
      return {404, "not_found"};
    case absl::StatusCode::kAlreadyExists:
      return {409, "already_exists"};
    case absl::StatusCode::kFailedPrecondition:
      return {412, "failed_precondition"};
    case absl::StatusCode::kDataLoss:
      return {422, "data_loss"};
    case absl::StatusCode::kResourceExhausted:
      return {507, "resource_exhausted"};
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kAborted:
      return {503, "unavailable"};
    default:
      return {500, "internal"};
  }
}

std::string Call::Origin() const {
  const std::string* host = request().Header("host");
  if (host == nullptr || !GoodHost(*host)) return "";
  return absl::StrCat(request().secure ? "https://" : "http://", *host);
}

std::string Call::Query(const std::string& name) const {
  const std::string* value = request().Query(name);
  return value == nullptr ? "" : *value;
}

absl::StatusOr<size_t> Call::ReadBody(std::span<uint8_t> out) {
  absl::StatusOr<size_t> got = exchange_.ReadBody(out);
  read_bytes_ += got.value_or(0);
  return got;
}

uint64_t Call::received_bytes() const {
  return std::max(read_bytes_, request().content_length.value_or(0));
}

absl::StatusOr<base::Json> Call::ReadJson(size_t max_bytes) {
  absl::StatusOr<std::string> body = exchange_.ReadAll(max_bytes);
  if (absl::IsResourceExhausted(body.status())) {
    return absl::InvalidArgumentError(absl::StrCat("body: larger than ", max_bytes, " bytes"));
  }
  if (!body.ok()) return body.status();
  CEDANA_ASSIGN_OR_RETURN(base::Json json, base::ParseJson(*body, base::kJsonBodyDepthMax));
  if (!json.is_object()) return absl::InvalidArgumentError("body: a JSON object is wanted");
  return json;
}

absl::Status Call::Send(int status, http::Headers headers, absl::string_view body) {
  if (answered_ != 0) return absl::InternalError("answered twice");
  answered_ = status;
  sent_bytes_ = body.size();
  headers.emplace_back("X-Request-Id", request_id_);
  return exchange_.Respond(status, headers, body);
}

absl::Status Call::Send(int status, const base::Json& body) {
  return Send(status, {{"Content-Type", "application/json"}}, base::DumpJson(body));
}

absl::Status Call::SendError(const absl::Status& error, http::Headers headers) {
  const ErrorKind kind = KindOf(error);
  std::string message(error.message());
  if (kind.status == 500) {
    base::LogError("request failed", {{"request", request_id_}, {"error", error.ToString()}});
    message = absl::StrCat("internal error, in the log under request ", request_id_);
  }
  headers.emplace_back("Content-Type", "application/json");
  if (kind.status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  if (kind.status == 503) headers.emplace_back("Retry-After", kRetryAfterSeconds);
  return Send(kind.status, std::move(headers),
              base::DumpJson({{"code", kind.code}, {"message", message}}));
}

absl::Status Call::Start(int status, http::Headers headers, std::optional<uint64_t> length) {
  answered_ = status;
  headers.emplace_back("X-Request-Id", request_id_);
  return exchange_.Start(status, headers, length);
}

absl::Status Call::Write(std::span<const uint8_t> bytes) {
  sent_bytes_ += bytes.size();
  return exchange_.Write(bytes);
}

absl::StatusOr<ByteRange> ParseRange(const std::string* header, uint64_t size) {
  const ByteRange whole{0, size, false};
  absl::string_view text;
  if (header != nullptr) text = *header;
  if (!absl::ConsumePrefix(&text, "bytes=") || absl::StrContains(text, ',')) return whole;
  const size_t dash = text.find('-');
  if (dash == absl::string_view::npos) return whole;
  const absl::string_view first_text = text.substr(0, dash);
  const absl::string_view last_text = text.substr(dash + 1);
  uint64_t first = 0;
  uint64_t last = 0;
  const absl::Status outside = absl::InvalidArgumentError("range: outside of the object");
  if (first_text.empty()) {  // "-N": the last N bytes
    if (!absl::SimpleAtoi(last_text, &last)) return whole;
    if (last == 0 || size == 0) return outside;
    last = std::min(last, size);
    return ByteRange{size - last, last, true};
  }
  if (!absl::SimpleAtoi(first_text, &first)) return whole;
  if (last_text.empty()) {
    last = size == 0 ? 0 : size - 1;
  } else if (!absl::SimpleAtoi(last_text, &last) || last < first) {
    return whole;
  }
  if (first >= size) return outside;
  last = std::min(last, size - 1);
  return ByteRange{first, last - first + 1, true};
}

http::Headers RangeHeaders(const ByteRange& range, uint64_t size) {
  http::Headers headers = {{"Accept-Ranges", "bytes"}};
  if (range.partial) {
    headers.emplace_back("Content-Range", absl::StrCat("bytes ", range.offset, "-",
                                                       range.offset + range.length - 1, "/", size));
  }
  return headers;
}

}  // namespace cedana::api
