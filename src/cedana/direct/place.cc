#include "cedana/direct/place.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cedana/direct/folder_store.h"
#include "cedana/plugin/storage_url.h"
#include "core/base/status.h"
#include "core/transfer/checkpoint_path.h"

namespace cedana::direct {
namespace {

constexpr char kFile[] = "file";

}  // namespace

absl::StatusOr<Place> OpenPlace(absl::string_view scheme, const plugin::StorageConfig& config,
                                absl::Duration data_stall, base::Clock& clock) {
  Place place;
  place.url = plugin::StorageUrl{std::string(scheme), config.folder}.ToString();
  const absl::StatusOr<std::string> folder = transfer::NormaliseFolder(config.folder);
  if (!folder.ok()) return base::Annotate(folder.status(), place.url);
  if (absl::StrContains(*folder, '?') || absl::StrContains(*folder, '#')) {
    return absl::InvalidArgumentError(absl::StrCat(
        place.url, ": settings of a storage go to the configuration, not behind a '?' or '#'"));
  }
  if (scheme == kFile) {
    place.calls = place.data = std::make_shared<FolderStore>(absl::StrCat("/", *folder));
    return place;
  }
  return absl::InvalidArgumentError(absl::StrCat("no storage for ", scheme, "://"));
}

std::vector<plugin::HealthItem> DescribeSettings(absl::string_view scheme,
                                                 const plugin::StorageConfig& config) {
  return {};
}

}  // namespace cedana::direct
