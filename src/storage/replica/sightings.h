// Before a commit: which of a save's own packs are whole at which provider, as the service itself
// sees it. Listings run in parallel, and a dark provider does not hold them up.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "core/base/context.h"
#include "core/transfer/catalog.h"
#include "storage/metadata/saves.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

// Fills in `providers` (seen: the size, and the checksum by what the provider keeps, by a grant
// that enforces it, or by reading the pack back, several at once) and `acknowledged` (the provider
// cannot be listed now, but took it under a grant that enforces both, or was read ahead) of each
// own pack; `packs` are in the order of the request. What a provider took that enforces less and
// cannot be asked now, or has lost or changed since, is copied elsewhere (spare_copies.h) where
// `policy.ack` needs it and another provider has it whole.
// kFailedPrecondition, in one line, when a pack is in fewer failure domains than `policy.ack`;
// kUnavailable when only packs are missing for that which are not read back or copied yet, or whose
// provider may come back: the same commit again goes on there.
absl::Status SeeOwnPacks(const base::Context& context, const Vault& vault,
                         const transfer::CommitRequest& request, const metadata::Policy& policy,
                         std::vector<metadata::CommittedPack>* packs);

}  // namespace cedana::replica
