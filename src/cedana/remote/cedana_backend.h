// The storage back end of `cedana://`: one service, its catalog, and grants to its providers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cedana/plugin/storage_backend.h"
#include "cedana/remote/http_api.h"
#include "cedana/remote/http_catalog.h"
#include "cedana/remote/provider_health.h"
#include "cedana/remote/retry.h"
#include "core/http/client.h"

namespace cedana::remote {

// How long things may take. A process may be frozen meanwhile, and runs on after 30 s without an
// acknowledged byte: that bounds `put`, which must have given up before.
struct RemoteOptions {
  RetryPolicy call{.give_up_after = absl::Seconds(10)};
  RetryPolicy put{.give_up_after = absl::Seconds(25), .bounds_attempts = false, .attempts_min = 2};
  RetryPolicy read{.give_up_after = absl::Seconds(25), .bounds_attempts = false, .attempts_min = 2};
  // No byte moved for this long ends an upload or read. Two of them fit into `put`.
  absl::Duration data_stall = absl::Seconds(10);
  absl::Duration probe_timeout = absl::Seconds(30);
  Services services;
  // What is known of the service's providers, shared with other back ends to the same service.
  // Null: this one's own.
  std::shared_ptr<ProviderHealth> health;
};

class CedanaBackend : public plugin::StorageBackend {
 public:
  // Connects to nothing yet. kInvalidArgument: one line that says which setting to make.
  static absl::StatusOr<std::unique_ptr<CedanaBackend>> Create(const plugin::StorageConfig& config,
                                                               const RemoteOptions& options);

  transfer::Catalog& catalog() override { return catalog_; }
  std::unique_ptr<transfer::PackSink> OpenSink(const base::SaveId& save) override;
  std::unique_ptr<transfer::PackSource> OpenSource(const base::LeaseId& lease) override;
  std::vector<plugin::HealthItem> Check(const base::Context& context, bool full) override;

 private:
  CedanaBackend(std::string origin, std::string token, std::string operation,
                std::unique_ptr<http::Client> call_client,
                std::unique_ptr<http::Client> data_client, const RemoteOptions& options);

  const RemoteOptions options_;
  const std::shared_ptr<ProviderHealth> health_;
  // Apart, because an upload that stalls is given up sooner than a commit that is being decided.
  const std::unique_ptr<http::Client> call_client_;
  const std::unique_ptr<http::Client> data_client_;
  const HttpApi api_;
  HttpCatalog catalog_;
};

}  // namespace cedana::remote
