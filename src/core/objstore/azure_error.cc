#include "core/objstore/azure_error.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/objstore/xml_error.h"

namespace cedana::objstore {
namespace {

using absl::StatusCode;

constexpr size_t kCodeBytesMax = 64;

// From the service's lists of common and of blob error codes.
constexpr ErrorMeaning kMeanings[] = {
    {"ServerBusy", StatusCode::kUnavailable, true},
    {"TooManyRequests", StatusCode::kUnavailable, true},
    {"InternalError", StatusCode::kUnavailable},
    {"AccountBeingCreated", StatusCode::kUnavailable},
    // Documented: may or may not have been done.
    {"OperationTimedOut", StatusCode::kUnknown},

    {"BlobAlreadyExists", StatusCode::kAlreadyExists},
    {"ConditionNotMet", StatusCode::kAlreadyExists},  // we send no other than If-None-Match: *
    {"TargetConditionNotMet", StatusCode::kAlreadyExists},
    // A grant may create but not overwrite, and the right is checked before the condition.
    {"UnauthorizedBlobOverwrite", StatusCode::kAlreadyExists},

    {"BlobNotFound", StatusCode::kNotFound},
    {"ResourceNotFound", StatusCode::kNotFound},
    {"ContainerNotFound", StatusCode::kFailedPrecondition},  // set up wrongly, not "no such blob"

    {"Md5Mismatch", StatusCode::kDataLoss},
    {"Crc64Mismatch", StatusCode::kDataLoss},

    {"AuthenticationFailed", StatusCode::kPermissionDenied},
    {"InvalidAuthenticationInfo", StatusCode::kPermissionDenied},
    {"NoAuthenticationInformation", StatusCode::kPermissionDenied},
    {"AccountIsDisabled", StatusCode::kPermissionDenied},
    {"InsufficientAccountPermissions", StatusCode::kPermissionDenied},
    {"KeyBasedAuthenticationNotPermitted", StatusCode::kPermissionDenied},
};

StatusCode MeaningOfStatus(int status, bool has_code) {
  switch (status) {
    case 401:
    case 403:
      return StatusCode::kPermissionDenied;
    case 404:
      // "Not there" is believed only from who speaks this dialect.
      return has_code ? StatusCode::kNotFound : StatusCode::kFailedPrecondition;
    case 408:
    case 429:
    case 500:
    case 503:
      return StatusCode::kUnavailable;
    case 409:
      return StatusCode::kFailedPrecondition;
    case 412:
      return has_code ? StatusCode::kFailedPrecondition : StatusCode::kAlreadyExists;
    case 502:
    case 504:
      return StatusCode::kUnknown;  // a gateway lost the answer of who stands behind it
    case 507:
      return StatusCode::kResourceExhausted;
    default:
      return status / 100 == 4 ? StatusCode::kInvalidArgument : StatusCode::kInternal;
  }
}

bool IsCode(absl::string_view text) {
  return !text.empty() && text.size() <= kCodeBytesMax &&
         std::all_of(text.begin(), text.end(), absl::ascii_isalnum);
}

}  // namespace

std::string AzureCodeOf(const http::ClientResponse& response) {
  if (const std::string* code = response.Header("x-ms-error-code"); code && IsCode(*code)) {
    return *code;
  }
  return XmlErrorCode(response);
}

absl::Status AzureErrorOf(absl::string_view what, const http::ClientResponse& response) {
  const std::string code = AzureCodeOf(response);
  const auto* const known = std::find_if(std::begin(kMeanings), std::end(kMeanings),
                                         [&](const ErrorMeaning& row) { return row.code == code; });
  const StatusCode meaning = known != std::end(kMeanings)
                                 ? known->status
                                 : MeaningOfStatus(response.status, !code.empty());
  const std::string text = absl::StrCat(what, ": HTTP ", response.status, code.empty() ? "" : " ",
                                        code, RequestText(response, "x-ms-request-id"));
  return WithRetryAfterOf(absl::Status(meaning, text), response,
                          known != std::end(kMeanings) && known->slow_down);
}

}  // namespace cedana::objstore
