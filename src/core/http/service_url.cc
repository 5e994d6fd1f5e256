#include "core/http/service_url.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace cedana::http {
namespace {

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

}  // namespace

absl::StatusOr<std::string> ServiceOrigin(absl::string_view what, absl::string_view url) {
  const size_t mark = url.find("://");
  if (mark == absl::string_view::npos) {
    return Bad(what, "must start with https:// (or http:// on loopback)");
  }
  const std::string scheme = absl::AsciiStrToLower(url.substr(0, mark));
  const absl::string_view rest = url.substr(mark + 3);
  const absl::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.find_first_of("@ \\") != absl::string_view::npos) {
    return Bad(what, "must hold no user name, password or space");
  }
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.rfind(':');
  const bool has_port =
      colon != absl::string_view::npos && (bracket == absl::string_view::npos || colon > bracket);
  // With the brackets of an IPv6 address.
  const absl::string_view host = has_port ? authority.substr(0, colon) : authority;
  if (host.empty()) return Bad(what, "names no host");
  if (has_port) {
    int port = 0;
    if (!absl::SimpleAtoi(authority.substr(colon + 1), &port) || port < 1 || port > 65535) {
      return Bad(what, "has a port that is none");
    }
  }
  if (scheme != "https" && scheme != "http") {
    return Bad(what, "must start with https:// (or http:// on loopback)");
  }
  if (scheme == "http" && !IsLoopback(host)) {
    return Bad(what,
               "is plain http:// to another machine, which would show token and keys to the "
               "network: use https://");
  }
  return absl::StrCat(scheme, "://", absl::AsciiStrToLower(authority));
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

}  // namespace cedana::http
