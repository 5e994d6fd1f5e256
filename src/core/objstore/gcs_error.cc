#include "core/objstore/gcs_error.h"

#include "core/objstore/xml_error.h"

namespace cedana::objstore {
namespace {

using absl::StatusCode;

// From Google's "HTTP status and error codes for XML".
constexpr ErrorMeaning kMeanings[] = {
    {"SlowDown", StatusCode::kUnavailable, true},
    {"ServiceUnavailable", StatusCode::kUnavailable},
    {"InternalError", StatusCode::kUnavailable},
    {"RateLimitExceeded", StatusCode::kUnavailable, true},
    {"RequestTimeout", StatusCode::kUnavailable},
    {"IncompleteBody", StatusCode::kUnavailable},
    {"OperationAborted", StatusCode::kUnavailable},

    {"AccessDenied", StatusCode::kPermissionDenied},
    {"AccountProblem", StatusCode::kPermissionDenied},
    {"AuthenticationRequired", StatusCode::kPermissionDenied},
    {"ExpiredToken", StatusCode::kPermissionDenied},  // an expired signed URL as well
    {"InvalidAccessKeyId", StatusCode::kPermissionDenied},
    {"InvalidSecurity", StatusCode::kPermissionDenied},
    {"InvalidToken", StatusCode::kPermissionDenied},
    {"MissingSecurityHeader", StatusCode::kPermissionDenied},
    {"NotSignedUp", StatusCode::kPermissionDenied},
    {"RequestTimeTooSkewed", StatusCode::kPermissionDenied},
    {"SignatureDoesNotMatch", StatusCode::kPermissionDenied},
    {"TokenRefreshRequired", StatusCode::kPermissionDenied},
    {"UserProjectAccountProblem", StatusCode::kPermissionDenied},

    {"NoSuchKey", StatusCode::kNotFound},
    {"NoSuchVersion", StatusCode::kNotFound},

    {"PreconditionFailed", StatusCode::kAlreadyExists},

    {"QuotaExceeded", StatusCode::kResourceExhausted},
    {"InsufficientQuota", StatusCode::kResourceExhausted},

    {"BadDigest", StatusCode::kDataLoss},
    {"CrcMismatch", StatusCode::kDataLoss},
    {"InvalidDigest", StatusCode::kDataLoss},
    {"XAmzContentSHA256Mismatch", StatusCode::kDataLoss},

    {"NoSuchBucket", StatusCode::kFailedPrecondition},
    {"NotImplemented", StatusCode::kUnimplemented},
};

}  // namespace

absl::Status GcsErrorOf(absl::string_view what, const http::ClientResponse& response) {
  return XmlErrorOf(what, response, kMeanings, "x-guploader-uploadid");
}

}  // namespace cedana::objstore
