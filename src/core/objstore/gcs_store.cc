#include "core/objstore/gcs_store.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/codec/crc32c.h"
#include "core/objstore/crc32c_text.h"
#include "core/objstore/gcs_error.h"

namespace cedana::objstore {
namespace {

// Checked when a request begins, so this bounds how far our clock may be behind, not transfers.
constexpr absl::Duration kOwnLifetime = absl::Minutes(15);

http::Headers ChecksumHeader(uint32_t crc32c) {
  return {{"x-goog-hash", absl::StrCat("crc32c=", Crc32cText(crc32c))}};
}

}  // namespace

absl::StatusOr<std::unique_ptr<GcsStore>> GcsStore::Create(StoreUrl url,
                                                           const GcsCredentials& credentials,
                                                           http::Client* client,
                                                           base::Clock* clock) {
  if (url.dialect != Dialect::kGcs) return absl::InvalidArgumentError("not a GCS URL");
  CEDANA_ASSIGN_OR_RETURN(V4Signer signer, V4Signer::Google(credentials));
  return std::unique_ptr<GcsStore>(new GcsStore(std::move(url), std::move(signer), client, clock));
}

Capabilities GcsStore::capabilities() const {
  return {.signs_requests = true,
          .grant_enforces_size = true,
          .grant_enforces_checksum = true,
          .grant_enforces_create_only = true,
          .keeps_checksum = true};
}

void GcsStore::Authorise(const Ask& ask, http::ClientRequest& request) const {
  request.url = absl::StrCat(origin(), signer_.SignQuery(ToSign(ask), clock_->Now(), kOwnLifetime));
  request.headers = ask.headers;
}

absl::Status GcsStore::ErrorOf(absl::string_view what, const http::ClientResponse& response) const {
  return GcsErrorOf(what, response);
}

std::optional<uint32_t> GcsStore::ChecksumOf(const http::ClientResponse& response) const {
  // "crc32c=…,md5=…", or one header for each.
  for (const auto& [name, value] : response.headers) {
    if (name != "x-goog-hash") continue;
    for (absl::string_view part : absl::StrSplit(value, absl::ByAnyChar(", "))) {
      if (absl::ConsumePrefix(&part, "crc32c=")) return ParseCrc32cText(part);
    }
  }
  return std::nullopt;
}

absl::Status GcsStore::Put(const base::Context& context, const ObjectKey& key,
                           std::span<const uint8_t> bytes, const PutOptions& options) {
  Ask ask{.method = "PUT", .name = url_.ObjectName(key.text()), .body = bytes, .has_body = true};
  ask.on_progress = options.on_progress;
  ask.headers = ChecksumHeader(options.crc32c.value_or(codec::Crc32c(bytes)));
  if (options.create_only) ask.headers.emplace_back("x-goog-if-generation-match", "0");
  return Send(context, ask).status();
}

absl::StatusOr<SignedRequest> GcsStore::SignPut(const ObjectKey& key, uint64_t bytes,
                                                uint32_t crc32c, absl::Time expires) const {
  Ask ask{.method = "PUT", .name = url_.ObjectName(key.text())};
  ask.headers = ChecksumHeader(crc32c);
  ask.headers.emplace_back("x-goog-content-length-range", absl::StrCat(bytes, ",", bytes));
  ask.headers.emplace_back("x-goog-if-generation-match", "0");
  const absl::Time now = clock_->Now();
  CEDANA_ASSIGN_OR_RETURN(const absl::Duration lifetime, LifetimeUntil(expires, now));
  return SignedRequest{"PUT", absl::StrCat(origin(), signer_.SignQuery(ToSign(ask), now, lifetime)),
                       ask.headers};
}

absl::StatusOr<SignedRequest> GcsStore::SignGet(const ObjectKey& key, absl::Time expires) const {
  const Ask ask{.method = "GET", .name = url_.ObjectName(key.text())};
  const absl::Time now = clock_->Now();
  CEDANA_ASSIGN_OR_RETURN(const absl::Duration lifetime, LifetimeUntil(expires, now));
  return SignedRequest{
      "GET", absl::StrCat(origin(), signer_.SignQuery(ToSign(ask), now, lifetime)), {}};
}

}  // namespace cedana::objstore
