// Saves of the catalog: from begin to commit or abort, each decided by one transaction on the
// save's row, so that of two that race exactly one wins and every repeat gives the first answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/ids.h"
#include "storage/metadata/checkpoints.h"

namespace cedana::metadata {

enum class SaveState { kOpen = 0, kCommitted = 1, kAborted = 2, kUnknown = 3 };

struct Save {
  base::SaveId id;
  base::OrgId organisation;
  base::CheckpointId checkpoint;
  std::string path;  // the one it has, not the one it wanted
  SaveState state = SaveState::kUnknown;
  bool lease_live = false;  // open, and its lease has not ended
  uint64_t fencing = 0;     // higher for every save begun
};

struct NewSave {
  base::SaveId id;
  base::CheckpointId checkpoint;
  std::string path;        // normalised; a file's path is never taken (IsFilePath in paths.h)
  bool generated = false;  // a taken path becomes path-2, path-3…
};

struct CommittedPack {
  base::PackId id;
  uint64_t bytes = 0;
  uint32_t crc32c = 0;
  uint32_t key_epoch = 0;
  bool own = false;
  std::vector<std::string> providers;     // own packs: where the service saw it
  std::vector<std::string> acknowledged;  // own packs: taken there, but not to be seen now
};

struct NewCheckpoint {
  base::SaveId save;
  Checkpoint row;  // sequence and created_ms are given by the commit
  std::vector<CommittedPack> packs;
};

// Thread-safe. A save of another organisation is kNotFound everywhere.
class Saves {
 public:
  virtual ~Saves() = default;

  // Takes the path. A path is taken by a visible checkpoint and by an open save whose lease lives.
  // kAlreadyExists: taken, or this save has committed. kFailedPrecondition: this save has ended.
  virtual absl::StatusOr<Save> Begin(const base::OrgId& organisation, const NewSave& save) = 0;
  // Renews the lease. kFailedPrecondition when it has ended.
  virtual absl::StatusOr<Save> Renew(const base::OrgId& organisation, const base::SaveId& id) = 0;
  // kUnknown as the state when there is none.
  virtual absl::StatusOr<Save> Find(const base::OrgId& organisation, const base::SaveId& id) = 0;
  // Whose it is; for the service's own use, never for a client. kNotFound when there is none.
  virtual absl::StatusOr<base::OrgId> OwnerOf(const base::SaveId& id) = 0;
  // Open ones whose lease lives, of all organisations; for the service's own use.
  virtual absl::StatusOr<std::vector<base::SaveId>> Live() = 0;
  // kFailedPrecondition: aborted, or the lease has ended, or a pack or the manifest is in fewer
  // failure domains than the policy's `ack`. ParentGone() (errors.h): a pack that it refers to is
  // being deleted, or is not this organisation's. What is short of the policy's `copies` becomes
  // debt in the same transaction.
  // A file takes the place of the one that had its path, which is hidden in the same transaction.
  virtual absl::StatusOr<Checkpoint> Commit(const base::OrgId& organisation,
                                            const NewCheckpoint& checkpoint) = 0;
  // After OK it can never commit; an id never seen is remembered as aborted. kAlreadyExists: it
  // had committed.
  virtual absl::Status Abort(const base::OrgId& organisation, const base::SaveId& id) = 0;
};

}  // namespace cedana::metadata
