#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "storage/metadata/sqlite_metadata_internal.h"

namespace cedana::metadata {
namespace {

Organisation ReadOrganisation(const Query& row) {
  return {row.Id<base::OrgId>(0), row.Bytes(1), row.Bytes(2)};
}

Token ReadToken(const Query& row) {
  Token token;
  token.id = row.Bytes(0);
  if (!row.IsNull(1)) token.organisation = row.Id<base::OrgId>(1);
  token.hash = row.Bytes(2);
  token.created_ms = row.Int(3);
  token.revoked = !row.IsNull(4);
  return token;
}

class SqliteIdentities : public Identities {
 public:
  explicit SqliteIdentities(const Shared* shared) : shared_(*shared) {}

  absl::Status AddOrganisation(const Organisation& organisation) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      {
        Query taken(connection, "SELECT 1 FROM organisations WHERE name = ?");
        taken.Bind(organisation.name);
        if (taken.Step()) {
          return absl::AlreadyExistsError(
              absl::StrCat("organisation ", organisation.name, ": exists already"));
        }
        CEDANA_RETURN_IF_ERROR(taken.status());
      }
      Query insert(connection, "INSERT INTO organisations VALUES(?, ?, ?, ?)");
      return insert
          .Bind(organisation.id, organisation.name, Blob{organisation.wrapped_key}, shared_.Now())
          .Run();
    });
  }

  absl::StatusOr<std::vector<Organisation>> Organisations() override {
    std::vector<Organisation> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) {
      Query query(connection, "SELECT id, name, wrapped_key FROM organisations ORDER BY name");
      while (query.Step()) found.push_back(ReadOrganisation(query));
      return query.status();
    }));
    return found;
  }

  absl::StatusOr<Organisation> FindOrganisation(const base::OrgId& id) override {
    return FindOne("SELECT id, name, wrapped_key FROM organisations WHERE id = ?", id, id.ToHex());
  }

  absl::StatusOr<Organisation> FindOrganisation(const std::string& name) override {
    return FindOne("SELECT id, name, wrapped_key FROM organisations WHERE name = ?", name, name);
  }

  absl::Status AddToken(const Token& token) override {
    return shared_.database->Write([&](Connection& connection) {
      Query insert(connection, "INSERT INTO tokens VALUES(?, ?, ?, ?, NULL)");
      insert.Bind(token.id);
      if (token.organisation.has_value()) {
        insert.Bind(*token.organisation);
      } else {
        insert.Bind(nullptr);
      }
      return insert.Bind(Blob{token.hash}, shared_.Now()).Run();
    });
  }

  absl::StatusOr<std::optional<Token>> FindToken(const std::string& id) override {
    std::optional<Token> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) {
      Query query(connection,
                  "SELECT id, organisation, hash, created_ms, revoked_ms FROM tokens WHERE id = ?");
      query.Bind(id);
      if (query.Step()) found = ReadToken(query);
      return query.status();
    }));
    return found;
  }

  absl::StatusOr<std::vector<Token>> Tokens(const std::string& organisation) override {
    std::vector<Token> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) {
      Query query(connection,
                  "SELECT t.id, t.organisation, t.hash, t.created_ms, t.revoked_ms, o.name "
                  "FROM tokens t LEFT JOIN organisations o ON o.id = t.organisation "
                  "WHERE ?1 = '' OR o.name = ?1 ORDER BY t.created_ms, t.id");
      query.Bind(organisation);
      while (query.Step()) {
        found.push_back(ReadToken(query));
        found.back().organisation_name = query.Bytes(5);
      }
      return query.status();
    }));
    return found;
  }

  absl::Status RevokeToken(const std::string& id) override {
    return shared_.database->Write([&](Connection& connection) -> absl::Status {
      Query update(connection,
                   "UPDATE tokens SET revoked_ms = COALESCE(revoked_ms, ?) WHERE id = ?");
      CEDANA_RETURN_IF_ERROR(update.Bind(shared_.Now(), id).Run());
      if (update.changes() == 0) return absl::NotFoundError("token: none has this id");
      return absl::OkStatus();
    });
  }

 private:
  template <typename Key>
  absl::StatusOr<Organisation> FindOne(const char* sql, const Key& key, const std::string& name) {
    std::optional<Organisation> found;
    CEDANA_RETURN_IF_ERROR(shared_.database->Read([&](Connection& connection) {
      Query query(connection, sql);
      query.Bind(key);
      if (query.Step()) found = ReadOrganisation(query);
      return query.status();
    }));
    if (!found.has_value())
      return absl::NotFoundError(absl::StrCat("organisation ", name, ": none"));
    return *found;
  }

  const Shared& shared_;
};

}  // namespace

std::unique_ptr<Identities> MakeIdentities(const Shared* shared) {
  return std::make_unique<SqliteIdentities>(shared);
}

}  // namespace cedana::metadata
