// The SQLite implementations of the four interfaces and what they share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "storage/metadata/database_internal.h"
#include "storage/metadata/metadata.h"

namespace cedana::metadata {

enum class PackState { kLive = 0, kCondemned = 1, kDeleting = 2 };

// What every part works on; outlives them.
struct Shared {
  Database* database;
  base::Clock* clock;
  int64_t lease_ms;
  int64_t grant_ms;
  int64_t Now() const;
};

// The columns that ReadCheckpoint reads, from column 0 on.
#define CEDANA_CHECKPOINT_COLUMNS                                                    \
  "c.id, c.save, c.path, c.sequence, c.created_ms, c.image_bytes, c.stored_bytes, "  \
  "c.new_bytes, c.codec, c.job_id, c.job_name, c.facts, c.manifest_sha256, "         \
  "c.manifest_bytes, (SELECT GROUP_CONCAT(m.provider) FROM manifest_shards m WHERE " \
  "m.organisation = c.organisation AND m.checkpoint = c.id AND m.state <> 1)"
inline constexpr int kCheckpointColumns = 15;
// Everything but the durability (debt_internal.h).
Checkpoint ReadCheckpoint(const Query& row);

// A checkpoint's list of packs as its column keeps it.
std::string EncodePackList(const std::vector<CommittedPack>& packs);
// Calls `visit` for each; kDataLoss for a format that is not known.
absl::Status DecodePackList(absl::string_view column,
                            const std::function<void(const base::PackId&)>& visit);

// The next value of a row of `counters`.
absl::StatusOr<uint64_t> NextCounter(Connection& connection, const std::string& name);
absl::Status AddChore(Connection& connection, const Chore& chore, int64_t now_ms);
// The packs' places: providers that are thought to hold a good shard.
absl::StatusOr<std::vector<std::string>> ShardProviders(Connection& connection,
                                                        const base::OrgId& organisation,
                                                        const base::PackId& pack);

std::unique_ptr<Identities> MakeIdentities(const Shared* shared);
std::unique_ptr<Saves> MakeSaves(const Shared* shared);
std::unique_ptr<Checkpoints> MakeCheckpoints(const Shared* shared);
std::unique_ptr<Collection> MakeCollection(const Shared* shared);
std::unique_ptr<Providers> MakeProviders(const Shared* shared);
std::unique_ptr<Replication> MakeReplication(const Shared* shared);
std::unique_ptr<Chores> MakeChores(const Shared* shared);

}  // namespace cedana::metadata
