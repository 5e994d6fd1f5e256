// A repository's catalog under the paths that the rest of the program uses: "bucket/folder/name"
// for the name "name" in the folder "bucket/folder".
#pragma once

#include <string>
#include <vector>

#include "core/transfer/catalog.h"

namespace cedana::direct {

// Thread-safe. Borrows the catalog, whose paths are names.
class FolderCatalog : public transfer::Catalog {
 public:
  FolderCatalog(transfer::Catalog* inner, std::string folder)
      : inner_(*inner), folder_(std::move(folder)) {}

  // kInvalidArgument for a name of several segments: its URL would name another folder.
  absl::StatusOr<transfer::BegunSave> Begin(const base::Context& context,
                                            const transfer::BeginRequest& request) override;
  absl::Status Heartbeat(const base::Context& context, const base::SaveId& save) override {
    return inner_.Heartbeat(context, save);
  }
  absl::StatusOr<transfer::CheckpointInfo> Commit(const base::Context& context,
                                                  const transfer::CommitRequest& request) override;
  absl::Status Abort(const base::Context& context, const base::SaveId& save) override {
    return inner_.Abort(context, save);
  }
  absl::StatusOr<transfer::SaveOutcome> Outcome(const base::Context& context,
                                                const base::SaveId& save) override {
    return inner_.Outcome(context, save);
  }
  absl::StatusOr<transfer::OpenedCheckpoint> Open(const base::Context& context,
                                                  const std::string& path,
                                                  const base::LeaseId& lease) override;
  absl::Status RenewHold(const base::Context& context, const base::LeaseId& lease) override {
    return inner_.RenewHold(context, lease);
  }
  absl::Status Close(const base::Context& context, const base::LeaseId& lease) override {
    return inner_.Close(context, lease);
  }
  // A prefix above the folder, or none, means all of it.
  absl::StatusOr<std::vector<transfer::CheckpointInfo>> List(
      const base::Context& context, const transfer::ListQuery& query) override;
  absl::Status Delete(const base::Context& context, const std::string& path) override;

 private:
  absl::StatusOr<std::string> NameOf(const std::string& path) const;
  std::string PathOf(const std::string& name) const;

  transfer::Catalog& inner_;
  const std::string folder_;
};

}  // namespace cedana::direct
