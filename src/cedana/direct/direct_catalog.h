// transfer::Catalog straight over one object store (docs/format/direct.md). Paths are names below
// the repository's folder; direct_backend.h puts the folder before them.
//
// Where the port speaks of leases: a save's lease is judged by the store's clock, and its end alone
// changes nothing; it allows others to end the save. An object store keeps no holds: collection
// spares for a day what is being read, and a renewal asks whether the checkpoint is still there.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cedana/direct/names.h"
#include "cedana/direct/object_names.h"
#include "cedana/direct/records.h"
#include "cedana/direct/site.h"
#include "core/transfer/catalog.h"

namespace cedana::direct {

// Thread-safe. A save is committed and renewed by the catalog that began it; any catalog of the
// folder may abort it. No lock is held while the store is asked.
class DirectCatalog : public transfer::Catalog {
 public:
  struct Options {
    std::optional<format::Key256> key;  // of the key file
    Times times;
    base::Services services;
    size_t at_once = kRequestsAtOnce;
  };
  // Borrows `store`. Connects to nothing yet; the first Begin creates the repository.
  DirectCatalog(RetryingStore* store, const Options& options) : store_(*store), options_(options) {}

  // kUnknown: it failed for now, and holds the name until the lease ends unless it is aborted.
  absl::StatusOr<transfer::BegunSave> Begin(const base::Context& context,
                                            const transfer::BeginRequest& request) override;
  absl::Status Heartbeat(const base::Context& context, const base::SaveId& save) override;
  // One attempt at the decision: transfer::Save tries again, and asks for the outcome.
  absl::StatusOr<transfer::CheckpointInfo> Commit(const base::Context& context,
                                                  const transfer::CommitRequest& request) override;
  // A commit that was deleted counts here and in Outcome, too, as long as anything tells of it: its
  // mark, once it is collected, which stays where the owner does not know.
  absl::Status Abort(const base::Context& context, const base::SaveId& save) override;
  // kUnknown for a save that is undecided and was not begun here.
  absl::StatusOr<transfer::SaveOutcome> Outcome(const base::Context& context,
                                                const base::SaveId& save) override;
  absl::StatusOr<transfer::OpenedCheckpoint> Open(const base::Context& context,
                                                  const std::string& path,
                                                  const base::LeaseId& lease) override;
  absl::Status RenewHold(const base::Context& context, const base::LeaseId& lease) override;
  absl::Status Close(const base::Context& context, const base::LeaseId& lease) override;
  // Empty where there is no repository.
  absl::StatusOr<std::vector<transfer::CheckpointInfo>> List(
      const base::Context& context, const transfer::ListQuery& query) override;
  absl::Status Delete(const base::Context& context, const std::string& path) override;

  // For the health check and the collector. `create`: where there is none.
  absl::StatusOr<Repository> OpenedRepository(const base::Context& context, bool create = false);

 private:
  struct OpenSave {
    transfer::BeginRequest request;
    std::string name;
    uint32_t turn = 0;
    std::optional<IndexEntry> entry;                    // drawn by the first attempt to commit
    bool may_be_decided = false;                        // an attempt's answer is not known
    std::optional<transfer::CheckpointInfo> committed;  // what was answered
  };
  struct Hold {
    base::SaveId save;
    absl::Duration renewed;  // Monotonic
  };

  absl::StatusOr<Site> OpenSite(const base::Context& context, bool create);
  std::optional<OpenSave> FindSave(const base::SaveId& save);
  absl::StatusOr<OpenSave> ClaimFreeName(const base::Context& context, const Site& site,
                                         const transfer::BeginRequest& request, absl::Time intent);
  absl::StatusOr<IndexEntry> EnterIndex(const base::Context& context, const Site& site,
                                        const OpenSave& save, const transfer::JobFacts& facts);
  absl::Status Decide(const base::Context& context, const Site& site, const Decision& decision,
                      bool may_be_decided);
  absl::Time SettleCommit(const base::Context& context, const Site& site, const base::SaveId& save,
                          bool sent_before);
  transfer::BegunSave Begun(const Repository& repository, const std::string& name) const;

  RetryingStore& store_;
  const Options options_;
  absl::Mutex mutex_;
  std::unique_ptr<const Repository> repository_ ABSL_GUARDED_BY(mutex_);  // never changes again
  std::map<base::SaveId, OpenSave> saves_ ABSL_GUARDED_BY(mutex_);
  std::map<base::LeaseId, Hold> holds_ ABSL_GUARDED_BY(mutex_);
};

// Newest first; see Catalog::List.
absl::StatusOr<std::vector<transfer::CheckpointInfo>> ListCheckpoints(
    const base::Context& context, const Site& site, const transfer::ListQuery& query);

}  // namespace cedana::direct
