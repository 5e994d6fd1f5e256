// What a store over Amazon's and one over Google's XML interface share: addresses, reads of ranges,
// listings, deletion. Each adds its signature, its headers and the meaning of its errors.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "core/http/client.h"
#include "core/objstore/object_store.h"
#include "core/objstore/store_url.h"
#include "core/objstore/v4_signer.h"

namespace cedana::objstore {

// Thread-safe, and without state of its own. No call retries.
class XmlStore : public ObjectStore {
 public:
  absl::Status Get(const base::Context& context, const ObjectKey& key, uint64_t offset,
                   std::optional<uint64_t> length,
                   const std::function<absl::Status(std::span<const uint8_t>)>& sink) final;
  absl::StatusOr<std::optional<ObjectInfo>> Head(const base::Context& context,
                                                 const ObjectKey& key) final;
  absl::StatusOr<std::vector<ObjectInfo>> List(const base::Context& context,
                                               const std::string& prefix, const std::string& after,
                                               size_t limit) final;
  absl::Status Delete(const base::Context& context, const ObjectKey& key) final;
  absl::StatusOr<std::string> KeepsDeleted(const base::Context& context) final;

 protected:
  // `client` and `clock` are borrowed.
  XmlStore(StoreUrl url, http::Client* client, base::Clock* clock);

  // A request to the object `name`, or to the bucket when that is empty.
  struct Ask {
    std::string method;
    std::string name;
    http::Headers query;
    http::Headers headers;  // signed
    http::Headers more_headers;
    std::span<const uint8_t> body;
    bool has_body = false;
    std::function<void(uint64_t)> on_progress;
    std::function<absl::Status(std::span<const uint8_t>)> on_body;
  };

  // URL and headers that authorise `ask` now.
  virtual void Authorise(const Ask& ask, http::ClientRequest& request) const = 0;
  virtual absl::Status ErrorOf(absl::string_view what,
                               const http::ClientResponse& response) const = 0;
  // What makes an answer to HEAD carry the checksum, and where it stands there.
  virtual http::Headers HeadersForHead() const { return {}; }
  virtual std::optional<uint32_t> ChecksumOf(const http::ClientResponse& response) const = 0;

  // An answer of 2xx, else the error that it stands for. A lost answer is kUnknown only where the
  // request may have changed something.
  absl::StatusOr<http::ClientResponse> Send(const base::Context& context, const Ask& ask) const;
  V4Request ToSign(const Ask& ask) const;
  // "https://host", to be followed by path and query.
  std::string origin() const { return absl::StrCat(scheme_, "://", host_); }
  // Seconds from now to `expires`; kInvalidArgument when that is over.
  absl::StatusOr<absl::Duration> LifetimeUntil(absl::Time expires, absl::Time now) const;
  bool encrypted() const { return scheme_ == "https"; }

  const StoreUrl url_;
  http::Client* const client_;
  base::Clock* const clock_;

 private:
  absl::StatusOr<http::ClientResponse> Exchange(const base::Context& context, const Ask& ask) const;
  std::string PathOf(absl::string_view name) const;
  std::string What(const Ask& ask) const;
  absl::Status CheckRange(const base::Context& context, const ObjectKey& key, uint64_t offset,
                          std::optional<uint64_t> length);

  std::string scheme_;
  std::string host_;       // with the bucket, where that is the style
  std::string base_path_;  // "", or "/bucket", after the endpoint's own path
};

}  // namespace cedana::objstore
