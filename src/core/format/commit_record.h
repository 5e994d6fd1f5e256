// What the catalog committed, kept beside the packs (docs/format/commit-record.md).
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/ids.h"
#include "core/format/keys.h"

namespace cedana::format {

struct CommitRecord {
  base::CheckpointId checkpoint;  // the manifest's id
  uint64_t sequence = 0;
  std::string path;
  std::string manifest_sha256;  // 64 hex digits, as ManifestSha256 gives them
  absl::Time created;           // microseconds are kept
};

// The same record gives the same bytes.
std::string SealCommitRecord(const CommitRecord& record, const OrganisationKeys& keys);

// Errors as OpenObject (sealed_object.h).
absl::StatusOr<CommitRecord> OpenCommitRecord(absl::string_view sealed,
                                              const base::CheckpointId& checkpoint,
                                              const OrganisationKeys& keys);

}  // namespace cedana::format
