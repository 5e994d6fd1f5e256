#include "core/base/status.h"
#include "storage/metadata/sqlite_metadata_internal.h"

namespace cedana::metadata {
namespace {

class SqliteChores : public Chores {
 public:
  explicit SqliteChores(const Shared* shared) : shared_(*shared) {}

  absl::Status Add(const std::vector<Chore>& chores) override {
    if (chores.empty()) return absl::OkStatus();
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      for (const Chore& chore : chores) {
        CEDANA_RETURN_IF_ERROR(AddChore(connection, chore, shared_.Now()));
      }
      return absl::OkStatus();
    });
  }

  absl::StatusOr<std::vector<Chore>> Of(const std::string& provider, int limit) override {
    std::vector<Chore> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) {
      Query query(connection,
                  "SELECT key, kind, sequence FROM chores WHERE provider = ? ORDER BY key LIMIT ?");
      query.Bind(provider, limit);
      while (query.Step()) {
        found.push_back({provider, query.Bytes(0), static_cast<ChoreKind>(query.Int(1)),
                         static_cast<uint64_t>(query.Int(2))});
      }
      return query.status();
    }));
    return found;
  }

  absl::Status Done(const Chore& chore) override {
    return shared_.database->Write([&](Connection& connection) {
      Query remove(connection, "DELETE FROM chores WHERE provider = ? AND key = ? AND kind = ?");
      return remove.Bind(chore.provider, chore.key, static_cast<int>(chore.kind)).Run();
    });
  }

  absl::StatusOr<std::vector<ChoreCount>> Counts() override {
    std::vector<ChoreCount> counts;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) {
      Query query(connection, "SELECT provider, COUNT(*) FROM chores GROUP BY provider");
      while (query.Step()) {
        counts.push_back({query.Bytes(0), static_cast<uint64_t>(query.Int(1))});
      }
      return query.status();
    }));
    return counts;
  }

 private:
  const Shared& shared_;
};

}  // namespace

absl::Status AddChore(Connection& connection, const Chore& chore, int64_t now_ms) {
  Query insert(connection, "INSERT OR REPLACE INTO chores VALUES(?, ?, ?, ?, ?)");
  return insert
      .Bind(chore.provider, chore.key, static_cast<int>(chore.kind), chore.sequence, now_ms)
      .Run();
}

std::unique_ptr<Chores> MakeChores(const Shared* shared) {
  return std::make_unique<SqliteChores>(shared);
}

}  // namespace cedana::metadata
