#include "core/objstore/azure_auth.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace cedana::objstore {
namespace {

constexpr char kDateFormat[] = "%a, %d %b %E4Y %H:%M:%S GMT";
constexpr char kSasTimeFormat[] = "%E4Y-%m-%dT%H:%M:%SZ";

// The headers that stand in the text by value, one a line, in this order.
constexpr const char* kStandardHeaders[] = {"content-encoding",
                                            "content-language",
                                            "content-length",
                                            "content-md5",
                                            "content-type",
                                            "date",
                                            "if-modified-since",
                                            "if-match",
                                            "if-none-match",
                                            "if-unmodified-since",
                                            "range"};

std::string Signature(const AzureAccount& account, absl::string_view text) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), account.key.data(), static_cast<int>(account.key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  return absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(mac), size));
}

std::map<std::string, std::string> ByLowerName(const http::Headers& headers) {
  std::map<std::string, std::string> sorted;
  for (const auto& [name, value] : headers) {
    sorted[absl::AsciiStrToLower(name)] = std::string(absl::StripAsciiWhitespace(value));
  }
  return sorted;
}

std::string SasExpiry(const BlobSas& sas) {
  return absl::FormatTime(kSasTimeFormat, sas.expires, absl::UTCTimeZone());
}

}  // namespace

absl::StatusOr<AzureAccount> AzureAccount::Parse(absl::string_view name,
                                                 absl::string_view base64_key) {
  AzureAccount account{.name = std::string(name)};
  if (name.empty() || !std::all_of(name.begin(), name.end(), absl::ascii_isalnum)) {
    return absl::InvalidArgumentError("azure: the account's name is letters and digits");
  }
  if (!absl::Base64Unescape(absl::StripAsciiWhitespace(base64_key), &account.key) ||
      account.key.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("azure: the key of ", name, " is not base64"));
  }
  return account;
}

std::string SharedKeyText(absl::string_view account, const AzureRequest& request) {
  const std::map<std::string, std::string> headers = ByLowerName(request.headers);
  std::string text = absl::StrCat(request.method, "\n");
  for (const char* name : kStandardHeaders) {
    const auto found = headers.find(name);
    absl::StrAppend(&text, found == headers.end() ? "" : found->second, "\n");
  }
  for (const auto& [name, value] : headers) {
    if (absl::StartsWith(name, "x-ms-")) absl::StrAppend(&text, name, ":", value, "\n");
  }
  absl::StrAppend(&text, "/", account, request.path);
  std::map<std::string, std::vector<std::string>> query;
  for (const auto& [name, value] : request.query) {
    query[absl::AsciiStrToLower(name)].push_back(value);
  }
  for (auto& [name, values] : query) {
    std::sort(values.begin(), values.end());
    absl::StrAppend(&text, "\n", name, ":", absl::StrJoin(values, ","));
  }
  return text;
}

std::string SharedKeyAuthorization(const AzureAccount& account, const AzureRequest& request) {
  return absl::StrCat("SharedKey ", account.name, ":",
                      Signature(account, SharedKeyText(account.name, request)));
}

std::string BlobSasText(absl::string_view account, const BlobSas& sas) {
  return absl::StrCat(sas.permissions, "\n",
                      "\n",                  // start: at once, so that a slow clock refuses nobody
                      SasExpiry(sas), "\n",  //
                      "/blob/", account, "/", sas.container, "/", sas.blob, "\n",
                      "\n",                                 // stored policy
                      "\n",                                 // addresses
                      sas.https_only ? "https" : "", "\n",  //
                      kAzureVersion, "\n",                  //
                      "b\n",
                      "\n",         // snapshot
                      "\n",         // encryption scope
                      "\n\n\n\n");  // headers of the answer: five lines, the last without an end
}

std::string BlobSasQuery(const AzureAccount& account, const BlobSas& sas) {
  return absl::StrCat(
      "sv=", kAzureVersion, "&sr=b&sp=", sas.permissions,
      "&se=", http::PercentEncode(SasExpiry(sas)), sas.https_only ? "&spr=https" : "",
      "&sig=", http::PercentEncode(Signature(account, BlobSasText(account.name, sas))));
}

std::string AzureDate(absl::Time time) {
  return absl::FormatTime(kDateFormat, time, absl::UTCTimeZone());
}

absl::StatusOr<absl::Time> ParseAzureDate(absl::string_view text) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(kDateFormat, text, absl::UTCTimeZone(), &time, &error)) {
    return absl::InvalidArgumentError(absl::StrCat("not a date of HTTP: ", error));
  }
  return time;
}

std::string ContentMd5(absl::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_md5(), nullptr);
  return absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

}  // namespace cedana::objstore
