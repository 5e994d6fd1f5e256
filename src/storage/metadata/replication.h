// Debt: packs and manifests that have fewer copies than their organisation's policy wants. Rows
// are made where copies become known or lost (commit, damage, a provider's end) and go when the
// copies are there; storage/replica's Repairer moves the bytes between.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/ids.h"
#include "storage/metadata/checkpoints.h"
#include "storage/metadata/chores.h"

namespace cedana::metadata {

enum class ObjectKind { kPack = 0, kManifest = 1 };

struct ObjectTag {};
using ObjectId = base::Id<ObjectTag>;  // a pack's or a checkpoint's

struct ObjectRef {
  base::OrgId organisation;
  ObjectKind kind = ObjectKind::kPack;
  ObjectId id;

  static ObjectRef Pack(const base::OrgId& organisation, const base::PackId& pack) {
    return {organisation, ObjectKind::kPack, ObjectId::FromBytes(pack.data())};
  }
  static ObjectRef Manifest(const base::OrgId& organisation, const base::CheckpointId& checkpoint) {
    return {organisation, ObjectKind::kManifest, ObjectId::FromBytes(checkpoint.data())};
  }
  // Requires: of that kind.
  base::PackId pack() const { return base::PackId::FromBytes(id.data()); }
  base::CheckpointId checkpoint() const { return base::CheckpointId::FromBytes(id.data()); }
};

// kAcknowledged: the client says that the provider took it, and the provider could not be listed.
enum class ShardState { kLive = 0, kDamaged = 1, kAcknowledged = 2 };

struct Shard {
  std::string provider;
  ShardState state = ShardState::kLive;
};

// What a repair needs to know.
struct ReplicatedObject {
  ObjectRef ref;
  base::SaveId save;  // part of its key
  uint64_t bytes = 0;
  std::optional<uint32_t> crc32c;  // of a pack
  std::string sha256;              // of a manifest
  std::vector<Shard> shards;
  uint32_t copies = 0;  // wanted, in different failure domains
};

struct Debt {
  ObjectRef ref;
  uint32_t live = 0;  // failure domains in which it can be read
  int64_t since_ms = 0;
  uint32_t tries = 0;
};

struct DebtSummary {
  uint64_t packs = 0;
  uint64_t manifests = 0;
  uint64_t bytes = 0;       // of one copy of each pack
  uint64_t endangered = 0;  // can be read in fewer failure domains than `ack`, but in one at least
  uint64_t lost = 0;        // can be read nowhere
  int64_t oldest_ms = 0;    // 0: no debt
};

// Where a shard lies, as a listing of the provider shows it: sorted by save, then id.
struct PlacedShard {
  ObjectRef ref;
  base::SaveId save;
  uint64_t bytes = 0;
  std::optional<uint32_t> crc32c;  // of a pack
};

// Thread-safe.
class Replication {
 public:
  virtual ~Replication() = default;

  // kNotFound when it is gone or being deleted.
  virtual absl::StatusOr<ReplicatedObject> Find(const ObjectRef& ref) = 0;
  // A shard was found or written (kLive), or found to be bad (kDamaged). kNotFound: as Find.
  virtual absl::Status SetShard(const ObjectRef& ref, const std::string& provider,
                                ShardState state) = 0;
  // It is not there.
  virtual absl::Status DropShard(const ObjectRef& ref, const std::string& provider) = 0;
  // Judges its debt once more; what is gone owes nothing. kFailedPrecondition: it still owes.
  virtual absl::Status Settle(const ObjectRef& ref) = 0;

  // Takes debts that are due, those with the fewest copies and then the oldest first, for `lease`:
  // no other worker gets them before its end.
  virtual absl::StatusOr<std::vector<Debt>> Claim(const std::string& worker, int limit,
                                                  absl::Duration lease) = 0;
  // The worker still has it in hand, for `lease` from now. Nothing where it is not the worker's.
  virtual absl::Status Renew(const std::string& worker, const Debt& debt, absl::Duration lease) = 0;
  // It could not be paid; due again after `wait`.
  virtual absl::Status Postpone(const Debt& debt, absl::Duration wait) = 0;
  // All that wait are due now: a provider came or came back.
  virtual absl::Status MakeDue() = 0;
  virtual absl::StatusOr<DebtSummary> Summary() = 0;

  // Live shards at `provider` that were seen by `not_after_ms`, from `after` on (exclusive; empty:
  // the first), whole saves, at least `limit` when there are so many.
  virtual absl::StatusOr<std::vector<PlacedShard>> ShardsAt(
      const std::string& provider, const std::optional<base::SaveId>& after, int64_t not_after_ms,
      int limit) = 0;
  // Some shards at a draining provider that are fully replicated without it.
  virtual absl::StatusOr<std::vector<PlacedShard>> Surplus(const std::string& provider,
                                                           int limit) = 0;
  // Gives one of them up, with the chore by which its bytes go, if it is surplus still: a copy
  // elsewhere may have turned out to be bad. kFailedPrecondition: it is needed. kNotFound: as Find.
  virtual absl::Status Retire(const ObjectRef& ref, const Chore& deletion) = 0;
  // An object of that save lies at a provider that is not known to have it: from now on it is, as
  // acknowledged, for repair to look at. False: nobody wants it, it is known, or is to be deleted.
  virtual absl::StatusOr<bool> FoundAgain(const base::SaveId& save, ObjectKind kind,
                                          const ObjectId& id, const std::string& provider,
                                          const std::string& key) = 0;
};

}  // namespace cedana::metadata
