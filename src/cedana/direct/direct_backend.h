// The storage back end of `s3://`, `gcs://`, `azure://` and `file://`: one folder, one object
// store, no service.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cedana/direct/direct_catalog.h"
#include "cedana/direct/folder_catalog.h"
#include "cedana/direct/place.h"
#include "cedana/direct/retrying_store.h"
#include "cedana/plugin/storage_backend.h"
#include "core/base/retry.h"

namespace cedana::direct {

// How long things may take. A process may be frozen meanwhile, and runs on after 30 s without an
// acknowledged byte: that bounds `data`, which must have given up before.
struct DirectOptions {
  base::RetryPolicy calls{.give_up_after = absl::Seconds(10)};
  base::RetryPolicy data{
      .give_up_after = absl::Seconds(25), .bounds_attempts = false, .attempts_min = 2};
  absl::Duration data_stall = absl::Seconds(10);  // two of them fit into `data`
  absl::Duration probe_timeout = absl::Seconds(30);
  Times times;
  base::Services services;
};

class DirectBackend : public plugin::StorageBackend {
 public:
  // Connects to nothing yet. kInvalidArgument, kUnavailable: one line that says which setting to
  // make. Without a folder only the settings can be checked; every other call says so.
  static absl::StatusOr<std::unique_ptr<DirectBackend>> Create(absl::string_view scheme,
                                                               const plugin::StorageConfig& config,
                                                               DirectOptions options);

  transfer::Catalog& catalog() override { return folder_catalog_; }
  std::unique_ptr<transfer::PackSink> OpenSink(const base::SaveId& save) override;
  std::unique_ptr<transfer::PackSource> OpenSource(const base::LeaseId& lease) override;
  std::vector<plugin::HealthItem> Check(const base::Context& context, bool full) override;
  absl::StatusOr<plugin::CollectReport> Collect(const base::Context& context,
                                                bool dry_run) override;

 private:
  DirectBackend(absl::string_view scheme, plugin::StorageConfig config, Place place,
                std::optional<format::Key256> key, DirectOptions options);
  plugin::HealthItem CheckKey(const base::Context& context);

  const std::string scheme_;
  const plugin::StorageConfig config_;
  const DirectOptions options_;
  const Place place_;
  RetryingStore calls_;
  RetryingStore data_;
  DirectCatalog catalog_;
  FolderCatalog folder_catalog_;
};

}  // namespace cedana::direct
