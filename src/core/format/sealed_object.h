// Sealed objects: manifest and commit record (docs/format/sealing.md).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/ids.h"
#include "core/format/keys.h"

namespace cedana::format {

struct ObjectKind {
  absl::string_view magic;  // 8 bytes
  absl::string_view label;  // of its keys
  absl::string_view name;   // for errors
};

inline constexpr ObjectKind kManifestKind{"CEDMANIF", "cedana manifest v1", "manifest"};
inline constexpr ObjectKind kCommitRecordKind{"CEDCOMIT", "cedana commit record v1",
                                              "commit record"};

// Seals with the newest epoch of `keys`. The same content gives the same bytes.
std::string SealObject(const ObjectKind& kind, const OrganisationKeys& keys,
                       const std::array<uint8_t, 16>& object_id, absl::string_view plain);

// The plain bytes. kDataLoss when they are not the object of that kind, organisation and id, or not
// whole; kFailedPrecondition when its version or key epoch is not known here.
absl::StatusOr<std::string> OpenObject(const ObjectKind& kind, const OrganisationKeys& keys,
                                       const std::array<uint8_t, 16>& object_id,
                                       absl::string_view sealed);

// The object id that stands in the header, not authenticated: for tools that look at one object.
absl::StatusOr<std::array<uint8_t, 16>> PeekObjectId(const ObjectKind& kind,
                                                     absl::string_view sealed);

}  // namespace cedana::format
