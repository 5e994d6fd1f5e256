// Which addresses secrets are sent to: tokens go along with every request and keys come back, so
// plain HTTP is accepted on loopback only.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cedana::http {

// Scheme, host and port of `url` ("http://127.0.0.1:7070"), in lower case. kInvalidArgument, in one
// line that begins with `what`: it is no such address, or plain HTTP to another machine.
absl::StatusOr<std::string> ServiceOrigin(absl::string_view what, absl::string_view url);

// Without query, user name and password, for texts.
std::string UrlForText(absl::string_view url);

}  // namespace cedana::http
