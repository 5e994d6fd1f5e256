#include "core/objstore/testing/v4_check.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace cedana::objstore {
namespace {

constexpr absl::Duration kSkewMax = absl::Minutes(15);
constexpr int64_t kLifetimeMaxSeconds = int64_t{7} * 24 * 3600;

const V4Refusal kMismatch = {403, "SignatureDoesNotMatch"};

// What a request claims, wherever it stands.
struct Claim {
  std::string credential;
  std::string stamp;
  std::string signed_headers;
  std::string signature;
  std::string token;
  std::string payload;
  std::optional<int64_t> lifetime_seconds;  // in the query only
};

std::string Find(const http::Headers& pairs, absl::string_view name) {
  for (const auto& [key, value] : pairs) {
    if (absl::EqualsIgnoreCase(key, name)) return value;
  }
  return "";
}

std::string HashHex(absl::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), out, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString({reinterpret_cast<const char*>(out), size});
}

std::optional<Claim> ClaimInQuery(const V4Account& account, const http::ServerRequest& request) {
  const auto parameter = [&](absl::string_view name) {
    return Find(request.query, absl::StrCat(account.prefix, name));
  };
  if (parameter("algorithm") != account.algorithm) return std::nullopt;
  Claim claim{.credential = parameter("credential"),
              .stamp = parameter("date"),
              .signed_headers = parameter("signedheaders"),
              .signature = parameter("signature"),
              .token = parameter("security-token"),
              .payload = "UNSIGNED-PAYLOAD"};
  int64_t seconds = 0;
  claim.lifetime_seconds =
      absl::SimpleAtoi(parameter("expires"), &seconds) ? seconds : kLifetimeMaxSeconds + 1;
  return claim;
}

std::optional<Claim> ClaimInHeaders(const V4Account& account, const http::ServerRequest& request) {
  const std::string whole = Find(request.headers, "authorization");
  absl::string_view text = whole;
  if (!absl::ConsumePrefix(&text, account.algorithm)) return std::nullopt;
  Claim claim{.stamp = Find(request.headers, account.prefix + "date"),
              .token = Find(request.headers, account.prefix + "security-token"),
              .payload = Find(request.headers, account.prefix + "content-sha256")};
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    part = absl::StripAsciiWhitespace(part);
    if (absl::ConsumePrefix(&part, "Credential=")) claim.credential = std::string(part);
    if (absl::ConsumePrefix(&part, "SignedHeaders=")) claim.signed_headers = std::string(part);
    if (absl::ConsumePrefix(&part, "Signature=")) claim.signature = std::string(part);
  }
  return claim;
}

// The query as it was sent, without the signature, sorted.
std::string SortedQuery(const V4Account& account, absl::string_view target) {
  const size_t mark = target.find('?');
  if (mark == absl::string_view::npos) return "";
  std::vector<std::string> pairs;
  for (const absl::string_view pair : absl::StrSplit(target.substr(mark + 1), '&')) {
    if (absl::StartsWithIgnoreCase(pair, absl::StrCat(account.prefix, "signature="))) continue;
    pairs.push_back(absl::StrContains(pair, '=') ? std::string(pair) : absl::StrCat(pair, "="));
  }
  std::sort(pairs.begin(), pairs.end(), [](const std::string& a, const std::string& b) {
    return std::make_pair(a.substr(0, a.find('=')), a) <
           std::make_pair(b.substr(0, b.find('=')), b);
  });
  return absl::StrJoin(pairs, "&");
}

// "name:value" lines; several headers of one name become one.
std::string HeaderLines(const http::ServerRequest& request, const std::vector<std::string>& names) {
  std::string lines;
  for (const std::string& name : names) {
    std::vector<std::string> values;
    for (const auto& [key, value] : request.headers) {
      if (key != name) continue;
      std::string flat(absl::StripAsciiWhitespace(value));
      absl::RemoveExtraAsciiWhitespace(&flat);
      values.push_back(flat);
    }
    absl::StrAppend(&lines, name, ":", absl::StrJoin(values, ","), "\n");
  }
  return lines;
}

std::optional<V4Refusal> CheckTime(const V4Account& account, const Claim& claim, absl::Time now) {
  absl::Time stamp;
  if (!absl::ParseTime("%E4Y%m%dT%H%M%SZ", claim.stamp, &stamp, nullptr)) {
    return V4Refusal{403, "AccessDenied"};
  }
  if (!claim.lifetime_seconds) {
    if (absl::AbsDuration(now - stamp) > kSkewMax) return V4Refusal{403, "RequestTimeTooSkewed"};
    return std::nullopt;
  }
  if (*claim.lifetime_seconds < 1 || *claim.lifetime_seconds > kLifetimeMaxSeconds) {
    return V4Refusal{400, "AuthorizationQueryParametersError"};
  }
  if (stamp > now + kSkewMax) return V4Refusal{403, "AccessDenied"};
  if (now > stamp + absl::Seconds(*claim.lifetime_seconds)) {
    return V4Refusal{account.expired_status, account.expired_code};
  }
  return std::nullopt;
}

// Whatever the cloud acts upon must be signed.
std::optional<V4Refusal> CheckSignedHeaders(const V4Account& account,
                                            const http::ServerRequest& request,
                                            const std::vector<std::string>& names) {
  const auto is_signed = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (!is_signed("host")) return V4Refusal{403, "AccessDenied"};
  for (const auto& [name, value] : request.headers) {
    if (absl::StartsWith(name, account.prefix) && !is_signed(name)) {
      return V4Refusal{403, "AccessDenied"};
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<V4Refusal> CheckV4(const V4Account& account, const http::ServerRequest& request,
                                 absl::Time now) {
  std::optional<Claim> claim = ClaimInQuery(account, request);
  if (!claim && account.allows_headers) claim = ClaimInHeaders(account, request);
  if (!claim) return V4Refusal{403, "AccessDenied"};
  // Not at the first '/': a service account's address has none, but who knows.
  const std::string scope = absl::StrCat("/", claim->stamp.substr(0, 8), account.scope_rest);
  absl::string_view key_id = claim->credential;
  if (!absl::ConsumeSuffix(&key_id, scope)) {
    return V4Refusal{400, claim->lifetime_seconds ? "AuthorizationQueryParametersError"
                                                  : "AuthorizationHeaderMalformed"};
  }
  if (key_id != account.key_id) return V4Refusal{403, "InvalidAccessKeyId"};
  if (claim->token != account.session_token) return V4Refusal{400, "InvalidToken"};
  if (auto refusal = CheckTime(account, *claim, now)) return refusal;
  if (claim->payload.empty()) return V4Refusal{400, "MissingSecurityHeader"};
  const std::vector<std::string> names = absl::StrSplit(claim->signed_headers, ';');
  if (auto refusal = CheckSignedHeaders(account, request, names)) return refusal;

  const std::string canonical =
      absl::StrJoin({request.method, request.path, SortedQuery(account, request.target),
                     HeaderLines(request, names), claim->signed_headers, claim->payload},
                    "\n");
  const std::string text =
      absl::StrJoin({account.algorithm, claim->stamp, scope.substr(1), HashHex(canonical)}, "\n");
  if (!account.verify(claim->stamp.substr(0, 8), text, claim->signature)) return kMismatch;
  return std::nullopt;
}

V4Account AwsAccount(const std::string& key_id, const std::string& secret, const std::string& token,
                     const std::string& region) {
  V4Account account{.algorithm = "AWS4-HMAC-SHA256",
                    .prefix = "x-amz-",
                    .key_id = key_id,
                    .scope_rest = absl::StrCat("/", region, "/s3/aws4_request"),
                    .session_token = token,
                    .expired_code = "AccessDenied"};
  account.verify = [secret, region](const std::string& date, const std::string& text,
                                    const std::string& signature) {
    std::string key = "AWS4" + secret;
    for (const std::string& step :
         {date, region, std::string("s3"), std::string("aws4_request"), text}) {
      unsigned char out[EVP_MAX_MD_SIZE];
      size_t size = 0;
      EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(),
                reinterpret_cast<const unsigned char*>(step.data()), step.size(), out, sizeof(out),
                &size);
      key.assign(reinterpret_cast<const char*>(out), size);
    }
    return absl::BytesToHexString(key) == signature;
  };
  return account;
}

V4Account GoogleAccount(const std::string& client_email, const std::string& public_key_pem) {
  V4Account account{.algorithm = "GOOG4-RSA-SHA256",
                    .prefix = "x-goog-",
                    .key_id = client_email,
                    .scope_rest = "/auto/storage/goog4_request",
                    .allows_headers = false,
                    .expired_code = "ExpiredToken",
                    .expired_status = 400};
  BIO* const bio = BIO_new_mem_buf(public_key_pem.data(), static_cast<int>(public_key_pem.size()));
  const std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PUBKEY(bio, nullptr, nullptr, nullptr),
                                      EVP_PKEY_free);
  BIO_free(bio);
  account.verify = [key](const std::string&, const std::string& text,
                         const std::string& signature) {
    const std::string bytes = absl::HexStringToBytes(signature);
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    const bool good =
        EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
        EVP_DigestVerify(context, reinterpret_cast<const unsigned char*>(bytes.data()),
                         bytes.size(), reinterpret_cast<const unsigned char*>(text.data()),
                         text.size()) == 1;
    EVP_MD_CTX_free(context);
    return good;
  };
  return account;
}

}  // namespace cedana::objstore
