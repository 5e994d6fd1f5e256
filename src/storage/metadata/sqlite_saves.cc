#include <algorithm>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "storage/metadata/debt_internal.h"
#include "storage/metadata/errors.h"
#include "storage/metadata/paths.h"
#include "storage/metadata/sqlite_metadata_internal.h"

namespace cedana::metadata {
namespace {

constexpr int kGeneratedNamesMax = 10000;

struct SaveRow {
  Save save;
  int64_t grants_until_ms = 0;
};

class SqliteSaves : public Saves {
 public:
  explicit SqliteSaves(const Shared* shared) : shared_(*shared) {}

  absl::StatusOr<Save> Begin(const base::OrgId& organisation, const NewSave& wanted) override {
    return Written<Save>([&](Connection& connection) -> absl::StatusOr<Save> {
      CEDANA_ASSIGN_OR_RETURN(std::optional<SaveRow> row, Load(connection, wanted.id));
      if (row.has_value()) return BeginAgain(connection, organisation, wanted, *row);
      CEDANA_RETURN_IF_ERROR(CheckFresh(connection, organisation, wanted));
      CEDANA_ASSIGN_OR_RETURN(const std::string path, FreePath(connection, organisation, wanted));
      CEDANA_ASSIGN_OR_RETURN(const uint64_t fencing, NextCounter(connection, "fencing"));
      const int64_t now = shared_.Now();
      const int64_t lease_until = now + shared_.lease_ms;
      Query insert(connection,
                   "INSERT INTO saves(id, organisation, checkpoint, path, state, fencing, "
                   "lease_until_ms, grants_until_ms) VALUES(?, ?, ?, ?, 0, ?, ?, ?)");
      CEDANA_RETURN_IF_ERROR(insert
                                 .Bind(wanted.id, organisation, wanted.checkpoint, path, fencing,
                                       lease_until, lease_until + shared_.grant_ms)
                                 .Run());
      return Save{wanted.id, organisation, wanted.checkpoint, path, SaveState::kOpen,
                  true,      fencing};
    });
  }

  absl::StatusOr<Save> Renew(const base::OrgId& organisation, const base::SaveId& id) override {
    return Written<Save>([&](Connection& connection) -> absl::StatusOr<Save> {
      CEDANA_ASSIGN_OR_RETURN(SaveRow row, LoadOwn(connection, organisation, id));
      CEDANA_RETURN_IF_ERROR(RequireLive(row.save));
      CEDANA_RETURN_IF_ERROR(Extend(connection, id));
      return row.save;
    });
  }

  absl::StatusOr<Save> Find(const base::OrgId& organisation, const base::SaveId& id) override {
    Save found{.id = id};
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      CEDANA_ASSIGN_OR_RETURN(std::optional<SaveRow> row, Load(connection, id));
      if (row.has_value() && row->save.organisation == organisation) found = row->save;
      return absl::OkStatus();
    }));
    return found;
  }

  absl::StatusOr<base::OrgId> OwnerOf(const base::SaveId& id) override {
    absl::StatusOr<base::OrgId> owner = absl::NotFoundError("save: none");
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      CEDANA_ASSIGN_OR_RETURN(std::optional<SaveRow> row, Load(connection, id));
      if (row.has_value()) owner = row->save.organisation;
      return absl::OkStatus();
    }));
    return owner;
  }

  absl::StatusOr<std::vector<base::SaveId>> Live() override {
    std::vector<base::SaveId> live;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      Query query(connection, "SELECT id FROM saves WHERE state = 0 AND lease_until_ms > ?");
      query.Bind(shared_.Now());
      while (query.Step()) live.push_back(query.Id<base::SaveId>(0));
      return query.status();
    }));
    return live;
  }

  absl::StatusOr<Checkpoint> Commit(const base::OrgId& organisation,
                                    const NewCheckpoint& wanted) override {
    return Written<Checkpoint>([&](Connection& connection) -> absl::StatusOr<Checkpoint> {
      CEDANA_ASSIGN_OR_RETURN(SaveRow row, LoadOwn(connection, organisation, wanted.save));
      if (row.save.state == SaveState::kCommitted) {
        return CommittedBefore(connection, organisation, row.save, wanted);
      }
      CEDANA_RETURN_IF_ERROR(RequireLive(row.save));
      if (row.save.checkpoint != wanted.row.id || row.save.path != wanted.row.path) {
        return absl::InvalidArgumentError("commit: not the checkpoint and path that were begun");
      }
      CEDANA_RETURN_IF_ERROR(LockPacks(connection, organisation, wanted));
      Checkpoint committed = wanted.row;
      committed.save = wanted.save;
      committed.created_ms = shared_.Now();
      CEDANA_ASSIGN_OR_RETURN(committed.sequence, NextCounter(connection, "sequence"));
      CEDANA_RETURN_IF_ERROR(Insert(connection, organisation, committed, wanted.packs));
      CEDANA_RETURN_IF_ERROR(RequireDurable(connection, organisation, wanted));
      CEDANA_RETURN_IF_ERROR(FillDurability(connection, organisation, {&committed}));
      CEDANA_RETURN_IF_ERROR(End(connection, wanted.save, SaveState::kCommitted));
      return committed;
    });
  }

  absl::Status Abort(const base::OrgId& organisation, const base::SaveId& id) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      CEDANA_ASSIGN_OR_RETURN(std::optional<SaveRow> row, Load(connection, id));
      if (!row.has_value()) {
        // A begin that is still on its way must not open it later.
        const int64_t now = shared_.Now();
        Query insert(connection,
                     "INSERT INTO saves(id, organisation, checkpoint, path, state, fencing, "
                     "lease_until_ms, grants_until_ms, ended_ms, sweep_due_ms) "
                     "VALUES(?, ?, ?, '', 2, 0, ?4, ?4, ?4, ?4)");
        return insert.Bind(id, organisation, base::CheckpointId(), now).Run();
      }
      if (row->save.organisation != organisation) return absl::NotFoundError("save: none");
      if (row->save.state == SaveState::kCommitted) {
        return absl::AlreadyExistsError("save: has committed already");
      }
      if (row->save.state == SaveState::kAborted) return absl::OkStatus();
      return End(connection, id, SaveState::kAborted);
    });
  }

 private:
  // A write whose body gives a value.
  template <typename T>
  absl::StatusOr<T> Written(const std::function<absl::StatusOr<T>(Connection&)>& body) {
    absl::StatusOr<T> result = absl::InternalError("catalog: nothing ran");
    CEDANA_RETURN_IF_ERROR(shared_.database->Write([&](Connection& connection) {
      result = body(connection);
      return result.status();
    }));
    return result;
  }

  absl::StatusOr<std::optional<SaveRow>> Load(Connection& connection, const base::SaveId& id) {
    Query query(connection,
                "SELECT organisation, checkpoint, path, state, fencing, lease_until_ms, "
                "grants_until_ms FROM saves WHERE id = ?");
    query.Bind(id);
    if (!query.Step()) {
      CEDANA_RETURN_IF_ERROR(query.status());
      return std::optional<SaveRow>();
    }
    SaveRow row;
    row.save = {id,
                query.Id<base::OrgId>(0),
                query.Id<base::CheckpointId>(1),
                query.Bytes(2),
                static_cast<SaveState>(query.Int(3)),
                false,
                static_cast<uint64_t>(query.Int(4))};
    row.save.lease_live = row.save.state == SaveState::kOpen && shared_.Now() < query.Int(5);
    row.grants_until_ms = query.Int(6);
    return std::optional<SaveRow>(std::move(row));
  }

  absl::StatusOr<SaveRow> LoadOwn(Connection& connection, const base::OrgId& organisation,
                                  const base::SaveId& id) {
    CEDANA_ASSIGN_OR_RETURN(std::optional<SaveRow> row, Load(connection, id));
    if (!row.has_value() || row->save.organisation != organisation) {
      return absl::NotFoundError("save: none");
    }
    return *std::move(row);
  }

  static absl::Status RequireLive(const Save& save) {
    if (save.lease_live) return absl::OkStatus();
    if (save.state == SaveState::kCommitted) {
      return absl::AlreadyExistsError("save: has committed already");
    }
    return absl::FailedPreconditionError(
        save.state == SaveState::kAborted ? "save: was aborted" : "save: its lease has ended");
  }

  absl::Status Extend(Connection& connection, const base::SaveId& id) {
    const int64_t lease_until = shared_.Now() + shared_.lease_ms;
    Query update(connection,
                 "UPDATE saves SET lease_until_ms = MAX(lease_until_ms, ?), "
                 "grants_until_ms = MAX(grants_until_ms, ?) WHERE id = ?");
    return update.Bind(lease_until, lease_until + shared_.grant_ms, id).Run();
  }

  absl::Status End(Connection& connection, const base::SaveId& id, SaveState state) {
    const int64_t now = shared_.Now();
    // Grants are given while the lease lives only, so none outlives now + grant.
    Query update(connection,
                 "UPDATE saves SET state = ?, ended_ms = ?, grants_until_ms = ?3, "
                 "sweep_due_ms = ?3 WHERE id = ?4");
    return update.Bind(static_cast<int>(state), now, now + shared_.grant_ms, id).Run();
  }

  absl::StatusOr<Save> BeginAgain(Connection& connection, const base::OrgId& organisation,
                                  const NewSave& wanted, const SaveRow& row) {
    if (row.save.organisation != organisation) return absl::NotFoundError("save: none");
    CEDANA_RETURN_IF_ERROR(RequireLive(row.save));
    if (row.save.checkpoint != wanted.checkpoint ||
        (!wanted.generated && row.save.path != wanted.path)) {
      return absl::InvalidArgumentError("begin: this save was begun with other words");
    }
    CEDANA_RETURN_IF_ERROR(Extend(connection, wanted.id));
    return row.save;
  }

  static absl::Status CheckFresh(Connection& connection, const base::OrgId& organisation,
                                 const NewSave& wanted) {
    Query query(connection, "SELECT 1 FROM checkpoints WHERE organisation = ? AND id = ?");
    query.Bind(organisation, wanted.checkpoint);
    if (query.Step()) return absl::AlreadyExistsError("begin: this checkpoint id was used before");
    return query.status();
  }

  absl::StatusOr<bool> Taken(Connection& connection, const base::OrgId& organisation,
                             const std::string& path) {
    if (IsFilePath(path)) return false;  // the commit that comes last wins
    Query query(connection,
                "SELECT 1 FROM checkpoints WHERE organisation = ?1 AND path = ?2 AND hidden_ms IS "
                "NULL UNION ALL SELECT 1 FROM saves WHERE organisation = ?1 AND path = ?2 AND "
                "state = 0 AND lease_until_ms > ?3 LIMIT 1");
    query.Bind(organisation, path, shared_.Now());
    const bool taken = query.Step();
    CEDANA_RETURN_IF_ERROR(query.status());
    return taken;
  }

  absl::StatusOr<std::string> FreePath(Connection& connection, const base::OrgId& organisation,
                                       const NewSave& wanted) {
    std::string path = wanted.path;
    for (int number = 2; number < kGeneratedNamesMax; ++number) {
      CEDANA_ASSIGN_OR_RETURN(const bool taken, Taken(connection, organisation, path));
      if (!taken) return path;
      if (!wanted.generated) break;
      CEDANA_ASSIGN_OR_RETURN(path, NormalisePath(absl::StrCat(wanted.path, "-", number)));
    }
    return absl::AlreadyExistsError(absl::StrCat("path ", wanted.path, ": is taken"));
  }

  static absl::StatusOr<Checkpoint> CommittedBefore(Connection& connection,
                                                    const base::OrgId& organisation,
                                                    const Save& save, const NewCheckpoint& wanted) {
    Query query(connection, "SELECT " CEDANA_CHECKPOINT_COLUMNS
                            " FROM checkpoints c WHERE c.organisation = ? AND c.id = ?");
    query.Bind(organisation, save.checkpoint);
    if (query.Step()) {
      Checkpoint before = ReadCheckpoint(query);
      CEDANA_RETURN_IF_ERROR(FillDurability(connection, organisation, {&before}));
      if (before.id == wanted.row.id && before.manifest_sha256 == wanted.row.manifest_sha256) {
        return before;
      }
      return absl::AlreadyExistsError("save: has committed another checkpoint");
    }
    CEDANA_RETURN_IF_ERROR(query.status());
    return absl::FailedPreconditionError("save: had committed, and was deleted since");
  }

  // Writes the own packs' rows; takes the others out of collection's hands or fails.
  absl::Status LockPacks(Connection& connection, const base::OrgId& organisation,
                         const NewCheckpoint& wanted) {
    absl::flat_hash_set<base::PackId> named;
    for (const CommittedPack& pack : wanted.packs) {
      if (!named.insert(pack.id).second) {
        return absl::InvalidArgumentError(
            absl::StrCat("commit: pack ", pack.id.ToHex(), " is named twice"));
      }
      CEDANA_RETURN_IF_ERROR(pack.own ? InsertPack(connection, organisation, wanted.save, pack)
                                      : LockPack(connection, organisation, pack.id));
    }
    return absl::OkStatus();
  }

  absl::Status InsertPack(Connection& connection, const base::OrgId& organisation,
                          const base::SaveId& save, const CommittedPack& pack) {
    const int64_t now = shared_.Now();
    Query insert(connection, "INSERT OR IGNORE INTO packs VALUES(?, ?, ?, ?, ?, ?, 0, ?)");
    CEDANA_RETURN_IF_ERROR(
        insert.Bind(organisation, pack.id, save, pack.bytes, pack.crc32c, pack.key_epoch, now)
            .Run());
    if (insert.changes() == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("commit: pack ", pack.id.ToHex(), " belongs to an earlier save"));
    }
    const auto add = [&](const std::string& provider, ShardState state) {
      Query shard(connection, "INSERT OR IGNORE INTO shards VALUES(?, ?, ?, ?, ?)");
      return shard.Bind(organisation, pack.id, provider, now, static_cast<int>(state)).Run();
    };
    for (const std::string& provider : pack.providers) {
      CEDANA_RETURN_IF_ERROR(add(provider, ShardState::kLive));
    }
    for (const std::string& provider : pack.acknowledged) {
      CEDANA_RETURN_IF_ERROR(add(provider, ShardState::kAcknowledged));
    }
    return absl::OkStatus();
  }

  // Everything that the checkpoint refers to, and its manifest, is in `ack` failure domains; what
  // is short of `copies` is debt from here on. The providers' states are those of this transaction,
  // so one that was declared lost meanwhile does not count.
  absl::Status RequireDurable(Connection& connection, const base::OrgId& organisation,
                              const NewCheckpoint& wanted) {
    CEDANA_ASSIGN_OR_RETURN(const Policy policy, EffectivePolicy(connection, organisation));
    const auto require = [&](const ObjectRef& ref, absl::string_view what) -> absl::Status {
      CEDANA_ASSIGN_OR_RETURN(const uint32_t live, Assess(connection, policy, ref, shared_.Now()));
      if (live >= policy.ack) return absl::OkStatus();
      return absl::FailedPreconditionError(absl::StrCat("commit: ", what, " ", ref.id.ToHex(),
                                                        " is whole in ", live, " failure domains, ",
                                                        policy.ack, " are wanted"));
    };
    for (const CommittedPack& pack : wanted.packs) {
      CEDANA_RETURN_IF_ERROR(require(ObjectRef::Pack(organisation, pack.id), "pack"));
    }
    return require(ObjectRef::Manifest(organisation, wanted.row.id), "manifest");
  }

  absl::Status LockPack(Connection& connection, const base::OrgId& organisation,
                        const base::PackId& pack) {
    Query update(
        connection,
        "UPDATE packs SET state = 0, since_ms = CASE state WHEN 0 THEN since_ms ELSE ? END "
        "WHERE organisation = ? AND id = ? AND state < 2");
    CEDANA_RETURN_IF_ERROR(update.Bind(shared_.Now(), organisation, pack).Run());
    if (update.changes() != 0) return absl::OkStatus();
    return ParentGone(
        absl::StrCat("commit: pack ", pack.ToHex(), " of an older checkpoint is gone"));
  }

  static absl::Status Insert(Connection& connection, const base::OrgId& organisation,
                             const Checkpoint& row, const std::vector<CommittedPack>& packs) {
    if (IsFilePath(row.path)) {
      Query hide(connection,
                 "UPDATE checkpoints SET hidden_ms = ? WHERE organisation = ? AND path = ? AND "
                 "hidden_ms IS NULL");
      CEDANA_RETURN_IF_ERROR(hide.Bind(row.created_ms, organisation, row.path).Run());
    } else {
      Query taken(connection,
                  "SELECT 1 FROM checkpoints WHERE organisation = ? AND path = ? AND hidden_ms IS "
                  "NULL");
      taken.Bind(organisation, row.path);
      if (taken.Step())
        return absl::AlreadyExistsError(absl::StrCat("path ", row.path, ": is taken"));
      CEDANA_RETURN_IF_ERROR(taken.status());
    }
    Query insert(
        connection,
        "INSERT INTO checkpoints(organisation, id, save, path, sequence, created_ms, image_bytes, "
        "stored_bytes, new_bytes, codec, durability, job_id, job_name, facts, manifest_sha256, "
        "manifest_bytes, packs) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?, ?)");
    insert.Bind(organisation, row.id, row.save, row.path, row.sequence, row.created_ms,
                row.image_bytes, row.stored_bytes, row.new_bytes, row.codec, row.job_id,
                row.job_name, row.facts, Blob{row.manifest_sha256}, row.manifest_bytes,
                Blob{EncodePackList(packs)});
    CEDANA_RETURN_IF_ERROR(insert.Run());
    for (const std::string& provider : row.manifest_providers) {
      Query shard(connection, "INSERT INTO manifest_shards VALUES(?, ?, ?, ?, 0)");
      CEDANA_RETURN_IF_ERROR(shard.Bind(organisation, row.id, provider, row.created_ms).Run());
    }
    Query record(connection, "INSERT INTO commit_records VALUES(?, ?, ?)");
    return record.Bind(row.sequence, organisation, row.id).Run();
  }

  const Shared& shared_;
};

}  // namespace

std::unique_ptr<Saves> MakeSaves(const Shared* shared) {
  return std::make_unique<SqliteSaves>(shared);
}

}  // namespace cedana::metadata
