// A bucket of S3, or of any server that speaks its interface.
#pragma once

#include "core/objstore/xml_store.h"

namespace cedana::objstore {

// Thread-safe. Uploads are single PUTs (5 GiB at most) with their CRC-32C, which the server checks
// and keeps; it is given by Head, not by List. Create-only is If-None-Match: *. Servers that lack
// either are told so by the URL (conditional=no, checksum=no): then create-only is a look before
// the write, which two writers at once defeat, and Put sends Content-MD5 instead of the CRC-32C.
// Delete leaves older versions where the bucket keeps them.
class S3Store final : public XmlStore {
 public:
  // No network is used. `client` and `clock` are borrowed.
  static absl::StatusOr<std::unique_ptr<S3Store>> Create(StoreUrl url,
                                                         const S3Credentials& credentials,
                                                         http::Client* client,
                                                         base::Clock* clock = &base::SystemClock());

  absl::Status Put(const base::Context& context, const ObjectKey& key,
                   std::span<const uint8_t> bytes, const PutOptions& options) override;
  Capabilities capabilities() const override;
  absl::StatusOr<SignedRequest> SignPut(const ObjectKey& key, uint64_t bytes, uint32_t crc32c,
                                        absl::Time expires) const override;
  absl::StatusOr<SignedRequest> SignGet(const ObjectKey& key, absl::Time expires) const override;

 private:
  S3Store(StoreUrl url, const S3Credentials& credentials, http::Client* client, base::Clock* clock)
      : XmlStore(std::move(url), client, clock), signer_(V4Signer::Aws(credentials, url_.region)) {}

  void Authorise(const Ask& ask, http::ClientRequest& request) const override;
  absl::Status ErrorOf(absl::string_view what, const http::ClientResponse& response) const override;
  http::Headers HeadersForHead() const override;
  std::optional<uint32_t> ChecksumOf(const http::ClientResponse& response) const override;

  const V4Signer signer_;
};

}  // namespace cedana::objstore
