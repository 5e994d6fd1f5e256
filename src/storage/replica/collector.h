// Collection: everything that must disappear, disappears here and nowhere else, in the reverse
// order of writing (I2). A round never blocks a dump: it moves rows in short transactions and
// deletes objects between them. A provider that is dark blocks nobody either: what it cannot do now
// becomes its chore, and is done by the first round that finds it healthy.
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
  uint64_t chores_done = 0;  // what a provider owed from earlier
  uint64_t chores_left = 0;  // what some provider still owes
};

// Thread-safe: one round runs at a time, others wait.
class Collector {
 public:
  explicit Collector(const Vault* vault) : vault_(*vault) {}

  // Everything that is due now. The first error, after all steps were tried.
  absl::StatusOr<CollectionCounts> Round(const base::Context& context) ABSL_LOCKS_EXCLUDED(mutex_);
  // Only the commit records that are queued.
  absl::Status WriteRecords(const base::Context& context) ABSL_LOCKS_EXCLUDED(mutex_);
  // Only the chores of providers that are healthy; returns how many were done.
  absl::StatusOr<uint64_t> DoChores(const base::Context& context) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Status WriteRecords(const base::Context& context, CollectionCounts* counts)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status SweepSaves(const base::Context& context, CollectionCounts* counts);
  absl::Status SweepSave(const base::Context& context, const base::SaveId& save,
                         CollectionCounts* counts);
  absl::Status SweepSaveAt(const base::Context& context, const base::SaveId& save,
                           const Provider& provider, CollectionCounts* counts);
  absl::Status DoChores(const base::Context& context, CollectionCounts* counts);
  absl::Status DoChore(const base::Context& context, const Provider& provider,
                       const metadata::Chore& chore, CollectionCounts* counts);
  absl::StatusOr<std::string> SealRecord(const metadata::OwnedCheckpoint& committed);
  absl::Status DeleteCheckpoints(const base::Context& context, CollectionCounts* counts);
  absl::Status DeletePacks(const base::Context& context, CollectionCounts* counts);

  const Vault& vault_;
  // One round at a time. It also keeps a commit record from being written for a checkpoint that is
  // being deleted.
  absl::Mutex mutex_;
};

}  // namespace cedana::replica
