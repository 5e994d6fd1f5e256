// What an answer of Azure Blob Storage means: the one place that knows its error codes.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/http/client.h"

namespace cedana::objstore {

// For an answer outside 2xx; codes as dialect.h says. `what` names the request without its query.
// The text names the status and the service's code, never its message: that repeats what was
// signed.
absl::Status AzureErrorOf(absl::string_view what, const http::ClientResponse& response);

// The service's code ("BlobNotFound"), from the header or the body; empty when there is none.
std::string AzureCodeOf(const http::ClientResponse& response);

}  // namespace cedana::objstore
