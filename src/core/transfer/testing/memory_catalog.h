// The catalog of one organisation in memory: every rule of catalog.h, nothing behind it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/transfer/catalog.h"

namespace cedana::transfer {

// Keys that are the same in every run: bytes 0, 1, 2…
format::OrganisationKeys TestKeys();

// Thread-safe.
class MemoryCatalog : public Catalog {
 public:
  struct Options {
    format::OrganisationKeys keys = TestKeys();
    absl::Duration lease = absl::Minutes(5);
    absl::Duration heartbeat = absl::Seconds(20);
    base::Clock* clock = nullptr;  // null: the system's
  };
  MemoryCatalog() : MemoryCatalog(Options()) {}
  explicit MemoryCatalog(Options options);

  absl::StatusOr<BegunSave> Begin(const base::Context& context,
                                  const BeginRequest& request) override;
  absl::Status Heartbeat(const base::Context& context, const base::SaveId& save) override;
  absl::StatusOr<CheckpointInfo> Commit(const base::Context& context,
                                        const CommitRequest& request) override;
  absl::Status Abort(const base::Context& context, const base::SaveId& save) override;
  absl::StatusOr<SaveOutcome> Outcome(const base::Context& context,
                                      const base::SaveId& save) override;
  absl::StatusOr<OpenedCheckpoint> Open(const base::Context& context, const std::string& path,
                                        const base::LeaseId& lease) override;
  absl::Status RenewHold(const base::Context& context, const base::LeaseId& lease) override;
  absl::Status Close(const base::Context& context, const base::LeaseId& lease) override;
  absl::StatusOr<std::vector<CheckpointInfo>> List(const base::Context& context,
                                                   const ListQuery& query) override;
  absl::Status Delete(const base::Context& context, const std::string& path) override;

  // For tests: ends every lease and hold now; what is stored; how many holds are open.
  void ExpireLeases();
  std::string ManifestOf(const std::string& path);
  void ReplaceManifest(const std::string& path, std::string manifest);
  size_t open_holds();
  size_t open_saves();

 private:
  struct SaveRow {
    BeginRequest request;
    std::string path;
    SaveOutcome outcome = SaveOutcome::kOpen;
    absl::Duration expires;
    CheckpointInfo info;  // once committed
  };
  struct CheckpointRow {
    CheckpointInfo info;
    std::string manifest;
    std::vector<StoredPack> packs;
  };
  absl::Duration Now() const { return options_.clock->Monotonic(); }
  bool TakenLocked(const std::string& path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  SaveRow* FindSaveLocked(const base::SaveId& save) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Options options_;
  absl::Mutex mutex_;
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<base::SaveId, SaveRow> saves_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, CheckpointRow> checkpoints_ ABSL_GUARDED_BY(mutex_);
  std::map<base::LeaseId, absl::Duration> holds_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::transfer
