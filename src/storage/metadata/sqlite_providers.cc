#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "storage/metadata/debt_internal.h"

namespace cedana::metadata {
namespace {

ProviderRow ReadProvider(const Query& row) {
  return {row.Bytes(0), row.Bytes(1), row.Bytes(2), static_cast<ProviderState>(row.Int(3)),
          row.Int(4),   row.Int(5)};
}

absl::StatusOr<std::optional<ProviderRow>> FindProvider(Connection& connection,
                                                        const std::string& name) {
  Query query(connection,
              "SELECT name, url, domain, state, added_ms, since_ms FROM providers WHERE name = ?");
  query.Bind(name);
  std::optional<ProviderRow> found;
  if (query.Step()) found = ReadProvider(query);
  CEDANA_RETURN_IF_ERROR(query.status());
  return found;
}

absl::Status DropRowsOf(Connection& connection, const std::string& name) {
  for (const char* sql :
       {"DELETE FROM shards WHERE provider = ?", "DELETE FROM manifest_shards WHERE provider = ?",
        "DELETE FROM chores WHERE provider = ?"}) {
    Query remove(connection, sql);
    CEDANA_RETURN_IF_ERROR(remove.Bind(name).Run());
  }
  return absl::OkStatus();
}

class SqliteProviders : public Providers {
 public:
  explicit SqliteProviders(const Shared* shared) : shared_(*shared) {}

  absl::Status Add(const std::string& name, const std::string& url,
                   const std::string& domain) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      CEDANA_ASSIGN_OR_RETURN(const std::optional<ProviderRow> known,
                              FindProvider(connection, name));
      if (!known.has_value()) {
        Query reused(connection, "DELETE FROM forgotten_providers WHERE name = ?");
        CEDANA_RETURN_IF_ERROR(reused.Bind(name).Run());
        if (reused.changes() > 0) CEDANA_RETURN_IF_ERROR(DropRowsOf(connection, name));
        Query insert(connection, "INSERT INTO providers VALUES(?, ?, ?, 0, ?4, ?4)");
        CEDANA_RETURN_IF_ERROR(insert.Bind(name, url, domain, shared_.Now()).Run());
        return AssessAll(connection, shared_.Now());
      }
      if (known->state == ProviderState::kLost) {
        return absl::FailedPreconditionError(
            absl::StrCat("provider ", name, ": was declared lost; a new one wants a new name"));
      }
      if (known->domain != domain) {
        return absl::AlreadyExistsError(absl::StrCat("provider ", name, ": is known already, in ",
                                                     "failure domain ", known->domain));
      }
      Query update(connection, "UPDATE providers SET url = ? WHERE name = ?");
      return update.Bind(url, name).Run();
    });
  }

  absl::StatusOr<std::vector<ProviderRow>> All() override {
    std::vector<ProviderRow> rows;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) {
      Query query(connection,
                  "SELECT name, url, domain, state, added_ms, since_ms FROM providers ORDER BY "
                  "added_ms, name");
      while (query.Step()) rows.push_back(ReadProvider(query));
      return query.status();
    }));
    return rows;
  }

  absl::Status SetState(const std::string& name, ProviderState state) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      Query update(connection,
                   "UPDATE providers SET state = ?1, since_ms = CASE state WHEN ?1 THEN since_ms "
                   "ELSE ?2 END WHERE name = ?3");
      CEDANA_RETURN_IF_ERROR(update.Bind(static_cast<int>(state), shared_.Now(), name).Run());
      if (update.changes() == 0) {
        return absl::NotFoundError(absl::StrCat("provider ", name, ": none"));
      }
      if (state == ProviderState::kLost) CEDANA_RETURN_IF_ERROR(DropRowsOf(connection, name));
      return AssessAll(connection, shared_.Now());
    });
  }

  absl::Status Forget(const std::string& name) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      Query used(connection,
                 "SELECT 1 FROM shards WHERE provider = ?1 UNION ALL SELECT 1 FROM manifest_shards "
                 "WHERE provider = ?1 LIMIT 1");
      used.Bind(name);
      if (used.Step()) {
        return absl::FailedPreconditionError(
            absl::StrCat("provider ", name, ": still holds shards"));
      }
      CEDANA_RETURN_IF_ERROR(used.status());
      Query chores(connection, "DELETE FROM chores WHERE provider = ?");
      CEDANA_RETURN_IF_ERROR(chores.Bind(name).Run());
      Query remove(connection, "DELETE FROM providers WHERE name = ?");
      CEDANA_RETURN_IF_ERROR(remove.Bind(name).Run());
      Query forgotten(connection, "INSERT OR IGNORE INTO forgotten_providers VALUES(?)");
      CEDANA_RETURN_IF_ERROR(forgotten.Bind(name).Run());
      return AssessAll(connection, shared_.Now());
    });
  }

  absl::StatusOr<std::vector<ProviderUsage>> Usage() override {
    std::map<std::string, ProviderUsage> usage;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      Query packs(connection,
                  "SELECT s.provider, COUNT(*), SUM(p.bytes) FROM shards s JOIN packs p ON "
                  "p.organisation = s.organisation AND p.id = s.pack GROUP BY s.provider");
      while (packs.Step()) {
        ProviderUsage& row = usage[packs.Bytes(0)];
        row.packs = static_cast<uint64_t>(packs.Int(1));
        row.bytes = static_cast<uint64_t>(packs.Int(2));
      }
      CEDANA_RETURN_IF_ERROR(packs.status());
      Query manifests(connection,
                      "SELECT s.provider, COUNT(*), SUM(c.manifest_bytes) FROM manifest_shards s "
                      "JOIN checkpoints c ON c.organisation = s.organisation AND c.id = "
                      "s.checkpoint GROUP BY s.provider");
      while (manifests.Step()) {
        ProviderUsage& row = usage[manifests.Bytes(0)];
        row.manifests = static_cast<uint64_t>(manifests.Int(1));
        row.bytes += static_cast<uint64_t>(manifests.Int(2));
      }
      return manifests.status();
    }));
    std::vector<ProviderUsage> rows;
    for (auto& [name, row] : usage) {
      row.provider = name;
      rows.push_back(std::move(row));
    }
    return rows;
  }

  absl::StatusOr<Policy> PolicyOf(const base::OrgId& organisation) override {
    Policy policy;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) -> absl::Status {
      CEDANA_ASSIGN_OR_RETURN(policy, EffectivePolicy(connection, organisation));
      return absl::OkStatus();
    }));
    return policy;
  }

  absl::Status SetPolicy(const base::OrgId& organisation,
                         const std::optional<Policy>& policy) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      Query remove(connection, "DELETE FROM policies WHERE organisation = ?");
      CEDANA_RETURN_IF_ERROR(remove.Bind(organisation).Run());
      if (policy.has_value()) {
        Query insert(connection, "INSERT INTO policies VALUES(?, ?, ?)");
        CEDANA_RETURN_IF_ERROR(insert.Bind(organisation, policy->copies, policy->ack).Run());
      }
      return AssessOrganisation(connection, organisation, shared_.Now());
    });
  }

 private:
  const Shared& shared_;
};

}  // namespace

std::unique_ptr<Providers> MakeProviders(const Shared* shared) {
  return std::make_unique<SqliteProviders>(shared);
}

}  // namespace cedana::metadata
