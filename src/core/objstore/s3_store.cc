#include "core/objstore/s3_store.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"
#include "core/objstore/crc32c_text.h"
#include "core/objstore/s3_error.h"

namespace cedana::objstore {
namespace {

constexpr char kChecksumHeader[] = "x-amz-checksum-crc32c";
constexpr uint64_t kPutBytesMax = uint64_t{5} << 30;

std::string Md5Text(std::span<const uint8_t> bytes) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), out, &size, EVP_md5(), nullptr);
  return absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(out), size));
}

}  // namespace

absl::StatusOr<std::unique_ptr<S3Store>> S3Store::Create(StoreUrl url,
                                                         const S3Credentials& credentials,
                                                         http::Client* client, base::Clock* clock) {
  if (url.dialect != Dialect::kS3) return absl::InvalidArgumentError("not an S3 URL");
  return std::unique_ptr<S3Store>(new S3Store(std::move(url), credentials, client, clock));
}

Capabilities S3Store::capabilities() const {
  return {.signs_requests = true,
          .grant_enforces_size = true,
          .grant_enforces_checksum = url_.checksums,
          .grant_enforces_create_only = url_.conditional_writes,
          .creates_atomically = url_.conditional_writes,
          .keeps_checksum = url_.checksums};
}

void S3Store::Authorise(const Ask& ask, http::ClientRequest& request) const {
  const V4Request to_sign = ToSign(ask);
  const std::string payload =
      encrypted() && !ask.body.empty() ? std::string(kUnsignedPayload) : Sha256Hex(ask.body);
  request.url = absl::StrCat(origin(), V4Path(to_sign.path));
  if (!ask.query.empty()) absl::StrAppend(&request.url, "?", V4Query(ask.query));
  request.headers = signer_.SignHeaders(to_sign, payload, clock_->Now());
}

absl::Status S3Store::ErrorOf(absl::string_view what, const http::ClientResponse& response) const {
  return S3ErrorOf(what, response);
}

http::Headers S3Store::HeadersForHead() const {
  if (!url_.checksums) return {};
  return {{"x-amz-checksum-mode", "ENABLED"}};
}

std::optional<uint32_t> S3Store::ChecksumOf(const http::ClientResponse& response) const {
  const std::string* text = response.Header(kChecksumHeader);
  return text == nullptr ? std::nullopt : ParseCrc32cText(*text);
}

absl::Status S3Store::Put(const base::Context& context, const ObjectKey& key,
                          std::span<const uint8_t> bytes, const PutOptions& options) {
  if (bytes.size() > kPutBytesMax) return absl::InvalidArgumentError("more than one PUT takes");
  Ask ask{.method = "PUT", .name = url_.ObjectName(key.text()), .body = bytes, .has_body = true};
  ask.on_progress = options.on_progress;
  if (url_.checksums) {
    ask.headers.emplace_back(kChecksumHeader,
                             Crc32cText(options.crc32c.value_or(codec::Crc32c(bytes))));
  } else {
    if (options.crc32c && *options.crc32c != codec::Crc32c(bytes)) {
      return absl::DataLossError(absl::StrCat(key.text(), ": crc32c differs"));
    }
    ask.headers.emplace_back("content-md5", Md5Text(bytes));
  }
  if (options.create_only) {
    if (url_.conditional_writes) {
      ask.headers.emplace_back("if-none-match", "*");
    } else {
      CEDANA_ASSIGN_OR_RETURN(const std::optional<ObjectInfo> there, Head(context, key));
      if (there) return absl::AlreadyExistsError(key.text());
    }
  }
  return Send(context, ask).status();
}

absl::StatusOr<SignedRequest> S3Store::SignPut(const ObjectKey& key, uint64_t bytes,
                                               uint32_t crc32c, absl::Time expires) const {
  if (bytes > kPutBytesMax) return absl::InvalidArgumentError("more than one PUT takes");
  Ask ask{.method = "PUT", .name = url_.ObjectName(key.text())};
  ask.headers = {{"content-length", absl::StrCat(bytes)}};
  if (url_.checksums) ask.headers.emplace_back(kChecksumHeader, Crc32cText(crc32c));
  if (url_.conditional_writes) ask.headers.emplace_back("if-none-match", "*");
  const absl::Time now = clock_->Now();
  CEDANA_ASSIGN_OR_RETURN(const absl::Duration lifetime, LifetimeUntil(expires, now));
  return SignedRequest{"PUT", absl::StrCat(origin(), signer_.SignQuery(ToSign(ask), now, lifetime)),
                       ask.headers};
}

absl::StatusOr<SignedRequest> S3Store::SignGet(const ObjectKey& key, absl::Time expires) const {
  const Ask ask{.method = "GET", .name = url_.ObjectName(key.text())};
  const absl::Time now = clock_->Now();
  CEDANA_ASSIGN_OR_RETURN(const absl::Duration lifetime, LifetimeUntil(expires, now));
  return SignedRequest{
      "GET", absl::StrCat(origin(), signer_.SignQuery(ToSign(ask), now, lifetime)), {}};
}

}  // namespace cedana::objstore
