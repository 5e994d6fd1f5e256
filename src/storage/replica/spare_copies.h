// A pack that a commit needs in one more place than it was seen in: copied by the service itself,
// from provider to provider.
#pragma once

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "core/base/ids.h"
#include "storage/metadata/saves.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

// Where no copy is of use.
struct NoCopyAt {
  std::set<std::string> domains;
  std::set<std::string> providers;  // by name: they have just not answered
};

// Reads the pack whole from one of `pack.providers`, checks it, and writes it, create-only, to the
// best provider that is left. Returns who has it now. One copy at a time, of all commits together:
// 32 MiB of memory.
absl::StatusOr<std::string> SpareCopy(const base::Context& context, const Vault& vault,
                                      const base::SaveId& save, const metadata::CommittedPack& pack,
                                      const NoCopyAt& excluded);

}  // namespace cedana::replica
