#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "storage/metadata/chores.h"
#include "storage/metadata/sqlite_metadata_internal.h"

namespace cedana::metadata {
namespace {

// Rows moved per transaction, so that a commit never waits long behind collection.
constexpr size_t kBatch = 1000;

// What the checkpoints of one organisation reach. Taken from a snapshot without locking anybody:
// between the snapshot and the transaction that uses it only a commit can make a pack reachable
// (holds are taken on visible checkpoints only, and ended ones cannot be revived), so the
// transaction adds the commits with a higher sequence and is exact again.
struct Reach {
  base::OrgId organisation;
  uint64_t sequence = 0;  // of the snapshot
  absl::flat_hash_set<base::PackId> packs;
  std::vector<base::PackId> unreached;
};

class SqliteCollection : public Collection {
 public:
  explicit SqliteCollection(const Shared* shared) : shared_(*shared) {}

  absl::StatusOr<std::vector<OwnedCheckpoint>> PendingRecords(int limit) override {
    return Owned("SELECT " CEDANA_CHECKPOINT_COLUMNS
                 ", c.organisation FROM commit_records r JOIN checkpoints c ON c.organisation = "
                 "r.organisation AND c.id = r.checkpoint ORDER BY r.sequence LIMIT ?",
                 limit);
  }

  absl::Status RecordWritten(uint64_t sequence) override {
    return shared_.database->Write([&](Connection& connection) {
      Query remove(connection, "DELETE FROM commit_records WHERE sequence = ?");
      return remove.Bind(sequence).Run();
    });
  }

  absl::StatusOr<std::optional<OwnedCheckpoint>> Committed(uint64_t sequence) override {
    CEDANA_ASSIGN_OR_RETURN(
        std::vector<OwnedCheckpoint> found,
        Owned("SELECT " CEDANA_CHECKPOINT_COLUMNS
              ", c.organisation FROM checkpoints c WHERE c.sequence = ? AND c.hidden_ms IS NULL",
              sequence));
    if (found.empty()) return std::optional<OwnedCheckpoint>();
    return std::optional<OwnedCheckpoint>(std::move(found[0]));
  }

  absl::StatusOr<std::vector<uint64_t>> RecordedCommits(const base::OrgId& organisation) override {
    std::vector<uint64_t> sequences;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) {
      Query query(connection,
                  "SELECT sequence FROM checkpoints WHERE organisation = ? AND hidden_ms IS NULL "
                  "AND sequence NOT IN (SELECT sequence FROM commit_records)");
      query.Bind(organisation);
      while (query.Step()) sequences.push_back(static_cast<uint64_t>(query.Int(0)));
      return query.status();
    }));
    return sequences;
  }

  absl::StatusOr<std::vector<uint64_t>> KnownCommits(const base::OrgId& organisation) override {
    std::vector<uint64_t> sequences;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) {
      Query query(connection, "SELECT sequence FROM checkpoints WHERE organisation = ?");
      query.Bind(organisation);
      while (query.Step()) sequences.push_back(static_cast<uint64_t>(query.Int(0)));
      return query.status();
    }));
    return sequences;
  }

  absl::StatusOr<uint64_t> LastSequence() override {
    uint64_t last = 0;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) {
      Query query(connection, "SELECT value FROM counters WHERE name = 'sequence'");
      if (query.Step()) last = static_cast<uint64_t>(query.Int(0));
      return query.status();
    }));
    return last;
  }

  absl::Status SkipTo(uint64_t sequence) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      Query skip(connection,
                 "UPDATE counters SET value = ?1 WHERE name = 'sequence' AND value < ?1");
      CEDANA_RETURN_IF_ERROR(skip.Bind(sequence).Run());
      if (skip.changes() == 0) return absl::OkStatus();
      Query saves(connection, "UPDATE saves SET swept = 2 WHERE swept < 2");
      CEDANA_RETURN_IF_ERROR(saves.Run());
      Query chores(connection, "DELETE FROM chores WHERE kind = ?");
      return chores.Bind(static_cast<int>(ChoreKind::kSweepSave)).Run();
    });
  }

  absl::StatusOr<std::vector<base::SaveId>> DeadSaves(int limit) override {
    std::vector<base::SaveId> dead;
    CEDANA_RETURN_IF_ERROR(shared_.database->Write([&](Connection& connection) {
      const int64_t now = shared_.Now();
      Query abort(connection,
                  "UPDATE saves SET state = 2, ended_ms = ?1, sweep_due_ms = grants_until_ms WHERE "
                  "state = 0 AND lease_until_ms <= ?1");
      CEDANA_RETURN_IF_ERROR(abort.Bind(now).Run());
      Query query(
          connection,
          "SELECT id FROM saves WHERE swept < 2 AND sweep_due_ms <= ? ORDER BY sweep_due_ms "
          "LIMIT ?");
      query.Bind(now, limit);
      while (query.Step()) dead.push_back(query.Id<base::SaveId>(0));
      return query.status();
    }));
    return dead;
  }

  absl::StatusOr<KnownObjects> KnownOf(const base::SaveId& save) override {
    KnownObjects known;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      Query packs(connection, "SELECT id FROM packs WHERE save = ?");
      packs.Bind(save);
      while (packs.Step()) known.packs.insert(packs.Id<base::PackId>(0));
      CEDANA_RETURN_IF_ERROR(packs.status());
      Query manifests(connection, "SELECT id FROM checkpoints WHERE save = ?");
      manifests.Bind(save);
      while (manifests.Step()) known.manifests.insert(manifests.Id<base::CheckpointId>(0));
      CEDANA_RETURN_IF_ERROR(manifests.status());
      Query open(connection,
                 "SELECT 1 FROM saves WHERE id = ? AND (state = 0 OR sweep_due_ms > ?)");
      open.Bind(save, shared_.Now());
      known.open = open.Step();
      return open.status();
    }));
    return known;
  }

  absl::Status Swept(const base::SaveId& save, absl::Duration again) override {
    return shared_.database->Write([&](Connection& connection) {
      Query update(
          connection,
          "UPDATE saves SET swept = swept + 1, sweep_due_ms = ? WHERE id = ? AND swept < 2");
      return update.Bind(shared_.Now() + absl::ToInt64Milliseconds(again), save).Run();
    });
  }

  absl::StatusOr<std::vector<OwnedCheckpoint>> HiddenCheckpoints(int limit) override {
    return Owned("SELECT " CEDANA_CHECKPOINT_COLUMNS
                 ", c.organisation FROM checkpoints c WHERE c.hidden_ms IS NOT NULL AND NOT EXISTS "
                 "(SELECT 1 FROM holds h WHERE h.organisation = c.organisation AND h.checkpoint = "
                 "c.id AND h.expires_ms > ?) ORDER BY c.hidden_ms LIMIT ?",
                 shared_.Now(), limit);
  }

  absl::Status Forget(const base::OrgId& organisation, const base::CheckpointId& id) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      Query record(connection,
                   "DELETE FROM commit_records WHERE organisation = ? AND checkpoint = ?");
      CEDANA_RETURN_IF_ERROR(record.Bind(organisation, id).Run());
      Query row(
          connection,
          "DELETE FROM checkpoints WHERE organisation = ? AND id = ? AND hidden_ms IS NOT NULL");
      return row.Bind(organisation, id).Run();
    });
  }

  absl::StatusOr<uint64_t> Condemn() override {
    return MoveUnreached(
        "SELECT id FROM packs WHERE organisation = ? AND state = 0 AND since_ms <= ?",
        "UPDATE packs SET state = 1, since_ms = ?1 WHERE organisation = ?2 AND id "
        "= ?3 AND state = 0 AND since_ms <= ?4",
        shared_.Now());
  }

  absl::StatusOr<uint64_t> Doom(absl::Duration grace) override {
    return MoveUnreached(
        "SELECT id FROM packs WHERE organisation = ? AND state = 1 AND since_ms <= ?",
        "UPDATE packs SET state = 2, since_ms = ?1 WHERE organisation = ?2 AND id "
        "= ?3 AND state = 1 AND since_ms <= ?4",
        shared_.Now() - absl::ToInt64Milliseconds(grace));
  }

  absl::StatusOr<std::vector<DoomedPack>> Doomed(int limit) override {
    std::vector<DoomedPack> doomed;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      Query query(
          connection,
          "SELECT organisation, id, save, bytes, crc32c FROM packs WHERE state = 2 ORDER BY "
          "since_ms LIMIT ?");
      query.Bind(limit);
      while (query.Step()) {
        DoomedPack pack{query.Id<base::OrgId>(0), {.id = query.Id<base::PackId>(1)}};
        pack.places.save = query.Id<base::SaveId>(2);
        pack.places.bytes = static_cast<uint64_t>(query.Int(3));
        CEDANA_ASSIGN_OR_RETURN(pack.places.providers,
                                ShardProviders(connection, pack.organisation, pack.places.id));
        doomed.push_back(std::move(pack));
      }
      return query.status();
    }));
    return doomed;
  }

  absl::Status ForgetPacks(const std::vector<DoomedPack>& packs) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      for (const DoomedPack& pack : packs) {
        Query remove(connection,
                     "DELETE FROM packs WHERE organisation = ? AND id = ? AND state = 2");
        CEDANA_RETURN_IF_ERROR(remove.Bind(pack.organisation, pack.places.id).Run());
        Query debt(connection, "DELETE FROM debts WHERE organisation = ? AND kind = 0 AND id = ?");
        CEDANA_RETURN_IF_ERROR(debt.Bind(pack.organisation, pack.places.id).Run());
      }
      return absl::OkStatus();
    });
  }

  absl::Status DropOldRows(absl::Duration keep_saves) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      const int64_t now = shared_.Now();
      Query holds(connection, "DELETE FROM holds WHERE expires_ms <= ?");
      CEDANA_RETURN_IF_ERROR(holds.Bind(now).Run());
      Query saves(connection, "DELETE FROM saves WHERE swept >= 2 AND ended_ms <= ?");
      return saves.Bind(now - absl::ToInt64Milliseconds(keep_saves)).Run();
    });
  }

 private:
  template <typename... Args>
  absl::StatusOr<std::vector<OwnedCheckpoint>> Owned(const char* sql, const Args&... args) {
    std::vector<OwnedCheckpoint> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) {
      Query query(connection, sql);
      query.Bind(args...);
      while (query.Step()) {
        found.push_back({query.Id<base::OrgId>(kCheckpointColumns), ReadCheckpoint(query)});
      }
      return query.status();
    }));
    return found;
  }

  // Adds what checkpoints of `organisation` with a sequence above `after` reach.
  absl::Status AddReached(Connection& connection, const base::OrgId& organisation, uint64_t after,
                          absl::flat_hash_set<base::PackId>* packs) {
    Query query(
        connection,
        "SELECT c.packs FROM checkpoints c WHERE c.organisation = ?1 AND c.sequence > ?2 AND "
        "(c.hidden_ms IS NULL OR EXISTS (SELECT 1 FROM holds h WHERE h.organisation = ?1 AND "
        "h.checkpoint = c.id AND h.expires_ms > ?3))");
    query.Bind(organisation, after, shared_.Now());
    while (query.Step()) {
      CEDANA_RETURN_IF_ERROR(
          DecodePackList(query.Bytes(0), [&](const base::PackId& pack) { packs->insert(pack); }));
    }
    return query.status();
  }

  absl::StatusOr<std::vector<Reach>> Survey(const char* candidates, int64_t not_after_ms) {
    std::vector<Reach> surveyed;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      Query counter(connection, "SELECT value FROM counters WHERE name = 'sequence'");
      const uint64_t sequence = counter.Step() ? static_cast<uint64_t>(counter.Int(0)) : 0;
      CEDANA_RETURN_IF_ERROR(counter.status());
      Query organisations(connection, "SELECT id FROM organisations");
      while (organisations.Step()) {
        Reach reach{organisations.Id<base::OrgId>(0), sequence};
        CEDANA_RETURN_IF_ERROR(AddReached(connection, reach.organisation, 0, &reach.packs));
        Query packs(connection, candidates);
        packs.Bind(reach.organisation, not_after_ms);
        while (packs.Step()) {
          const auto pack = packs.Id<base::PackId>(0);
          if (!reach.packs.contains(pack)) reach.unreached.push_back(pack);
        }
        CEDANA_RETURN_IF_ERROR(packs.status());
        reach.packs.clear();
        if (!reach.unreached.empty()) surveyed.push_back(std::move(reach));
      }
      return organisations.status();
    }));
    return surveyed;
  }

  absl::StatusOr<uint64_t> MoveUnreached(const char* candidates, const char* move,
                                         int64_t not_after_ms) {
    CEDANA_ASSIGN_OR_RETURN(std::vector<Reach> surveyed, Survey(candidates, not_after_ms));
    uint64_t moved = 0;
    for (const Reach& reach : surveyed) {
      for (size_t from = 0; from < reach.unreached.size(); from += kBatch) {
        const size_t to = std::min(from + kBatch, reach.unreached.size());
        uint64_t moved_now = 0;
        CEDANA_RETURN_IF_ERROR(shared_.database->Write([&](Connection& connection) -> absl::Status {
          absl::flat_hash_set<base::PackId> newer;
          CEDANA_RETURN_IF_ERROR(
              AddReached(connection, reach.organisation, reach.sequence, &newer));
          for (size_t i = from; i < to; ++i) {
            if (newer.contains(reach.unreached[i])) continue;
            Query update(connection, move);
            CEDANA_RETURN_IF_ERROR(
                update.Bind(shared_.Now(), reach.organisation, reach.unreached[i], not_after_ms)
                    .Run());
            moved_now += static_cast<uint64_t>(update.changes());
          }
          return absl::OkStatus();
        }));
        moved += moved_now;
      }
    }
    return moved;
  }

  const Shared& shared_;
};

}  // namespace

std::unique_ptr<Collection> MakeCollection(const Shared* shared) {
  return std::make_unique<SqliteCollection>(shared);
}

}  // namespace cedana::metadata
