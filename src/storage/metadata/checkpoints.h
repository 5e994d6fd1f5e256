// Committed checkpoints of the catalog, and the holds that keep them readable.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/ids.h"

namespace cedana::metadata {

struct Checkpoint {
  base::CheckpointId id;
  base::SaveId save;
  std::string path;
  uint64_t sequence = 0;
  int64_t created_ms = 0;
  uint64_t image_bytes = 0;
  uint64_t stored_bytes = 0;
  uint64_t new_bytes = 0;
  std::string codec;
  std::string durability;  // judged when it is read
  std::string job_id;
  std::string job_name;
  std::string facts;            // JSON text, not looked into
  std::string manifest_sha256;  // 32 bytes
  uint64_t manifest_bytes = 0;
  std::vector<std::string> manifest_providers;
};

// Where the shards of one pack are.
struct PackPlaces {
  base::PackId id;
  base::SaveId save;  // the one that wrote it; part of the object key
  uint64_t bytes = 0;
  uint32_t crc32c = 0;
  std::vector<std::string> providers;
};

struct CheckpointFilter {
  std::string prefix;  // normalised folder; whole segments
  std::string job_name;
  std::string job_id;
  bool newest_per_job = false;
  uint64_t before_sequence = 0;  // 0: from the newest
  uint32_t limit = 1000;
};

struct ListedName {
  std::string path;
  std::string codec;
};

// Thread-safe. Paths are normalised (paths.h).
class Checkpoints {
 public:
  virtual ~Checkpoints() = default;

  virtual absl::StatusOr<Checkpoint> Find(const base::OrgId& organisation,
                                          const std::string& path) = 0;
  // Newest first. Uploaded files are none of them.
  virtual absl::StatusOr<std::vector<Checkpoint>> List(const base::OrgId& organisation,
                                                       const CheckpointFilter& filter) = 0;
  // Path and compression of everything under `folder`, uploaded files too, sorted by path.
  virtual absl::StatusOr<std::vector<ListedName>> Names(const base::OrgId& organisation,
                                                        const std::string& folder) = 0;
  // Hides it at once; collection does the rest.
  virtual absl::Status Hide(const base::OrgId& organisation, const std::string& path) = 0;

  // Takes a hold under `lease` (or renews it). kFailedPrecondition: the lease is on another one.
  virtual absl::StatusOr<Checkpoint> Hold(const base::OrgId& organisation, const std::string& path,
                                          const base::LeaseId& lease) = 0;
  // kNotFound: no such hold. kFailedPrecondition: it has ended, and cannot be revived.
  virtual absl::Status RenewHold(const base::OrgId& organisation, const base::LeaseId& lease) = 0;
  virtual absl::Status Release(const base::OrgId& organisation, const base::LeaseId& lease) = 0;
  // The packs named, in that order. kNotFound when the held checkpoint does not refer to one.
  virtual absl::StatusOr<std::vector<PackPlaces>> HeldPacks(
      const base::OrgId& organisation, const base::LeaseId& lease,
      const std::vector<base::PackId>& packs) = 0;
};

}  // namespace cedana::metadata
