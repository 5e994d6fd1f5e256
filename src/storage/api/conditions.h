// Conditional requests (RFC 9110, section 13) over one entity tag. Dates are never sent, so a
// condition that names one does not hold.
#pragma once

#include <string>

#include "core/http/server.h"

namespace cedana::api {

enum class Verdict {
  kServe,        // with the range that was asked for
  kServeWhole,   // If-Range names another version: a range of this one would not fit
  kNotModified,  // 304
  kFailed,       // 412: If-Match names another version
};

// `etag` as it is sent, with its quotes: "\"abc\"" or "W/\"abc\"".
Verdict JudgeConditions(const http::ServerRequest& request, const std::string& etag);

}  // namespace cedana::api
