#include "core/objstore/v4_signer.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace cedana::objstore {
namespace {

constexpr absl::Duration kLifetimeMax = absl::Hours(24 * 7);

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct DigestDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

std::string Hmac(absl::string_view key, absl::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), out, &size);
  return std::string(reinterpret_cast<const char*>(out), size);
}

std::string Sha256Hex(absl::string_view text) {
  return objstore::Sha256Hex(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

// Empty when OpenSSL fails, which for a key that was read means that memory ran out; the cloud then
// refuses the request.
std::string RsaSha256(EVP_PKEY* key, absl::string_view text) {
  const std::unique_ptr<EVP_MD_CTX, DigestDeleter> context(EVP_MD_CTX_new());
  size_t size = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) != 1) {
    return "";
  }
  std::string out(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, bytes,
                     text.size()) != 1) {
    return "";
  }
  out.resize(size);
  return out;
}

// Trimmed, and runs of white space as one space.
std::string Collapse(absl::string_view value) {
  return absl::StrJoin(absl::StrSplit(value, absl::ByAnyChar(" \t"), absl::SkipEmpty()), " ");
}

// Host added, names in lower case, sorted.
http::Headers CanonicalHeaders(const V4Request& request) {
  http::Headers headers = {{"host", request.host}};
  for (const auto& [name, value] : request.headers) {
    headers.emplace_back(absl::AsciiStrToLower(name), Collapse(value));
  }
  std::sort(headers.begin(), headers.end());
  return headers;
}

std::string NamesOf(const http::Headers& canonical) {
  return absl::StrJoin(canonical, ";", [](std::string* out, const auto& header) {
    absl::StrAppend(out, header.first);
  });
}

std::string CanonicalRequest(const V4Request& request, const std::string& query,
                             const http::Headers& headers, absl::string_view payload_hash) {
  std::string text = absl::StrCat(request.method, "\n", V4Path(request.path), "\n", query, "\n");
  for (const auto& [name, value] : headers) absl::StrAppend(&text, name, ":", value, "\n");
  absl::StrAppend(&text, "\n", NamesOf(headers), "\n", payload_hash);
  return text;
}

std::string Stamp(absl::Time now) {
  return absl::FormatTime("%Y%m%dT%H%M%SZ", now, absl::UTCTimeZone());
}

}  // namespace

std::string Sha256Hex(std::span<const uint8_t> bytes) {
  unsigned char out[SHA256_DIGEST_LENGTH];
  SHA256(bytes.data(), bytes.size(), out);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(out), sizeof(out)));
}

std::string V4Path(absl::string_view decoded) {
  return absl::StrJoin(absl::StrSplit(decoded, '/'), "/",
                       [](std::string* out, absl::string_view segment) {
                         absl::StrAppend(out, http::PercentEncode(segment));
                       });
}

std::string V4Query(const http::Headers& decoded) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [name, value] : decoded) {
    pairs.emplace_back(http::PercentEncode(name), http::PercentEncode(value));
  }
  std::sort(pairs.begin(), pairs.end());
  return absl::StrJoin(pairs, "&", absl::PairFormatter("="));
}

V4Signer V4Signer::Aws(const S3Credentials& credentials, const std::string& region) {
  V4Signer signer;
  signer.algorithm_ = "AWS4-HMAC-SHA256";
  signer.prefix_ = "X-Amz-";
  signer.key_id_ = credentials.access_key_id;
  signer.scope_rest_ = absl::StrCat("/", region, "/s3/aws4_request");
  signer.token_ = credentials.session_token;
  signer.sign_ = [secret = "AWS4" + credentials.secret_access_key, region](
                     const std::string& date, const std::string& text) {
    const std::string key = Hmac(Hmac(Hmac(Hmac(secret, date), region), "s3"), "aws4_request");
    return absl::BytesToHexString(Hmac(key, text));
  };
  return signer;
}

absl::StatusOr<V4Signer> V4Signer::Google(const GcsCredentials& credentials) {
  const std::unique_ptr<BIO, BioDeleter> bio(BIO_new_mem_buf(
      credentials.private_key.data(), static_cast<int>(credentials.private_key.size())));
  // Never asks for a password: an encrypted key is no key here.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  const std::shared_ptr<EVP_PKEY> key(
      bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr),
      KeyDeleter());
  if (key == nullptr || EVP_PKEY_base_id(key.get()) != EVP_PKEY_RSA) {
    return absl::InvalidArgumentError("credentials: private_key is not an RSA key in PEM");
  }
  V4Signer signer;
  signer.algorithm_ = "GOOG4-RSA-SHA256";
  signer.prefix_ = "X-Goog-";
  signer.key_id_ = credentials.client_email;
  signer.scope_rest_ = "/auto/storage/goog4_request";
  signer.sign_ = [key](const std::string&, const std::string& text) {
    return absl::BytesToHexString(RsaSha256(key.get(), text));
  };
  return signer;
}

std::string V4Signer::Scope(const std::string& date) const { return date + scope_rest_; }

std::string V4Signer::Signature(const std::string& canonical_request,
                                const std::string& stamp) const {
  const std::string date = stamp.substr(0, 8);
  return sign_(date, absl::StrCat(algorithm_, "\n", stamp, "\n", Scope(date), "\n",
                                  Sha256Hex(absl::string_view(canonical_request))));
}

std::string V4Signer::SignQuery(const V4Request& request, absl::Time now,
                                absl::Duration lifetime) const {
  const std::string stamp = Stamp(now);
  const http::Headers headers = CanonicalHeaders(request);
  const int64_t seconds =
      absl::ToInt64Seconds(std::clamp(lifetime, absl::Seconds(1), kLifetimeMax));
  http::Headers query = request.query;
  query.emplace_back(prefix_ + "Algorithm", algorithm_);
  query.emplace_back(prefix_ + "Credential", absl::StrCat(key_id_, "/", Scope(stamp.substr(0, 8))));
  query.emplace_back(prefix_ + "Date", stamp);
  query.emplace_back(prefix_ + "Expires", absl::StrCat(seconds));
  query.emplace_back(prefix_ + "SignedHeaders", NamesOf(headers));
  if (!token_.empty()) query.emplace_back(prefix_ + "Security-Token", token_);
  const std::string canonical_query = V4Query(query);
  const std::string signature =
      Signature(CanonicalRequest(request, canonical_query, headers, kUnsignedPayload), stamp);
  return absl::StrCat(V4Path(request.path), "?", canonical_query, "&", prefix_,
                      "Signature=", signature);
}

http::Headers V4Signer::SignHeaders(V4Request request, const std::string& payload_hash,
                                    absl::Time now) const {
  const std::string stamp = Stamp(now);
  const std::string prefix = absl::AsciiStrToLower(prefix_);
  request.headers.emplace_back(prefix + "date", stamp);
  request.headers.emplace_back(prefix + "content-sha256", payload_hash);
  if (!token_.empty()) request.headers.emplace_back(prefix + "security-token", token_);
  const http::Headers headers = CanonicalHeaders(request);
  const std::string signature =
      Signature(CanonicalRequest(request, V4Query(request.query), headers, payload_hash), stamp);
  request.headers.emplace_back(
      "authorization",
      absl::StrCat(algorithm_, " Credential=", key_id_, "/", Scope(stamp.substr(0, 8)),
                   ",SignedHeaders=", NamesOf(headers), ",Signature=", signature));
  return std::move(request.headers);
}

}  // namespace cedana::objstore
