#include "cedana/remote/service_url.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/http/service_url.h"

namespace cedana::remote {

absl::StatusOr<std::string> ParseServiceUrl(absl::string_view url) {
  url = absl::StripAsciiWhitespace(url);
  return http::ServiceOrigin(absl::StrCat("connection.url (CEDANA_URL) \"", UrlForText(url), "\""),
                             url);
}

absl::StatusOr<std::string> ResolveGrantUrl(absl::string_view origin, absl::string_view url) {
  if (absl::StartsWith(url, "/")) return absl::StrCat(origin, url);
  CEDANA_RETURN_IF_ERROR(
      http::ServiceOrigin(absl::StrCat("grant for ", UrlForText(url)), url).status());
  return std::string(url);
}

std::string UrlForText(absl::string_view url) { return http::UrlForText(url); }

}  // namespace cedana::remote
