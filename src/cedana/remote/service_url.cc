#include "cedana/remote/service_url.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace cedana::remote {
namespace {

struct Parts {
  std::string scheme;
  absl::string_view authority;
  absl::string_view host;  // with the brackets of an IPv6 address
};

absl::Status Bad(absl::string_view what, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(what, " ", why));
}

// 127.0.0.0/8 in full dotted form, ::1 or localhost. Not what a resolver says of other names.
bool IsLoopback(absl::string_view host) {
  if (host == "[::1]" || absl::EqualsIgnoreCase(host, "localhost")) return true;
  const std::vector<absl::string_view> numbers = absl::StrSplit(host, '.');
  if (numbers.size() != 4 || numbers[0] != "127") return false;
  return std::all_of(numbers.begin(), numbers.end(), [](absl::string_view number) {
    int value = -1;
    return std::all_of(number.begin(), number.end(), absl::ascii_isdigit) &&
           absl::SimpleAtoi(number, &value) && value <= 255;
  });
}

// `what` names the URL in errors, without its query.
absl::StatusOr<Parts> Split(absl::string_view what, absl::string_view url) {
  const size_t mark = url.find("://");
  if (mark == absl::string_view::npos) {
    return Bad(what, "must start with https:// (or http:// on loopback)");
  }
  Parts parts;
  parts.scheme = absl::AsciiStrToLower(url.substr(0, mark));
  absl::string_view rest = url.substr(mark + 3);
  parts.authority = rest.substr(0, rest.find_first_of("/?#"));
  if (parts.authority.find_first_of("@ \\") != absl::string_view::npos) {
    return Bad(what, "must hold no user name, password or space");
  }
  const size_t bracket = parts.authority.rfind(']');
  const size_t colon = parts.authority.rfind(':');
  const bool has_port =
      colon != absl::string_view::npos && (bracket == absl::string_view::npos || colon > bracket);
  parts.host = has_port ? parts.authority.substr(0, colon) : parts.authority;
  if (parts.host.empty()) return Bad(what, "names no host");
  if (has_port) {
    int port = 0;
    if (!absl::SimpleAtoi(parts.authority.substr(colon + 1), &port) || port < 1 || port > 65535) {
      return Bad(what, "has a port that is none");
    }
  }
  if (parts.scheme != "https" && parts.scheme != "http") {
    return Bad(what, "must start with https:// (or http:// on loopback)");
  }
  if (parts.scheme == "http" && !IsLoopback(parts.host)) {
    return Bad(what,
               "is plain http:// to another machine, which would show token and keys to the "
               "network: use https://");
  }
  return parts;
}

}  // namespace

absl::StatusOr<std::string> ParseServiceUrl(absl::string_view url) {
  url = absl::StripAsciiWhitespace(url);
  CEDANA_ASSIGN_OR_RETURN(
      const Parts parts,
      Split(absl::StrCat("connection.url (CEDANA_URL) \"", UrlForText(url), "\""), url));
  return absl::StrCat(parts.scheme, "://", absl::AsciiStrToLower(parts.authority));
}

absl::StatusOr<std::string> ResolveGrantUrl(absl::string_view origin, absl::string_view url) {
  if (absl::StartsWith(url, "/")) return absl::StrCat(origin, url);
  CEDANA_RETURN_IF_ERROR(Split(absl::StrCat("grant for ", UrlForText(url)), url).status());
  return std::string(url);
}

std::string UrlForText(absl::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const size_t mark = url.find("://");
  const size_t begin = mark == absl::string_view::npos ? 0 : mark + 3;
  const size_t slash = url.find('/', begin);
  const size_t at = url.substr(0, slash).rfind('@');
  if (at == absl::string_view::npos || at < begin) return std::string(url);
  return absl::StrCat(url.substr(0, begin), url.substr(at + 1));
}

}  // namespace cedana::remote
