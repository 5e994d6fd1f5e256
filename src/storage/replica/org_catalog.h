// One organisation's view of the service: the catalog port of save and load (core/transfer), and
// the grants beside it. The HTTP interface and the tar view stand on it alone, so that what it does
// not offer, no token of the organisation can do (I12).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/transfer/catalog.h"
#include "core/transfer/pack_sink.h"
#include "core/transfer/pack_source.h"
#include "storage/replica/grants.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

struct WantedPack {
  base::PackId id;
  uint64_t bytes = 0;
  uint32_t crc32c = 0;
};

// Leave to upload or read one shard. `sent` is the request as the client has to send it to a cloud;
// a directory's is made by us (`grant` and `signature`), at the service's own address.
struct PackGrant {
  base::PackId pack;
  ProviderPtr provider;
  ObjectGrant grant;
  std::string signature;
  std::optional<objstore::SignedRequest> sent;
};

// Whose paths a catalog means: checkpoints', or those of files uploaded through /v2 (paths.h).
enum class PathKind { kCheckpoint, kFile };

// Thread-safe; cheap to make, one per request. Begin wants a path in its normal form (metadata's
// paths.h), the other calls take any form of it.
class OrgCatalog : public transfer::Catalog {
 public:
  // `vault` outlives it.
  OrgCatalog(const Vault* vault, const base::OrgId& organisation,
             PathKind kind = PathKind::kCheckpoint)
      : vault_(*vault), organisation_(organisation), kind_(kind) {}

  absl::StatusOr<transfer::BegunSave> Begin(const base::Context& context,
                                            const transfer::BeginRequest& request) override;
  absl::Status Heartbeat(const base::Context& context, const base::SaveId& save) override;
  absl::StatusOr<transfer::CheckpointInfo> Commit(const base::Context& context,
                                                  const transfer::CommitRequest& request) override;
  absl::Status Abort(const base::Context& context, const base::SaveId& save) override;
  absl::StatusOr<transfer::SaveOutcome> Outcome(const base::Context& context,
                                                const base::SaveId& save) override;
  absl::StatusOr<transfer::OpenedCheckpoint> Open(const base::Context& context,
                                                  const std::string& path,
                                                  const base::LeaseId& lease) override;
  absl::Status RenewHold(const base::Context& context, const base::LeaseId& lease) override;
  absl::Status Close(const base::Context& context, const base::LeaseId& lease) override;
  absl::StatusOr<std::vector<transfer::CheckpointInfo>> List(
      const base::Context& context, const transfer::ListQuery& query) override;
  absl::Status Delete(const base::Context& context, const std::string& path) override;

  // How many copies, and how many of them before a commit.
  absl::StatusOr<metadata::Policy> Policy();
  // Upload grants of an open save: for every pack one at each active provider, best first, so that
  // a client can go on by itself when some of them, or this service, fail. It is to fill
  // Policy().copies different failure domains.
  absl::StatusOr<std::vector<PackGrant>> GrantUploads(const base::SaveId& save,
                                                      const std::vector<WantedPack>& packs);
  // OK when the hold's checkpoint refers to the pack.
  absl::Status RequireHeld(const base::LeaseId& lease, const base::PackId& pack);
  // What the client saw of the providers: hints for the order in which it gets grants.
  void Report(const std::string& provider, const ClientReport& report);
  // Read grants of a hold: every shard of each pack, best first.
  absl::StatusOr<std::vector<PackGrant>> GrantReads(const base::LeaseId& lease,
                                                    const std::vector<base::PackId>& packs);
  // Path and state of a save; the state is kUnknown where there is none.
  absl::StatusOr<metadata::Save> FindSave(const base::SaveId& save);
  // What /v2 lists.
  absl::StatusOr<transfer::CheckpointInfo> Find(const std::string& path);
  absl::StatusOr<std::vector<metadata::ListedName>> Names(const std::string& folder);

  const base::OrgId& organisation() const { return organisation_; }
  const Vault& vault() const { return vault_; }

 private:
  absl::StatusOr<format::OrganisationKeys> Keys();
  // The path as the catalog keeps it.
  absl::StatusOr<std::string> Normal(const std::string& path) const;
  // Grants of one object for each of `providers` that can be granted at.
  void AddGrants(const std::vector<ProviderPtr>& providers, const base::PackId& pack,
                 const ObjectGrant& grant, std::vector<PackGrant>* grants);
  absl::StatusOr<std::string> ReadManifest(const base::Context& context,
                                           const metadata::Checkpoint& row);
  // `listed`: the catalog believes that this provider has it.
  absl::StatusOr<std::string> ReadManifestFrom(const base::Context& context,
                                               const metadata::Checkpoint& row,
                                               const Provider& provider, bool listed);

  const Vault& vault_;
  const base::OrgId organisation_;
  const PathKind kind_;
};

// The other two ports, straight to the providers.
std::unique_ptr<transfer::PackSink> MakePackSink(const Vault* vault, const base::SaveId& save);
std::unique_ptr<transfer::PackSource> MakePackSource(const Vault* vault,
                                                     const base::OrgId& organisation,
                                                     const base::LeaseId& lease);

}  // namespace cedana::replica
