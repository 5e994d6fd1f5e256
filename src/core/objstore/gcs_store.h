// A bucket of Google Cloud Storage, over its XML interface. Every request is a signed URL, our own
// ones with a short life: one form of signature, no tokens to fetch and renew.
#pragma once

#include "core/objstore/xml_store.h"

namespace cedana::objstore {

// Thread-safe. Uploads are single PUTs with their CRC-32C (x-goog-hash), which the cloud checks and
// keeps; it is given by Head, not by List. Create-only is x-goog-if-generation-match: 0. A grant's
// size is bound by x-goog-content-length-range.
class GcsStore final : public XmlStore {
 public:
  // No network is used. `client` and `clock` are borrowed. kInvalidArgument when the key cannot be
  // read.
  static absl::StatusOr<std::unique_ptr<GcsStore>> Create(
      StoreUrl url, const GcsCredentials& credentials, http::Client* client,
      base::Clock* clock = &base::SystemClock());

  absl::Status Put(const base::Context& context, const ObjectKey& key,
                   std::span<const uint8_t> bytes, const PutOptions& options) override;
  Capabilities capabilities() const override;
  absl::StatusOr<SignedRequest> SignPut(const ObjectKey& key, uint64_t bytes, uint32_t crc32c,
                                        absl::Time expires) const override;
  absl::StatusOr<SignedRequest> SignGet(const ObjectKey& key, absl::Time expires) const override;

 private:
  GcsStore(StoreUrl url, V4Signer signer, http::Client* client, base::Clock* clock)
      : XmlStore(std::move(url), client, clock), signer_(std::move(signer)) {}

  void Authorise(const Ask& ask, http::ClientRequest& request) const override;
  absl::Status ErrorOf(absl::string_view what, const http::ClientResponse& response) const override;
  std::optional<uint32_t> ChecksumOf(const http::ClientResponse& response) const override;

  const V4Signer signer_;
};

}  // namespace cedana::objstore
