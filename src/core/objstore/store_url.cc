#include "core/objstore/store_url.h"

#include <filesystem>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/http/client.h"

namespace cedana::objstore {
namespace {

constexpr size_t kPrefixBytesMax = 512;  // + '/' + 256 of a key: below the clouds' 1024
constexpr size_t kBucketBytesMax = 222;  // Google's, with dots; the others stop at 63

absl::Status Bad(absl::string_view text) { return absl::InvalidArgumentError(text); }

// What needs no percent-encoding anywhere, so that no two servers disagree about a signature.
bool IsPlain(char c) {
  return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

absl::Status CheckBucket(absl::string_view bucket) {
  if (bucket.empty()) return Bad("storage URL without a bucket");
  if (bucket.size() > kBucketBytesMax) return Bad("storage URL with an over-long bucket name");
  for (const char c : bucket) {
    if (c == '@' || c == ':') {
      return Bad(
          "storage URL with a user or password: credentials come from a file or the "
          "environment");
    }
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '-' && c != '.' && c != '_') {
      return Bad("bucket names have only a-z, 0-9, '-', '.' and '_'");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPrefix(absl::string_view prefix) {
  if (prefix.empty()) return absl::OkStatus();
  if (prefix.size() > kPrefixBytesMax) return Bad("storage URL with an over-long prefix");
  for (const absl::string_view segment : absl::StrSplit(prefix, '/')) {
    if (segment.empty() || segment == "." || segment == "..") {
      return Bad("prefix with an empty, '.' or '..' segment");
    }
    for (const char c : segment) {
      if (!IsPlain(c)) return Bad("prefixes have only letters, digits, '-', '.', '_', '~' and '/'");
    }
  }
  return absl::OkStatus();
}

// "http[s]://host[:port][/path]", without user, query or a '/' at its end.
absl::Status CheckEndpoint(absl::string_view endpoint) {
  absl::string_view rest = endpoint;
  if (!absl::ConsumePrefix(&rest, "https://") && !absl::ConsumePrefix(&rest, "http://")) {
    return Bad("endpoint= must start with https:// or http://");
  }
  if (rest.find('@') != absl::string_view::npos) return Bad("endpoint= with a user or password");
  if (rest.empty() || rest[0] == '/' || rest[0] == ':') return Bad("endpoint= without a host");
  for (const char c : rest) {
    if (!IsPlain(c) && c != ':' && c != '/' && c != '[' && c != ']') {
      return Bad("endpoint= is a scheme, a host, a port and perhaps a path, no more");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckWord(absl::string_view name, absl::string_view value) {
  if (value.empty() || value.size() > 128) return Bad(absl::StrCat(name, "= is empty or too long"));
  for (const char c : value) {
    if (!IsPlain(c) && c != ':' && c != '/') {
      return Bad(absl::StrCat(name, "= has a forbidden character"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ParseYes(absl::string_view name, absl::string_view value) {
  if (value == "yes") return true;
  if (value == "no") return false;
  return Bad(absl::StrCat(name, "= is yes or no"));
}

// Which parameters a dialect knows.
const std::set<absl::string_view>& ParametersOf(Dialect dialect) {
  static const std::set<absl::string_view> kDirectory = {"domain"};
  static const std::set<absl::string_view> kS3 = {"region", "endpoint",    "domain",  "credentials",
                                                  "style",  "conditional", "checksum"};
  static const std::set<absl::string_view> kGcs = {"endpoint", "domain", "credentials"};
  static const std::set<absl::string_view> kAzure = {"account", "endpoint", "domain",
                                                     "credentials"};
  switch (dialect) {
    case Dialect::kDirectory:
      return kDirectory;
    case Dialect::kS3:
      return kS3;
    case Dialect::kGcs:
      return kGcs;
    case Dialect::kAzure:
      return kAzure;
  }
  return kDirectory;
}

// Names under which people try to pass a secret. Any unknown parameter is refused; these get told
// why.
bool LooksSecret(absl::string_view name) {
  const std::string lower = absl::AsciiStrToLower(name);
  for (const absl::string_view part :
       {"key", "secret", "token", "password", "sas", "sig", "credential"}) {
    if (absl::StrContains(lower, part)) return true;
  }
  return false;
}

absl::Status SetParameter(StoreUrl& url, absl::string_view name, const std::string& value) {
  if (!ParametersOf(url.dialect).contains(name)) {
    if (LooksSecret(name)) {
      return Bad(
          "storage URL with a secret in it: credentials come from a file (credentials=) or "
          "the environment");
    }
    return Bad(absl::StrCat("unknown parameter in a ", DialectName(url.dialect),
                            " URL; known: ", absl::StrJoin(ParametersOf(url.dialect), ", ")));
  }
  if (name == "credentials") {
    if (value.empty() || value[0] != '/') return Bad("credentials= must be an absolute path");
    url.credentials_file = value;
    return absl::OkStatus();
  }
  if (name == "endpoint") {
    url.endpoint = value;
    while (absl::EndsWith(url.endpoint, "/")) url.endpoint.pop_back();
    return CheckEndpoint(url.endpoint);
  }
  if (name == "style") {
    if (value != "path" && value != "virtual") return Bad("style= is path or virtual");
    url.virtual_host = value == "virtual";
    return absl::OkStatus();
  }
  if (name == "conditional") {
    CEDANA_ASSIGN_OR_RETURN(url.conditional_writes, ParseYes(name, value));
    return absl::OkStatus();
  }
  if (name == "checksum") {
    CEDANA_ASSIGN_OR_RETURN(url.checksums, ParseYes(name, value));
    return absl::OkStatus();
  }
  CEDANA_RETURN_IF_ERROR(CheckWord(name, value));
  if (name == "region") url.region = value;
  if (name == "account") url.account = value;
  if (name == "domain") url.domain = value;
  return absl::OkStatus();
}

absl::Status SetParameters(StoreUrl& url, absl::string_view query) {
  bool style_given = false;
  std::set<std::string> seen;
  for (const absl::string_view pair : absl::StrSplit(query, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    if (!seen.insert(std::string(parts.first)).second) {
      return Bad("storage URL with a parameter given twice");
    }
    CEDANA_ASSIGN_OR_RETURN(const std::string value, http::PercentDecode(parts.second));
    CEDANA_RETURN_IF_ERROR(SetParameter(url, parts.first, value));
    style_given = style_given || parts.first == "style";
  }
  if (url.dialect != Dialect::kS3) return absl::OkStatus();
  // The cloud itself retires path style; other servers seldom have a name for each bucket. A dot in
  // the bucket would not match the certificate's wildcard.
  if (!style_given) {
    url.virtual_host = url.endpoint.empty() && !absl::StrContains(url.bucket, ".");
  }
  return absl::OkStatus();
}

absl::StatusOr<StoreUrl> ParseDirectory(absl::string_view path, absl::string_view query) {
  StoreUrl url;
  CEDANA_ASSIGN_OR_RETURN(const std::string decoded, http::PercentDecode(path));
  if (decoded.empty() || decoded[0] != '/') {
    return Bad("file URL needs an absolute path: file:///path");
  }
  if (decoded.find('\0') != std::string::npos) return Bad("file URL with a NUL byte");
  url.path = std::filesystem::path(decoded).lexically_normal().string();
  while (url.path.size() > 1 && url.path.back() == '/') url.path.pop_back();
  CEDANA_RETURN_IF_ERROR(SetParameters(url, query));
  return url;
}

absl::StatusOr<Dialect> DialectOfScheme(absl::string_view scheme) {
  if (scheme == "file") return Dialect::kDirectory;
  if (scheme == "s3") return Dialect::kS3;
  if (scheme == "gcs" || scheme == "gs") return Dialect::kGcs;
  if (scheme == "azure") return Dialect::kAzure;
  return Bad("storage URLs start with file://, s3://, gcs:// or azure://");
}

}  // namespace

absl::StatusOr<StoreUrl> StoreUrl::Parse(absl::string_view text) {
  const size_t colon = text.find("://");
  if (colon == absl::string_view::npos) {
    return Bad("storage URLs start with file://, s3://, gcs:// or azure://");
  }
  CEDANA_ASSIGN_OR_RETURN(const Dialect dialect, DialectOfScheme(text.substr(0, colon)));
  absl::string_view rest = text.substr(colon + 3);
  if (rest.find('#') != absl::string_view::npos) return Bad("storage URL with a '#'");
  const size_t mark = rest.find('?');
  const absl::string_view query =
      mark == absl::string_view::npos ? absl::string_view() : rest.substr(mark + 1);
  rest = rest.substr(0, mark);
  if (dialect == Dialect::kDirectory) return ParseDirectory(rest, query);

  StoreUrl url;
  url.dialect = dialect;
  const size_t slash = rest.find('/');
  url.bucket = std::string(rest.substr(0, slash));
  CEDANA_RETURN_IF_ERROR(CheckBucket(url.bucket));
  if (slash != absl::string_view::npos) {
    url.prefix = std::string(rest.substr(slash + 1));
    while (absl::EndsWith(url.prefix, "/")) url.prefix.pop_back();
  }
  CEDANA_RETURN_IF_ERROR(CheckPrefix(url.prefix));
  CEDANA_RETURN_IF_ERROR(SetParameters(url, query));
  return url;
}

std::string StoreUrl::ToString() const {
  std::string text;
  std::vector<std::string> parameters;
  const auto add = [&](absl::string_view name, absl::string_view value) {
    if (!value.empty()) parameters.push_back(absl::StrCat(name, "=", http::PercentEncode(value)));
  };
  if (dialect == Dialect::kDirectory) {
    text = "file://";
    for (const absl::string_view segment : absl::StrSplit(path, '/', absl::SkipEmpty())) {
      absl::StrAppend(&text, "/", http::PercentEncode(segment));
    }
    if (path == "/") text += "/";
  } else {
    text = absl::StrCat(DialectName(dialect), "://", bucket, prefix.empty() ? "" : "/", prefix);
  }
  if (dialect == Dialect::kS3) add("region", region);
  add("account", account);
  add("endpoint", endpoint);
  add("domain", domain);
  add("credentials", credentials_file);
  if (dialect == Dialect::kS3) {
    add("style", virtual_host ? "virtual" : "path");
    if (!conditional_writes) add("conditional", "no");
    if (!checksums) add("checksum", "no");
  }
  if (!parameters.empty()) absl::StrAppend(&text, "?", absl::StrJoin(parameters, "&"));
  return text;
}

std::string StoreUrl::EndpointUrl() const {
  if (!endpoint.empty()) return endpoint;
  if (dialect == Dialect::kS3) return absl::StrCat("https://s3.", region, ".amazonaws.com");
  if (dialect == Dialect::kGcs) return "https://storage.googleapis.com";
  return absl::StrCat("https://", account, ".blob.core.windows.net");
}

std::string StoreUrl::FailureDomain() const {
  if (!domain.empty()) return domain;
  if (dialect == Dialect::kDirectory) return absl::StrCat("file:", path);
  const std::string url = EndpointUrl();
  const absl::string_view host = absl::string_view(url).substr(url.find("://") + 3);
  return absl::StrCat(DialectName(dialect), ":", host.substr(0, host.find('/')));
}

std::string StoreUrl::ObjectName(absl::string_view key) const {
  return prefix.empty() ? std::string(key) : absl::StrCat(prefix, "/", key);
}

}  // namespace cedana::objstore
