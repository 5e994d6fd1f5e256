#include "cedana/remote/http_api.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cedana/remote/retry.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::remote {
namespace {

using absl::StatusCode;

constexpr size_t kMessageBytesMax = 300;
constexpr size_t kRequestIdBytes = 8;

struct ErrorRow {
  int status;
  absl::string_view code;
  StatusCode meaning;
};

constexpr std::array<ErrorRow, 13> kErrors{{
    {400, "invalid_argument", StatusCode::kInvalidArgument},
    {401, "unauthenticated", StatusCode::kUnauthenticated},
    {403, "permission_denied", StatusCode::kPermissionDenied},
    {404, "not_found", StatusCode::kNotFound},
    {409, "already_exists", StatusCode::kAlreadyExists},
    {410, "parent_gone", StatusCode::kFailedPrecondition},
    {412, "failed_precondition", StatusCode::kFailedPrecondition},
    {422, "data_loss", StatusCode::kDataLoss},
    {429, "throttled", StatusCode::kUnavailable},
    {500, "internal", StatusCode::kInternal},
    {502, "bad_gateway", StatusCode::kUnknown},  // of a proxy: it may have passed the request on
    {503, "unavailable", StatusCode::kUnavailable},
    {507, "resource_exhausted", StatusCode::kResourceExhausted},
}};

// One line of bounded length, whatever the other side sent.
std::string OneLine(absl::string_view text) {
  std::string line(text.substr(0, kMessageBytesMax));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return absl::ascii_iscntrl(c); }, ' ');
  return line;
}

StatusCode Meaning(int status, absl::string_view code) {
  for (const ErrorRow& row : kErrors) {
    if (row.code == code) return row.meaning;
  }
  for (const ErrorRow& row : kErrors) {
    if (row.status == status) return row.meaning;
  }
  if (status == 504) return StatusCode::kUnknown;
  return status >= 500 ? StatusCode::kInternal : StatusCode::kFailedPrecondition;
}

// Who looks for the reason needs the service's log; of what the caller asked wrongly the text says
// enough.
absl::Status WithRequest(const absl::Status& error, int status, const std::string& id) {
  const bool caller_is_wrong = status >= 400 && status < 500 && status != 429;
  const bool sent = status != 0 || error.code() == StatusCode::kUnknown;
  if (caller_is_wrong || !sent || absl::StrContains(error.message(), id)) return error;
  absl::Status named(error.code(), absl::StrCat(error.message(), " (request ", id, ")"));
  const absl::Duration after = RetryAfter(error);
  return after == absl::ZeroDuration() ? named : WithRetryAfter(named, after);
}

}  // namespace

absl::Status ErrorOf(absl::string_view what, const http::ClientResponse& response) {
  std::string code;
  std::string message;
  if (const absl::StatusOr<base::Json> body = base::ParseJson(response.body); body.ok()) {
    code = base::StringOr(*body, "code", "");
    message = OneLine(base::StringOr(*body, "message", ""));
  }
  StatusCode meaning = Meaning(response.status, code);
  // "Not there" is believed only from who speaks our interface.
  if (meaning == StatusCode::kNotFound && code.empty()) meaning = StatusCode::kFailedPrecondition;
  // So is "not done": a proxy says 503 as well when it has passed the request on and its connection
  // was cut before the answer.
  if (response.status == 503 && code.empty()) meaning = StatusCode::kUnknown;
  absl::Status status(meaning, message.empty()
                                   ? absl::StrCat(what, " answers HTTP ", response.status)
                                   : absl::StrCat(what, ": ", message));
  int64_t seconds = 0;
  const std::string* after = response.Header("retry-after");
  if (after == nullptr || !absl::SimpleAtoi(*after, &seconds) || seconds < 0) return status;
  return WithRetryAfter(status, absl::Seconds(std::min<int64_t>(seconds, 3600)));
}

std::string HttpApi::NewRequestId() const {
  if (!operation_.empty()) return absl::StrCat(operation_, "-", ++requests_);
  uint8_t bytes[kRequestIdBytes];
  random_->Fill(bytes, sizeof(bytes));
  return base::HexEncode(bytes, sizeof(bytes));
}

absl::StatusOr<std::string> HttpApi::Do(const base::Context& context, absl::string_view method,
                                        absl::string_view target, const base::Json* body) const {
  http::ClientRequest request;
  request.method = std::string(method);
  request.url = absl::StrCat(origin_, target);
  const std::string id = NewRequestId();
  request.headers = {{"Authorization", absl::StrCat("Bearer ", token_)}, {"X-Request-Id", id}};
  request.body_bytes_max = base::kJsonBodyBytesMax;
  std::string text;
  if (body != nullptr) {
    text = base::DumpJson(*body);
    request.headers.emplace_back("Content-Type", "application/json");
    request.body = {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
    request.has_body = true;
  }
  absl::StatusOr<http::ClientResponse> response = client_->Do(context, request);
  if (absl::IsDataLoss(response.status())) {
    // Cut: the rest is not known.
    return WithRequest(absl::UnknownError(response.status().message()), 0, id);
  }
  if (!response.ok()) return WithRequest(response.status(), 0, id);
  if (response->status / 100 == 2) return std::move(response->body);
  const absl::Status error = WithRequest(
      ErrorOf(absl::StrCat("storage service ", origin_), *response), response->status, id);
  if (!absl::IsUnauthenticated(error)) return error;
  return absl::UnauthenticatedError(
      absl::StrCat(error.message(), " (check connection.auth_token, CEDANA_AUTH_TOKEN)"));
}

absl::StatusOr<base::Json> HttpApi::Call(const base::Context& context, absl::string_view method,
                                         absl::string_view target, const base::Json* body) const {
  CEDANA_ASSIGN_OR_RETURN(const std::string text, Do(context, method, target, body));
  absl::StatusOr<base::Json> json = base::ParseJson(text);
  if (json.ok() && json->is_object()) return json;
  return absl::UnknownError(
      absl::StrCat("storage service ", origin_, " answers with something that is no JSON object"));
}

absl::StatusOr<std::string> HttpApi::CallText(const base::Context& context,
                                              absl::string_view method,
                                              absl::string_view target) const {
  return Do(context, method, target, nullptr);
}

}  // namespace cedana::remote
