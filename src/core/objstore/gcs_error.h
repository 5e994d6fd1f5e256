// What an answer of Google Cloud Storage's XML interface means: the one place that knows its codes.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/http/client.h"

namespace cedana::objstore {

// For an answer outside 2xx; codes as dialect.h says. `what` names the request without its query.
absl::Status GcsErrorOf(absl::string_view what, const http::ClientResponse& response);

}  // namespace cedana::objstore
