// Judging how many copies there are, inside whatever transaction changed them. The catalog alone
// decides: providers' domains and states, shards' states, the organisation's policy.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/metadata/database_internal.h"
#include "storage/metadata/providers.h"
#include "storage/metadata/replication.h"
#include "storage/metadata/sqlite_metadata_internal.h"

namespace cedana::metadata {

absl::StatusOr<Policy> EffectivePolicy(Connection& connection, const base::OrgId& organisation);

// Makes, keeps or removes the row of debt of one object; returns in how many failure domains it
// can be read.
absl::StatusOr<uint32_t> Assess(Connection& connection, const Policy& policy, const ObjectRef& ref,
                                int64_t now_ms);
// The same for everything of an organisation, or of all.
absl::Status AssessOrganisation(Connection& connection, const base::OrgId& organisation,
                                int64_t now_ms);
absl::Status AssessAll(Connection& connection, int64_t now_ms);

// Fills in what a checkpoint's durability is now: "fully replicated", "durable" (at least `ack`
// copies of everything), "endangered" (fewer, though all can be read), "lost" (something can be
// read nowhere).
absl::Status FillDurability(Connection& connection, const base::OrgId& organisation,
                            const std::vector<Checkpoint*>& checkpoints);

}  // namespace cedana::metadata
