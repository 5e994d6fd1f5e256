// What collection asks of the catalog: dead saves, hidden checkpoints, unreachable packs, commit
// records still to be written. It moves rows from state to state; the caller moves the objects.
// Deletion runs in the reverse order of I2: commit record, manifest, checkpoint row, packs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/ids.h"
#include "storage/metadata/checkpoints.h"

namespace cedana::metadata {

struct OwnedCheckpoint {
  base::OrgId organisation;
  Checkpoint row;
};

struct DoomedPack {
  base::OrgId organisation;
  PackPlaces places;
};

// What a save's prefix may keep holding.
struct KnownObjects {
  absl::flat_hash_set<base::PackId> packs;
  absl::flat_hash_set<base::CheckpointId> manifests;
  bool open = false;  // it may yet commit, or a sweep of it is still to come
};

// Thread-safe; meant for one collector at a time.
class Collection {
 public:
  virtual ~Collection() = default;

  // Commits without a record yet, oldest first.
  virtual absl::StatusOr<std::vector<OwnedCheckpoint>> PendingRecords(int limit) = 0;
  virtual absl::Status RecordWritten(uint64_t sequence) = 0;
  // The visible checkpoint of that commit; absent is a value.
  virtual absl::StatusOr<std::optional<OwnedCheckpoint>> Committed(uint64_t sequence) = 0;
  // The sequences of the organisation's visible checkpoints whose record was written.
  virtual absl::StatusOr<std::vector<uint64_t>> RecordedCommits(
      const base::OrgId& organisation) = 0;

  // The sequences of all its checkpoints, hidden ones as well.
  virtual absl::StatusOr<std::vector<uint64_t>> KnownCommits(const base::OrgId& organisation) = 0;
  // The sequence of the newest commit.
  virtual absl::StatusOr<uint64_t> LastSequence() = 0;
  // The object stores hold commits up to `sequence` that this catalog never saw: it is older than
  // they are. None of these sequences is given again; and no save that was begun so far is swept
  // any more, because it may be one of those that committed.
  virtual absl::Status SkipTo(uint64_t sequence) = 0;

  // Saves that have ended, no grant of theirs is good any more, and a sweep is due. Open saves
  // whose lease has ended are aborted by this call, before anything of theirs is deleted.
  virtual absl::StatusOr<std::vector<base::SaveId>> DeadSaves(int limit) = 0;
  virtual absl::StatusOr<KnownObjects> KnownOf(const base::SaveId& save) = 0;
  // One sweep is done; the second is due after `again`, after that none.
  virtual absl::Status Swept(const base::SaveId& save, absl::Duration again) = 0;

  // Hidden checkpoints that no live hold protects.
  virtual absl::StatusOr<std::vector<OwnedCheckpoint>> HiddenCheckpoints(int limit) = 0;
  // Their objects are gone: the row, and a record still queued, go.
  virtual absl::Status Forget(const base::OrgId& organisation, const base::CheckpointId& id) = 0;

  // Marks live packs that no checkpoint reaches as condemned; returns how many.
  virtual absl::StatusOr<uint64_t> Condemn() = 0;
  // Condemned for at least `grace` and still unreachable: deleting. A commit that refers to one
  // wins before this transaction and fails after it.
  virtual absl::StatusOr<uint64_t> Doom(absl::Duration grace) = 0;
  virtual absl::StatusOr<std::vector<DoomedPack>> Doomed(int limit) = 0;
  virtual absl::Status ForgetPacks(const std::vector<DoomedPack>& packs) = 0;

  // Drops ended holds, and rows of saves that ended long ago.
  virtual absl::Status DropOldRows(absl::Duration keep_saves) = 0;
};

}  // namespace cedana::metadata
