// Collection: everything that must disappear, disappears here and nowhere else, in the reverse
// order of writing (I2). A round never blocks a dump: it moves rows in short transactions and
// deletes objects between them; what it cannot delete now it finds again in the next round.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/context.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

struct CollectionCounts {
  uint64_t commit_records = 0;  // written
  uint64_t swept_saves = 0;
  uint64_t swept_objects = 0;
  uint64_t deleted_checkpoints = 0;
  uint64_t condemned_packs = 0;
  uint64_t deleted_packs = 0;
  uint64_t deleted_bytes = 0;
};

// Thread-safe: one round runs at a time, others wait.
class Collector {
 public:
  explicit Collector(const Vault* vault) : vault_(*vault) {}

  // Everything that is due now. The first error, after all steps were tried.
  absl::StatusOr<CollectionCounts> Round(const base::Context& context) ABSL_LOCKS_EXCLUDED(mutex_);
  // Only the commit records that are queued.
  absl::Status WriteRecords(const base::Context& context) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Status WriteRecords(const base::Context& context, CollectionCounts* counts)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status SweepSaves(const base::Context& context, CollectionCounts* counts);
  absl::Status SweepSave(const base::Context& context, const base::SaveId& save,
                         CollectionCounts* counts);
  absl::Status DeleteCheckpoints(const base::Context& context, CollectionCounts* counts);
  absl::Status DeletePacks(const base::Context& context, CollectionCounts* counts);

  const Vault& vault_;
  // One round at a time. It also keeps a commit record from being written for a checkpoint that is
  // being deleted.
  absl::Mutex mutex_;
};

}  // namespace cedana::replica
