// Whether a provider's grants bind what its capabilities claim. Those say what the dialect's own
// cloud does; a server that only speaks its language may take the headers and do nothing about
// them, and then packs that nobody has read would count as whole.
#pragma once

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

// Uploads by grants one object that is right, and, where the store claims that a grant binds them,
// one with a wrong byte and one of another size: `x/probe-<random>-…`, deleted afterwards. Returns
// the store's capabilities without the claims that did not hold. An error: not even the right one
// was taken, or an answer says nothing.
absl::StatusOr<objstore::Capabilities> TryGrants(const base::Context& context, const Vault& vault,
                                                 const Provider& provider);

}  // namespace cedana::replica
