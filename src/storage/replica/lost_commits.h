// Commits that the object stores know and the catalog does not, because it was restored from a
// backup that is older than they are, or begun anew. Their checkpoints are not to be seen, but
// their objects are the only way to have them again: none of them is deleted while a commit record
// says that they were committed, and no commit gets a sequence of theirs.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

// Compares the newest commit records at a provider with the catalog, once per provider and start of
// the service; before that nothing there may be swept. Where the catalog turns out to be the older
// one it is told so, and the log.
absl::Status CompareRecords(const base::Context& context, const Vault& vault,
                            const Provider& provider);

// At all providers that answer soon, before the service takes requests. The others are compared
// when something is to be swept there.
void CompareAllRecords(const base::Context& context, const Vault& vault);

// Which saves such commits may be of. What it asks the providers for is asked once, and only when
// there is a save to judge, which is seldom: each pass of a scrub has one of these. What records
// say is believed without a seal: false ones only keep strays from being deleted.
class LostCommits {
 public:
  explicit LostCommits(const Vault* vault) : vault_(*vault) {}

  // Whether the save may hold objects of a lost commit. An error: nobody knows.
  absl::StatusOr<bool> MayOwn(const base::Context& context, const base::SaveId& save);

 private:
  absl::Status Load(const base::Context& context);
  absl::Status LoadFrom(const base::Context& context, const Provider& provider,
                        const std::set<uint64_t>& known);

  const Vault& vault_;
  std::optional<std::set<base::CheckpointId>> lost_;
  std::map<base::SaveId, bool> judged_;
};

}  // namespace cedana::replica
