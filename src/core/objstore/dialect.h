// How a provider is spoken to, and what its answers mean. Each dialect's documented codes are
// classified in one file (s3_error.cc, gcs_error.cc, azure_error.cc); whoever sends a signed
// request asks here.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/http/client.h"

namespace cedana::objstore {

// kDirectory: the service itself answers, in its own words (docs/http.md).
enum class Dialect { kDirectory, kS3, kGcs, kAzure };

// "directory", "s3", "gcs", "azure".
absl::string_view DialectName(Dialect dialect);
absl::StatusOr<Dialect> ParseDialect(absl::string_view name);

// The error that an answer outside 2xx stands for; `what` names the request without its query.
// Requires: not kDirectory.
//   throttled, transient  kUnavailable, with the answer's Retry-After (base/status.h); one that
//   asks
//                         to slow down has one always
//   denied                kPermissionDenied (also: expired grant, clock skew)
//   absent                kNotFound            full     kResourceExhausted
//   exists (create-only)  kAlreadyExists       corrupt  kDataLoss (the store refused a checksum)
//   outcome unknown       kUnknown
absl::Status ErrorOfAnswer(Dialect dialect, absl::string_view what,
                           const http::ClientResponse& response);

}  // namespace cedana::objstore
