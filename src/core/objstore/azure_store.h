// A container of Azure Blob Storage: block blobs, each written by one Put Blob, read by ranges.
// The account must not have a hierarchical namespace: it lists folders' blobs in another order.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/http/client.h"
#include "core/objstore/azure_auth.h"
#include "core/objstore/object_store.h"

namespace cedana::objstore {

struct AzureListing;

struct AzureOptions {
  // "https://ACCOUNT.blob.core.windows.net"; of an emulator "http://127.0.0.1:10000/ACCOUNT".
  std::string endpoint;
  std::string container;
  std::string prefix;  // "a/b": keys are the blobs "a/b/…". Empty: the whole container
  std::string account;
  // One of the two. A SAS ("sv=…&sig=…", for the container) signs no requests for others.
  std::string key_base64;
  std::string sas;
};

// Thread-safe. What Put writes was checked twice: the CRC-32C here, against the bytes that are then
// sent with their MD5, which the service checks and keeps. The CRC-32C stands beside them as
// metadata. A grant (SAS, right "create") binds neither size nor checksum; its blobs have the MD5
// that the service computed, and no CRC-32C.
class AzureStore final : public ObjectStore {
 public:
  // `client` and `clock` are borrowed. No network is used. kInvalidArgument with one line.
  static absl::StatusOr<std::unique_ptr<AzureStore>> Create(
      AzureOptions options, http::Client* client, base::Clock* clock = &base::SystemClock());

  absl::Status Put(const base::Context& context, const ObjectKey& key,
                   std::span<const uint8_t> bytes, const PutOptions& options) override;
  absl::Status Get(const base::Context& context, const ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) override;
  absl::StatusOr<std::optional<ObjectInfo>> Head(const base::Context& context,
                                                 const ObjectKey& key) override;
  // The service continues a listing from markers of its own alone. The last ones are kept, so that
  // reading on costs one request; after any other key the listing is read from its start.
  absl::StatusOr<std::vector<ObjectInfo>> List(const base::Context& context,
                                               const std::string& prefix, const std::string& after,
                                               size_t limit) override;
  absl::Status Delete(const base::Context& context, const ObjectKey& key) override;
  Capabilities capabilities() const override;

  absl::StatusOr<SignedRequest> SignPut(const ObjectKey& key, uint64_t bytes, uint32_t crc32c,
                                        absl::Time expires) const override;
  absl::StatusOr<SignedRequest> SignGet(const ObjectKey& key, absl::Time expires) const override;

 private:
  struct Ask;
  struct Bookmark {
    std::string prefix;
    std::string after;
    std::string marker;  // of the page where the keys after `after` begin
  };

  AzureStore(AzureOptions options, std::optional<AzureAccount> account, const std::string& path,
             http::Client* client, base::Clock* clock);

  std::string BlobName(const ObjectKey& key) const { return options_.prefix + key.text(); }
  std::string BlobUrl(const ObjectKey& key) const;
  // Names a request for an error: nothing of what authorises it.
  std::string What(absl::string_view method, absl::string_view blob) const;
  absl::Status ErrorOf(absl::string_view method, absl::string_view blob,
                       const http::ClientResponse& response) const;
  absl::StatusOr<http::ClientResponse> Send(const base::Context& context, const Ask& ask) const;
  // What is wrong with a range that is empty, too large to be asked for, or was refused.
  absl::Status CheckRange(const base::Context& context, const ObjectKey& key, uint64_t offset,
                          std::optional<uint64_t> length);
  absl::StatusOr<AzureListing> ReadPage(const base::Context& context, const std::string& prefix,
                                        const std::string& marker, size_t limit) const;
  std::optional<std::string> MarkerFor(const std::string& prefix, const std::string& after);
  void Remember(Bookmark bookmark);
  absl::StatusOr<SignedRequest> Sign(const ObjectKey& key, const char* method,
                                     const char* permissions, absl::Time expires) const;

  const AzureOptions options_;
  const std::optional<AzureAccount> account_;  // absent: options_.sas
  const std::string origin_;                   // of the endpoint
  const std::string container_path_;           // "/container", after the endpoint's own path
  http::Client* const client_;
  base::Clock* const clock_;

  absl::Mutex mutex_;
  std::list<Bookmark> bookmarks_ ABSL_GUARDED_BY(mutex_);  // the latest first
};

}  // namespace cedana::objstore
