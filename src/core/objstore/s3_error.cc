#include "core/objstore/s3_error.h"

#include "core/objstore/xml_error.h"

namespace cedana::objstore {
namespace {

using absl::StatusCode;

// From Amazon's list of error codes, and those of compatible servers where they have words of their
// own.
constexpr ErrorMeaning kMeanings[] = {
    // Throttled or transient.
    {"SlowDown", StatusCode::kUnavailable, true},
    {"SlowDownRead", StatusCode::kUnavailable, true},   // MinIO
    {"SlowDownWrite", StatusCode::kUnavailable, true},  // MinIO
    {"ServiceUnavailable", StatusCode::kUnavailable},
    {"ServerBusy", StatusCode::kUnavailable, true},
    {"Busy", StatusCode::kUnavailable, true},
    {"Throttling", StatusCode::kUnavailable, true},
    {"ThrottlingException", StatusCode::kUnavailable, true},
    {"RequestLimitExceeded", StatusCode::kUnavailable, true},
    {"BandwidthLimitExceeded", StatusCode::kUnavailable, true},
    // "Might not have been processed": a repeat is safe, since uploads are create-only.
    {"InternalError", StatusCode::kUnavailable},
    // The server did not get the body in time; nothing is stored.
    {"RequestTimeout", StatusCode::kUnavailable},
    {"IncompleteBody", StatusCode::kUnavailable},
    // Two creators at once: who repeats learns who won.
    {"ConditionalRequestConflict", StatusCode::kUnavailable},
    {"OperationAborted", StatusCode::kUnavailable},

    {"AccessDenied", StatusCode::kPermissionDenied},  // an expired grant as well
    {"AccountProblem", StatusCode::kPermissionDenied},
    {"AllAccessDisabled", StatusCode::kPermissionDenied},
    {"ExpiredToken", StatusCode::kPermissionDenied},
    {"InvalidAccessKeyId", StatusCode::kPermissionDenied},
    {"InvalidObjectState", StatusCode::kPermissionDenied},  // archived: cannot be read now
    {"InvalidSecurity", StatusCode::kPermissionDenied},
    {"InvalidToken", StatusCode::kPermissionDenied},
    {"MissingSecurityHeader", StatusCode::kPermissionDenied},
    {"NotSignedUp", StatusCode::kPermissionDenied},
    {"RequestExpired", StatusCode::kPermissionDenied},
    {"RequestTimeTooSkewed", StatusCode::kPermissionDenied},
    {"SignatureDoesNotMatch", StatusCode::kPermissionDenied},
    {"TokenRefreshRequired", StatusCode::kPermissionDenied},
    {"UnauthorizedAccess", StatusCode::kPermissionDenied},
    {"AuthorizationQueryParametersError", StatusCode::kPermissionDenied},

    {"NoSuchKey", StatusCode::kNotFound},
    {"NoSuchVersion", StatusCode::kNotFound},

    {"PreconditionFailed", StatusCode::kAlreadyExists},

    {"QuotaExceeded", StatusCode::kResourceExhausted},      // Ceph and others
    {"XMinioStorageFull", StatusCode::kResourceExhausted},  // MinIO
    {"XMinioAdminBucketQuotaExceeded", StatusCode::kResourceExhausted},
    {"StorageFull", StatusCode::kResourceExhausted},
    {"InsufficientCapacity", StatusCode::kResourceExhausted},
    {"ServiceQuotaExceededException", StatusCode::kResourceExhausted},

    {"BadDigest", StatusCode::kDataLoss},
    {"InvalidDigest", StatusCode::kDataLoss},
    {"XAmzContentSHA256Mismatch", StatusCode::kDataLoss},
    {"XAmzContentChecksumMismatch", StatusCode::kDataLoss},

    // The set-up is wrong; no object is there or not there because of it.
    {"NoSuchBucket", StatusCode::kFailedPrecondition},
    {"AuthorizationHeaderMalformed", StatusCode::kFailedPrecondition},  // another region
    {"PermanentRedirect", StatusCode::kFailedPrecondition},
    {"TemporaryRedirect", StatusCode::kUnavailable},
    {"IllegalLocationConstraintException", StatusCode::kFailedPrecondition},
    {"NotImplemented", StatusCode::kUnimplemented},
};

}  // namespace

absl::Status S3ErrorOf(absl::string_view what, const http::ClientResponse& response) {
  return XmlErrorOf(what, response, kMeanings, "x-amz-request-id");
}

}  // namespace cedana::objstore
