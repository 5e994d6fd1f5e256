// From a URL's folder and the settings to the object store that holds it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cedana/plugin/storage_backend.h"
#include "core/base/clock.h"
#include "core/objstore/object_store.h"

namespace cedana::direct {

struct Place {
  std::string url;  // "s3://bucket/folder"
  // Small requests, and bulk data: apart, because an upload that stalls is given up sooner.
  std::shared_ptr<objstore::ObjectStore> calls;
  std::shared_ptr<objstore::ObjectStore> data;
};

// Connects to nothing. Without a folder no setting is needed, and every request is
// kInvalidArgument. `data_stall`: no byte moved for this long ends a transfer.
// kInvalidArgument, kUnavailable: one line that says which setting to make.
absl::StatusOr<Place> OpenPlace(absl::string_view scheme, const plugin::StorageConfig& config,
                                absl::Duration data_stall, base::Clock& clock);

// What is set of the scheme's settings; never a secret itself.
std::vector<plugin::HealthItem> DescribeSettings(absl::string_view scheme,
                                                 const plugin::StorageConfig& config);

}  // namespace cedana::direct
