#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "storage/metadata/debt_internal.h"

namespace cedana::metadata {
namespace {

int KindOf(const ObjectRef& ref) { return static_cast<int>(ref.kind); }
int StateOf(ShardState state) { return static_cast<int>(state); }

absl::Status Gone(const ObjectRef& ref) {
  return absl::NotFoundError(absl::StrCat(ref.kind == ObjectKind::kPack ? "pack " : "manifest ",
                                          ref.id.ToHex(), ": none"));
}

class SqliteReplication : public Replication {
 public:
  explicit SqliteReplication(const Shared* shared) : shared_(*shared) {}

  absl::StatusOr<ReplicatedObject> Find(const ObjectRef& ref) override {
    ReplicatedObject object{.ref = ref};
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      CEDANA_RETURN_IF_ERROR(LoadRow(connection, &object));
      Query shards(connection, ref.kind == ObjectKind::kPack
                                   ? "SELECT provider, state FROM shards WHERE organisation = ? "
                                     "AND pack = ?"
                                   : "SELECT provider, state FROM manifest_shards WHERE "
                                     "organisation = ? AND checkpoint = ?");
      shards.Bind(ref.organisation, ref.id);
      while (shards.Step()) {
        object.shards.push_back({shards.Bytes(0), static_cast<ShardState>(shards.Int(1))});
      }
      CEDANA_RETURN_IF_ERROR(shards.status());
      CEDANA_ASSIGN_OR_RETURN(const Policy policy, EffectivePolicy(connection, ref.organisation));
      object.copies = policy.copies;
      return absl::OkStatus();
    }));
    return object;
  }

  absl::Status SetShard(const ObjectRef& ref, const std::string& provider,
                        ShardState state) override {
    return Change(ref, [&](Connection& connection) {
      Query set(connection,
                ref.kind == ObjectKind::kPack
                    ? "INSERT INTO shards VALUES(?, ?, ?, ?, ?) ON CONFLICT(organisation, pack, "
                      "provider) DO UPDATE SET seen_ms = excluded.seen_ms, state = excluded.state"
                    : "INSERT INTO manifest_shards VALUES(?, ?, ?, ?, ?) ON CONFLICT(organisation, "
                      "checkpoint, provider) DO UPDATE SET seen_ms = excluded.seen_ms, state = "
                      "excluded.state");
      return set.Bind(ref.organisation, ref.id, provider, shared_.Now(), StateOf(state)).Run();
    });
  }

  absl::Status DropShard(const ObjectRef& ref, const std::string& provider) override {
    return Change(ref, [&](Connection& connection) { return Drop(connection, ref, provider); });
  }

  absl::Status Settle(const ObjectRef& ref) override {
    const absl::Status judged = Change(ref, [](Connection&) { return absl::OkStatus(); });
    if (!judged.ok() && !absl::IsNotFound(judged)) return judged;
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      Query owed(connection, "SELECT 1 FROM debts WHERE organisation = ? AND kind = ? AND id = ?");
      owed.Bind(ref.organisation, KindOf(ref), ref.id);
      const bool owes = owed.Step();
      CEDANA_RETURN_IF_ERROR(owed.status());
      if (owes && judged.ok()) return absl::FailedPreconditionError("debt: is still owed");
      Query drop(connection, "DELETE FROM debts WHERE organisation = ? AND kind = ? AND id = ?");
      return drop.Bind(ref.organisation, KindOf(ref), ref.id).Run();
    });
  }

  absl::StatusOr<std::vector<Debt>> Claim(const std::string& worker, int limit,
                                          absl::Duration lease) override {
    std::vector<Debt> claimed;
    CEDANA_RETURN_IF_ERROR(shared_.database->Write([&](Connection& connection) -> absl::Status {
      claimed.clear();
      {
        // A pack that collection has its eye on is not worth the bytes.
        Query due(connection,
                  "SELECT d.organisation, d.kind, d.id, d.live, d.since_ms, d.tries FROM debts d "
                  "WHERE d.due_ms <= ? AND (d.kind = 1 OR EXISTS (SELECT 1 FROM packs p WHERE "
                  "p.organisation = d.organisation AND p.id = d.id AND p.state = 0)) ORDER BY "
                  "d.live, d.since_ms LIMIT ?");
        due.Bind(shared_.Now(), limit);
        while (due.Step()) {
          claimed.push_back(
              {{due.Id<base::OrgId>(0), static_cast<ObjectKind>(due.Int(1)), due.Id<ObjectId>(2)},
               static_cast<uint32_t>(due.Int(3)),
               due.Int(4),
               static_cast<uint32_t>(due.Int(5))});
        }
        CEDANA_RETURN_IF_ERROR(due.status());
      }
      const int64_t until = shared_.Now() + absl::ToInt64Milliseconds(lease);
      for (const Debt& debt : claimed) {
        Query take(connection,
                   "UPDATE debts SET due_ms = ?, worker = ? WHERE organisation = ? AND kind = ? "
                   "AND id = ?");
        CEDANA_RETURN_IF_ERROR(
            take.Bind(until, worker, debt.ref.organisation, KindOf(debt.ref), debt.ref.id).Run());
      }
      return absl::OkStatus();
    }));
    return claimed;
  }

  absl::Status Renew(const std::string& worker, const Debt& debt, absl::Duration lease) override {
    return shared_.database->Write([&](Connection& connection) {
      Query update(connection,
                   "UPDATE debts SET due_ms = ? WHERE organisation = ? AND kind = ? AND id = ? AND "
                   "worker = ?");
      return update
          .Bind(shared_.Now() + absl::ToInt64Milliseconds(lease), debt.ref.organisation,
                KindOf(debt.ref), debt.ref.id, worker)
          .Run();
    });
  }

  absl::Status Postpone(const Debt& debt, absl::Duration wait) override {
    return shared_.database->Write([&](Connection& connection) {
      Query update(connection,
                   "UPDATE debts SET due_ms = ?, tries = tries + 1, worker = NULL WHERE "
                   "organisation = ? AND kind = ? AND id = ?");
      return update
          .Bind(shared_.Now() + absl::ToInt64Milliseconds(wait), debt.ref.organisation,
                KindOf(debt.ref), debt.ref.id)
          .Run();
    });
  }

  absl::Status MakeDue() override {
    return shared_.database->Write([&](Connection& connection) {
      Query update(connection, "UPDATE debts SET due_ms = 0, tries = 0 WHERE worker IS NULL");
      return update.Run();
    });
  }

  absl::StatusOr<DebtSummary> Summary() override {
    DebtSummary summary;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      // The default of `ack` as EffectivePolicy has it.
      Query query(connection,
                  "SELECT TOTAL(d.kind = 0), TOTAL(d.kind = 1), TOTAL(p.bytes), TOTAL(d.live > 0 "
                  "AND d.live < COALESCE(o.ack, (SELECT MIN(2, COUNT(DISTINCT domain)) FROM "
                  "providers WHERE state = 0))), TOTAL(d.live = 0), MIN(d.since_ms) FROM debts d "
                  "LEFT JOIN packs p ON d.kind = 0 AND p.organisation = d.organisation AND p.id = "
                  "d.id LEFT JOIN policies o ON o.organisation = d.organisation WHERE d.kind = 1 "
                  "OR p.state = 0");
      if (query.Step()) {
        summary = {static_cast<uint64_t>(query.Int(0)), static_cast<uint64_t>(query.Int(1)),
                   static_cast<uint64_t>(query.Int(2)), static_cast<uint64_t>(query.Int(3)),
                   static_cast<uint64_t>(query.Int(4)), query.Int(5)};
      }
      return query.status();
    }));
    return summary;
  }

  absl::StatusOr<std::vector<PlacedShard>> ShardsAt(const std::string& provider,
                                                    const std::optional<base::SaveId>& after,
                                                    int64_t not_after_ms, int limit) override {
    // Blobs compare as the hex of the keys does. The last save of a batch may be cut by the limit:
    // it is read whole by the second query.
    std::vector<PlacedShard> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      Query query(
          connection,
          "SELECT * FROM (SELECT s.organisation, 0 AS kind, p.id AS id, p.save AS save, "
          "p.bytes, p.crc32c FROM shards s JOIN packs p ON p.organisation = s.organisation AND "
          "p.id "
          "= s.pack WHERE s.provider = ?1 AND s.state = 0 AND s.seen_ms <= ?2 AND p.state "
          "< 2 AND (?3 OR p.save > ?4) UNION ALL SELECT m.organisation, 1, c.id, c.save, "
          "c.manifest_bytes, NULL FROM manifest_shards m JOIN checkpoints c ON c.organisation = "
          "m.organisation AND c.id = m.checkpoint WHERE m.provider = ?1 AND m.state = 0 "
          "AND m.seen_ms <= ?2 AND c.hidden_ms IS NULL AND (?3 OR c.save > ?4)) ORDER BY "
          "save, kind DESC, id");
      query.Bind(provider, not_after_ms, !after.has_value(), after.value_or(base::SaveId()));
      while (query.Step()) {
        const PlacedShard shard = ReadPlaced(query);
        if (found.size() >= static_cast<size_t>(limit) && shard.save != found.back().save) break;
        found.push_back(shard);
      }
      return query.status();
    }));
    return found;
  }

  absl::Status Retire(const ObjectRef& ref, const Chore& deletion) override {
    return Change(ref, [&](Connection& connection) -> absl::Status {
      Query surplus(
          connection,
          "SELECT 1 FROM providers WHERE name = ? AND state <> 0 AND NOT EXISTS (SELECT 1 "
          "FROM debts WHERE organisation = ? AND kind = ? AND id = ?)");
      surplus.Bind(deletion.provider, ref.organisation, KindOf(ref), ref.id);
      const bool is_surplus = surplus.Step();
      CEDANA_RETURN_IF_ERROR(surplus.status());
      if (!is_surplus) return absl::FailedPreconditionError("shard: is needed where it is");
      CEDANA_RETURN_IF_ERROR(AddChore(connection, deletion, shared_.Now()));
      return Drop(connection, ref, deletion.provider);
    });
  }

  absl::StatusOr<bool> FoundAgain(const base::SaveId& save, ObjectKind kind, const ObjectId& id,
                                  const std::string& provider, const std::string& key) override {
    bool added = false;
    CEDANA_RETURN_IF_ERROR(shared_.database->Write([&](Connection& connection) -> absl::Status {
      added = false;
      const bool pack = kind == ObjectKind::kPack;
      Query wanted(connection,
                   pack ? "SELECT p.organisation FROM packs p JOIN providers pr ON pr.name = ?1 "
                          "WHERE p.save = ?2 AND p.id = ?3 AND p.state < 2 AND pr.state = 0 AND "
                          "NOT EXISTS (SELECT 1 FROM chores WHERE provider = ?1 AND key = ?4) AND "
                          "NOT EXISTS (SELECT 1 FROM shards s WHERE s.organisation = "
                          "p.organisation AND s.pack = p.id AND s.provider = ?1)"
                        : "SELECT c.organisation FROM checkpoints c JOIN providers pr ON pr.name = "
                          "?1 WHERE c.save = ?2 AND c.id = ?3 AND c.hidden_ms IS NULL AND "
                          "pr.state = 0 AND NOT EXISTS (SELECT 1 FROM chores WHERE provider = ?1 "
                          "AND key = ?4) AND NOT EXISTS (SELECT 1 FROM manifest_shards s WHERE "
                          "s.organisation = c.organisation AND s.checkpoint = c.id AND s.provider "
                          "= ?1)");
      wanted.Bind(provider, save, id, key);
      std::vector<ObjectRef> found;
      while (wanted.Step()) found.push_back({wanted.Id<base::OrgId>(0), kind, id});
      CEDANA_RETURN_IF_ERROR(wanted.status());
      for (const ObjectRef& ref : found) {
        Query insert(connection, pack ? "INSERT INTO shards VALUES(?, ?, ?, ?, ?)"
                                      : "INSERT INTO manifest_shards VALUES(?, ?, ?, ?, ?)");
        CEDANA_RETURN_IF_ERROR(insert
                                   .Bind(ref.organisation, ref.id, provider, shared_.Now(),
                                         StateOf(ShardState::kAcknowledged))
                                   .Run());
        CEDANA_ASSIGN_OR_RETURN(const Policy policy, EffectivePolicy(connection, ref.organisation));
        CEDANA_RETURN_IF_ERROR(Assess(connection, policy, ref, shared_.Now()).status());
        added = true;
      }
      return absl::OkStatus();
    }));
    return added;
  }

  absl::StatusOr<std::vector<PlacedShard>> Surplus(const std::string& provider,
                                                   int limit) override {
    std::vector<PlacedShard> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      Query query(
          connection,
          "SELECT s.organisation, 0, p.id, p.save, p.bytes, p.crc32c FROM shards s JOIN packs p ON "
          "p.organisation = s.organisation AND p.id = s.pack WHERE s.provider = ?1 AND NOT "
          "EXISTS (SELECT 1 FROM debts d WHERE d.organisation = s.organisation AND d.kind "
          "= 0 AND d.id = s.pack) UNION ALL SELECT m.organisation, 1, c.id, c.save, "
          "c.manifest_bytes, NULL FROM manifest_shards m JOIN checkpoints c ON c.organisation = "
          "m.organisation AND c.id = m.checkpoint WHERE m.provider = ?1 AND c.hidden_ms IS "
          "NULL AND NOT EXISTS (SELECT 1 FROM debts d WHERE d.organisation = "
          "m.organisation AND d.kind = 1 AND d.id = c.id) LIMIT ?2");
      query.Bind(provider, limit);
      while (query.Step()) found.push_back(ReadPlaced(query));
      return query.status();
    }));
    return found;
  }

 private:
  static absl::Status Drop(Connection& connection, const ObjectRef& ref,
                           const std::string& provider) {
    Query drop(connection,
               ref.kind == ObjectKind::kPack
                   ? "DELETE FROM shards WHERE organisation = ? AND pack = ? AND provider = ?"
                   : "DELETE FROM manifest_shards WHERE organisation = ? AND checkpoint = ? AND "
                     "provider = ?");
    return drop.Bind(ref.organisation, ref.id, provider).Run();
  }

  static PlacedShard ReadPlaced(const Query& row) {
    PlacedShard shard{
        {row.Id<base::OrgId>(0), static_cast<ObjectKind>(row.Int(1)), row.Id<ObjectId>(2)},
        row.Id<base::SaveId>(3),
        static_cast<uint64_t>(row.Int(4))};
    if (!row.IsNull(5)) shard.crc32c = static_cast<uint32_t>(row.Int(5));
    return shard;
  }

  static absl::Status LoadRow(Connection& connection, ReplicatedObject* object) {
    const ObjectRef& ref = object->ref;
    Query row(connection, ref.kind == ObjectKind::kPack
                              ? "SELECT save, bytes, crc32c FROM packs WHERE organisation = ? AND "
                                "id = ? AND state < 2"
                              : "SELECT save, manifest_bytes, manifest_sha256 FROM checkpoints "
                                "WHERE organisation = ? AND id = ? AND hidden_ms IS NULL");
    row.Bind(ref.organisation, ref.id);
    if (!row.Step()) {
      CEDANA_RETURN_IF_ERROR(row.status());
      return Gone(ref);
    }
    object->save = row.Id<base::SaveId>(0);
    object->bytes = static_cast<uint64_t>(row.Int(1));
    if (ref.kind == ObjectKind::kPack) {
      object->crc32c = static_cast<uint32_t>(row.Int(2));
    } else {
      object->sha256 = row.Bytes(2);
    }
    return absl::OkStatus();
  }

  // Changes the shards of an object that is still wanted, and judges its debt.
  absl::Status Change(const ObjectRef& ref,
                      const std::function<absl::Status(Connection&)>& change) {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      ReplicatedObject object{.ref = ref};
      CEDANA_RETURN_IF_ERROR(LoadRow(connection, &object));
      CEDANA_RETURN_IF_ERROR(change(connection));
      CEDANA_ASSIGN_OR_RETURN(const Policy policy, EffectivePolicy(connection, ref.organisation));
      return Assess(connection, policy, ref, shared_.Now()).status();
    });
  }

  const Shared& shared_;
};

}  // namespace

std::unique_ptr<Replication> MakeReplication(const Shared* shared) {
  return std::make_unique<SqliteReplication>(shared);
}

}  // namespace cedana::metadata
