// The root of a checkpoint (docs/format/manifest.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/ids.h"
#include "core/base/json.h"
#include "core/format/keys.h"
#include "core/format/page_map.h"

namespace cedana::format {

struct MapSegment {
  uint32_t tail_pack = 0;  // index in Manifest::tail_packs
  BlockPlace place;

  friend bool operator==(const MapSegment&, const MapSegment&) = default;
};

struct Manifest {
  base::CheckpointId checkpoint;
  std::string path;
  std::vector<PackRef> tail_packs;
  std::vector<MapSegment> page_map;
  uint64_t image_bytes = 0;
  uint64_t stored_bytes = 0;
  uint64_t new_bytes = 0;
  std::string codec;
  base::Json facts = base::Json::object();
  std::string created_by;
};

// kResourceExhausted: over base::kManifestBytesMax. The same manifest gives the same bytes.
absl::StatusOr<std::string> SealManifest(const Manifest& manifest, const OrganisationKeys& keys);

// Errors as OpenObject. Every number is within its bounds afterwards.
absl::StatusOr<Manifest> OpenManifest(absl::string_view sealed,
                                      const base::CheckpointId& checkpoint,
                                      const OrganisationKeys& keys);

// Lower-case hex of the SHA-256 of the sealed bytes: what the catalog pins.
std::string ManifestSha256(absl::string_view sealed);

}  // namespace cedana::format
