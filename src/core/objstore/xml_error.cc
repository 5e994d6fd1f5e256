#include "core/objstore/xml_error.h"

#include <algorithm>
#include <pugixml.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::objstore {
namespace {

using absl::StatusCode;

constexpr size_t kCodeBytesMax = 64;
constexpr size_t kErrorBytesMax = 64u << 10;
constexpr absl::Duration kRetryAfterMax = absl::Hours(1);
constexpr absl::Duration kSlowDownDefault = absl::Milliseconds(100);
constexpr char kHttpTime[] = "%a, %d %b %Y %H:%M:%S GMT";

bool IsWord(absl::string_view text) {
  return !text.empty() && text.size() <= kCodeBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-';
         });
}

// For an answer without a code, or with one that is not in the documents.
StatusCode MeaningOfStatus(const http::ClientResponse& response, bool has_code) {
  switch (response.status) {
    case 400:
      // Without a body it answers HEAD, in which nothing but the authorisation can be wrong (an
      // expired token, say).
      return response.body.empty() ? StatusCode::kPermissionDenied : StatusCode::kInvalidArgument;
    case 401:
    case 403:
      return StatusCode::kPermissionDenied;
    case 404:
      // An answer to HEAD has no body. A body that is no error of this dialect is somebody else's:
      // "not there" is not believed of a proxy.
      return has_code || response.body.empty() ? StatusCode::kNotFound
                                               : StatusCode::kFailedPrecondition;
    case 408:
    case 409:  // a conflict with somebody else's request at the same moment
    case 425:
    case 429:
    case 500:
    case 503:
      return StatusCode::kUnavailable;
    case 412:
      return StatusCode::kAlreadyExists;  // we send no other condition than create-only
    case 502:
    case 504:
      return StatusCode::kUnknown;  // a gateway lost the answer of who stands behind it
    case 507:
      return StatusCode::kResourceExhausted;
    default:
      break;
  }
  if (response.status / 100 == 3) return StatusCode::kFailedPrecondition;  // another place
  return response.status / 100 == 4 ? StatusCode::kInvalidArgument : StatusCode::kInternal;
}

// Zero: none, or one that cannot be read.
absl::Duration RetryAfterOf(const http::ClientResponse& response) {
  const std::string* after = response.Header("retry-after");
  if (after == nullptr) return absl::ZeroDuration();
  int64_t seconds = 0;
  if (absl::SimpleAtoi(*after, &seconds)) {
    return std::clamp(absl::Seconds(seconds), absl::ZeroDuration(), kRetryAfterMax);
  }
  // A date: counted from the answer's own, so that clocks do not matter.
  const std::string* date = response.Header("date");
  absl::Time until;
  absl::Time now;
  if (date == nullptr || !absl::ParseTime(kHttpTime, *after, &until, nullptr) ||
      !absl::ParseTime(kHttpTime, *date, &now, nullptr)) {
    return absl::ZeroDuration();
  }
  return std::clamp(until - now, absl::ZeroDuration(), kRetryAfterMax);
}

}  // namespace

std::string XmlErrorCode(const http::ClientResponse& response) {
  if (response.body.empty() || response.body.size() > kErrorBytesMax) return "";
  pugi::xml_document document;
  if (!document.load_buffer(response.body.data(), response.body.size())) return "";
  const absl::string_view code = document.child("Error").child("Code").text().get();
  return IsWord(code) ? std::string(code) : "";
}

absl::Status WithRetryAfterOf(absl::Status error, const http::ClientResponse& response,
                              bool slow_down) {
  absl::Duration after = RetryAfterOf(response);
  if (after == absl::ZeroDuration() && (slow_down || response.status == 429)) {
    after = kSlowDownDefault;
  }
  return after > absl::ZeroDuration() ? base::WithRetryAfter(std::move(error), after) : error;
}

std::string RequestText(const http::ClientResponse& response, const char* request_id_header) {
  const std::string* id = response.Header(request_id_header);
  return id != nullptr && IsWord(*id) ? absl::StrCat(" (request ", *id, ")") : "";
}

absl::Status XmlErrorOf(absl::string_view what, const http::ClientResponse& response,
                        std::span<const ErrorMeaning> meanings, const char* request_id_header) {
  const std::string code = XmlErrorCode(response);
  const auto known = std::find_if(meanings.begin(), meanings.end(),
                                  [&](const ErrorMeaning& row) { return row.code == code; });
  const StatusCode meaning =
      known != meanings.end() ? known->status : MeaningOfStatus(response, !code.empty());
  const std::string text = absl::StrCat(what, ": HTTP ", response.status, code.empty() ? "" : " ",
                                        code, RequestText(response, request_id_header));
  return WithRetryAfterOf(absl::Status(meaning, text), response,
                          known != meanings.end() && known->slow_down);
}

}  // namespace cedana::objstore
