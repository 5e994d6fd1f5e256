// Errors as Amazon's and Google's XML interfaces word them: <Error><Code>…</Code></Error>. The
// meaning of each code is in s3_error.cc and gcs_error.cc; here is what they share.
#pragma once

#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/http/client.h"

namespace cedana::objstore {

struct ErrorMeaning {
  absl::string_view code;
  absl::StatusCode status;
  bool slow_down = false;  // it asks for fewer requests
};

// The answer's code, else empty. Only what looks like a code: messages repeat what was signed.
std::string XmlErrorCode(const http::ClientResponse& response);

// " (request <id>)" by the answer's header of that name; empty without one that looks like an id.
std::string RequestText(const http::ClientResponse& response, const char* request_id_header);

// The error of an answer outside 2xx: by its code in `meanings`, else by its HTTP status. The text
// is `what`, the status, the code and the request's id at the provider, and nothing else of the
// answer. Retry-After is carried along.
absl::Status XmlErrorOf(absl::string_view what, const http::ClientResponse& response,
                        std::span<const ErrorMeaning> meanings, const char* request_id_header);

// The error with the answer's Retry-After (an hour at most). One that asks to slow down without
// saying for how long, by its code or by 429, has a tenth of a second.
absl::Status WithRetryAfterOf(absl::Status error, const http::ClientResponse& response,
                              bool slow_down);

}  // namespace cedana::objstore
