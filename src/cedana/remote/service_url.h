// Which addresses we talk to. Keys travel in answers and a token in every request, so plain HTTP is
// accepted on loopback only.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cedana::remote {

// "http://127.0.0.1:7070" of connection.url: scheme, host and port only; a path such as "/v1" is
// ignored. kInvalidArgument: one line that says what is wrong with it.
absl::StatusOr<std::string> ParseServiceUrl(absl::string_view url);

// The whole address of a grant: absolute, or a path at `origin`. The same rule holds for it.
absl::StatusOr<std::string> ResolveGrantUrl(absl::string_view origin, absl::string_view url);

// Without query, for texts: a grant's authorisation is in its query.
std::string UrlForText(absl::string_view url);

}  // namespace cedana::remote
