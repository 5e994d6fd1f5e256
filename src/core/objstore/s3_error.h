// What an answer of S3, or of a server compatible with it, means: the one place that knows its
// codes.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/http/client.h"

namespace cedana::objstore {

// For an answer outside 2xx; codes as dialect.h says. `what` names the request without its query.
absl::Status S3ErrorOf(absl::string_view what, const http::ClientResponse& response);

}  // namespace cedana::objstore
