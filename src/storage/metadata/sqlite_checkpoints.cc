#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "storage/metadata/debt_internal.h"

namespace cedana::metadata {
namespace {

absl::Status NoCheckpoint(const std::string& path) {
  return absl::NotFoundError(absl::StrCat("checkpoint ", path, ": none"));
}

struct HoldRow {
  base::CheckpointId checkpoint;
  bool live = false;
};

class SqliteCheckpoints : public Checkpoints {
 public:
  explicit SqliteCheckpoints(const Shared* shared) : shared_(*shared) {}

  absl::StatusOr<Checkpoint> Find(const base::OrgId& organisation,
                                  const std::string& path) override {
    std::optional<Checkpoint> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      CEDANA_RETURN_IF_ERROR(FindVisible(connection, organisation, path, &found));
      return found.has_value() ? FillDurability(connection, organisation, {&*found})
                               : absl::OkStatus();
    }));
    if (!found.has_value()) return NoCheckpoint(path);
    return *std::move(found);
  }

  absl::StatusOr<std::vector<Checkpoint>> List(const base::OrgId& organisation,
                                               const CheckpointFilter& filter) override {
    std::vector<Checkpoint> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      // '0' follows '/' in ASCII: everything under the folder lies between them.
      Query query(connection,
                  "SELECT " CEDANA_CHECKPOINT_COLUMNS
                  " FROM checkpoints c WHERE c.organisation = ?1 AND c.hidden_ms IS NULL"
                  " AND substr(c.path, 1, 1) <> '/'"  // no uploaded file
                  " AND (?2 = '' OR c.path = ?2 OR (c.path > ?2 || '/' AND c.path < ?2 "
                  "|| '0'))"
                  " AND (?3 = '' OR c.job_name = ?3) AND (?4 = '' OR c.job_id = ?4)"
                  " AND (?5 = 0 OR (c.job_id <> '' AND c.sequence = (SELECT "
                  "MAX(n.sequence) FROM checkpoints n WHERE n.organisation = ?1 AND "
                  "n.job_id = c.job_id AND n.hidden_ms IS NULL AND (?3 = '' OR "
                  "n.job_name = ?3) AND (?2 = '' OR n.path = ?2 OR (n.path > ?2 || '/' "
                  "AND n.path < ?2 || '0')))))"
                  " AND (?6 = 0 OR c.sequence < ?6) ORDER BY c.sequence DESC LIMIT ?7");
      query.Bind(organisation, filter.prefix, filter.job_name, filter.job_id, filter.newest_per_job,
                 filter.before_sequence, filter.limit);
      while (query.Step()) found.push_back(ReadCheckpoint(query));
      CEDANA_RETURN_IF_ERROR(query.status());
      std::vector<Checkpoint*> all;
      all.reserve(found.size());
      for (Checkpoint& checkpoint : found) all.push_back(&checkpoint);
      return FillDurability(connection, organisation, all);
    }));
    return found;
  }

  absl::StatusOr<std::vector<ListedName>> Names(const base::OrgId& organisation,
                                                const std::string& folder) override {
    std::vector<ListedName> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) {
      Query query(
          connection,
          "SELECT path, codec FROM checkpoints WHERE organisation = ?1 AND hidden_ms IS NULL "
          "AND (?2 = '' OR (path > ?2 || '/' AND path < ?2 || '0') "
          "OR (path > '/' || ?2 || '/' AND path < '/' || ?2 || '0')) ORDER BY path");
      query.Bind(organisation, folder);
      while (query.Step()) found.push_back({query.Bytes(0), query.Bytes(1)});
      return query.status();
    }));
    return found;
  }

  absl::Status Hide(const base::OrgId& organisation, const std::string& path) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      Query update(connection,
                   "UPDATE checkpoints SET hidden_ms = ? WHERE organisation = ? AND path = ? AND "
                   "hidden_ms IS NULL");
      CEDANA_RETURN_IF_ERROR(update.Bind(shared_.Now(), organisation, path).Run());
      if (update.changes() == 0) return NoCheckpoint(path);
      // A manifest that goes needs no more copies.
      Query debts(connection,
                  "DELETE FROM debts WHERE organisation = ?1 AND kind = 1 AND id IN (SELECT id "
                  "FROM checkpoints WHERE organisation = ?1 AND path = ?2)");
      return debts.Bind(organisation, path).Run();
    });
  }

  absl::StatusOr<Checkpoint> Hold(const base::OrgId& organisation, const std::string& path,
                                  const base::LeaseId& lease) override {
    std::optional<Checkpoint> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Write([&](Connection& connection) -> absl::Status {
      CEDANA_ASSIGN_OR_RETURN(std::optional<HoldRow> hold,
                              FindHold(connection, organisation, lease));
      if (hold.has_value() && hold->live) {
        // Held: the answer stays the same even when the checkpoint has been hidden since.
        CEDANA_RETURN_IF_ERROR(FindById(connection, organisation, hold->checkpoint, &found));
        if (!found.has_value() || found->path != path) {
          return absl::FailedPreconditionError("lease: holds another checkpoint");
        }
      } else {
        CEDANA_RETURN_IF_ERROR(FindVisible(connection, organisation, path, &found));
        if (!found.has_value()) return NoCheckpoint(path);
      }
      CEDANA_RETURN_IF_ERROR(FillDurability(connection, organisation, {&*found}));
      Query insert(connection, "INSERT OR REPLACE INTO holds VALUES(?, ?, ?, ?)");
      return insert.Bind(organisation, lease, found->id, shared_.Now() + shared_.lease_ms).Run();
    }));
    return *std::move(found);
  }

  absl::Status RenewHold(const base::OrgId& organisation, const base::LeaseId& lease) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      CEDANA_RETURN_IF_ERROR(RequireHold(connection, organisation, lease).status());
      Query update(connection,
                   "UPDATE holds SET expires_ms = ? WHERE organisation = ? AND lease = ?");
      return update.Bind(shared_.Now() + shared_.lease_ms, organisation, lease).Run();
    });
  }

  absl::Status Release(const base::OrgId& organisation, const base::LeaseId& lease) override {
    return shared_.database->Write([&](Connection& connection) {
      Query remove(connection, "DELETE FROM holds WHERE organisation = ? AND lease = ?");
      return remove.Bind(organisation, lease).Run();
    });
  }

  absl::StatusOr<std::vector<PackPlaces>> HeldPacks(
      const base::OrgId& organisation, const base::LeaseId& lease,
      const std::vector<base::PackId>& packs) override {
    std::vector<PackPlaces> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      CEDANA_ASSIGN_OR_RETURN(const HoldRow hold, RequireHold(connection, organisation, lease));
      absl::flat_hash_set<base::PackId> missing(packs.begin(), packs.end());
      Query list(connection, "SELECT packs FROM checkpoints WHERE organisation = ? AND id = ?");
      list.Bind(organisation, hold.checkpoint);
      if (list.Step()) {
        CEDANA_RETURN_IF_ERROR(
            DecodePackList(list.Bytes(0), [&](const base::PackId& pack) { missing.erase(pack); }));
      }
      CEDANA_RETURN_IF_ERROR(list.status());
      if (!missing.empty()) {
        return absl::NotFoundError(
            absl::StrCat("pack ", missing.begin()->ToHex(), ": none in this checkpoint"));
      }
      for (const base::PackId& pack : packs) {
        CEDANA_ASSIGN_OR_RETURN(PackPlaces places, Places(connection, organisation, pack));
        found.push_back(std::move(places));
      }
      return absl::OkStatus();
    }));
    return found;
  }

 private:
  static absl::Status FindVisible(Connection& connection, const base::OrgId& organisation,
                                  const std::string& path, std::optional<Checkpoint>* found) {
    Query query(connection, "SELECT " CEDANA_CHECKPOINT_COLUMNS
                            " FROM checkpoints c WHERE c.organisation = ? AND c.path = ? AND "
                            "c.hidden_ms IS NULL");
    query.Bind(organisation, path);
    if (query.Step()) *found = ReadCheckpoint(query);
    return query.status();
  }

  static absl::Status FindById(Connection& connection, const base::OrgId& organisation,
                               const base::CheckpointId& id, std::optional<Checkpoint>* found) {
    Query query(connection, "SELECT " CEDANA_CHECKPOINT_COLUMNS
                            " FROM checkpoints c WHERE c.organisation = ? AND c.id = ?");
    query.Bind(organisation, id);
    if (query.Step()) *found = ReadCheckpoint(query);
    return query.status();
  }

  absl::StatusOr<std::optional<HoldRow>> FindHold(Connection& connection,
                                                  const base::OrgId& organisation,
                                                  const base::LeaseId& lease) {
    Query query(connection,
                "SELECT checkpoint, expires_ms FROM holds WHERE organisation = ? AND lease = ?");
    query.Bind(organisation, lease);
    std::optional<HoldRow> hold;
    if (query.Step()) hold = HoldRow{query.Id<base::CheckpointId>(0), shared_.Now() < query.Int(1)};
    CEDANA_RETURN_IF_ERROR(query.status());
    return hold;
  }

  absl::StatusOr<HoldRow> RequireHold(Connection& connection, const base::OrgId& organisation,
                                      const base::LeaseId& lease) {
    CEDANA_ASSIGN_OR_RETURN(std::optional<HoldRow> hold, FindHold(connection, organisation, lease));
    if (!hold.has_value()) return absl::NotFoundError("lease: none");
    if (!hold->live) return absl::FailedPreconditionError("lease: has ended");
    return *hold;
  }

  static absl::StatusOr<PackPlaces> Places(Connection& connection, const base::OrgId& organisation,
                                           const base::PackId& pack) {
    PackPlaces places{.id = pack};
    Query query(connection,
                "SELECT save, bytes, crc32c FROM packs WHERE organisation = ? AND id = ?");
    query.Bind(organisation, pack);
    if (!query.Step()) {
      CEDANA_RETURN_IF_ERROR(query.status());
      return absl::NotFoundError(absl::StrCat("pack ", pack.ToHex(), ": none"));
    }
    places.save = query.Id<base::SaveId>(0);
    places.bytes = static_cast<uint64_t>(query.Int(1));
    places.crc32c = static_cast<uint32_t>(query.Int(2));
    CEDANA_ASSIGN_OR_RETURN(places.providers, ShardProviders(connection, organisation, pack));
    // With nothing better the bad ones: a part of such a shard may be good, and it may have been
    // put back from a copy. Whoever reads authenticates.
    if (places.providers.empty()) {
      Query damaged(
          connection,
          "SELECT provider FROM shards WHERE organisation = ? AND pack = ? AND state = 1");
      damaged.Bind(organisation, pack);
      while (damaged.Step()) places.providers.push_back(damaged.Bytes(0));
      CEDANA_RETURN_IF_ERROR(damaged.status());
    }
    return places;
  }

  const Shared& shared_;
};

}  // namespace

std::unique_ptr<Checkpoints> MakeCheckpoints(const Shared* shared) {
  return std::make_unique<SqliteCheckpoints>(shared);
}

}  // namespace cedana::metadata
