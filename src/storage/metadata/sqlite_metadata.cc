#include "storage/metadata/metadata.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "storage/metadata/debt_internal.h"
#include "storage/metadata/schema.h"
#include "storage/metadata/sqlite_metadata_internal.h"

namespace cedana::metadata {
namespace {

constexpr char kPackListPlain = 1;
// What brings a catalog of version i to version i + 1.
constexpr const char* kSchemaSteps[kSchemaVersion] = {kSchemaStep1, kSchemaStep2, kSchemaStep3};

absl::Status FindVaultId(Connection& connection, std::optional<base::VaultId>* id) {
  Query query(connection, "SELECT id FROM vault");
  if (query.Step()) *id = query.Id<base::VaultId>(0);
  return query.status();
}

class SqliteMetadata : public Metadata {
 public:
  SqliteMetadata(std::unique_ptr<Database> database, const MetadataOptions& options)
      : database_(std::move(database)),
        shared_{database_.get(), options.clock != nullptr ? options.clock : &base::SystemClock(),
                absl::ToInt64Milliseconds(options.lease), absl::ToInt64Milliseconds(options.grant)},
        identities_(MakeIdentities(&shared_)),
        saves_(MakeSaves(&shared_)),
        checkpoints_(MakeCheckpoints(&shared_)),
        collection_(MakeCollection(&shared_)),
        providers_(MakeProviders(&shared_)),
        replication_(MakeReplication(&shared_)),
        chores_(MakeChores(&shared_)) {}

  Identities& identities() override { return *identities_; }
  Saves& saves() override { return *saves_; }
  Checkpoints& checkpoints() override { return *checkpoints_; }
  Collection& collection() override { return *collection_; }
  Providers& providers() override { return *providers_; }
  Replication& replication() override { return *replication_; }
  Chores& chores() override { return *chores_; }
  absl::StatusOr<base::VaultId> VaultId(base::Random& random) override {
    std::optional<base::VaultId> id;
    CEDANA_RETURN_IF_ERROR(
        database_->Read([&](Connection& connection) { return FindVaultId(connection, &id); }));
    if (id.has_value()) return *id;
    const auto drawn = base::DrawId<base::VaultId>(random);
    CEDANA_RETURN_IF_ERROR(database_->Write([&](Connection& connection) -> absl::Status {
      CEDANA_RETURN_IF_ERROR(FindVaultId(connection, &id));
      if (id.has_value()) return absl::OkStatus();
      id = drawn;
      Query insert(connection, "INSERT INTO vault VALUES(?)");
      return insert.Bind(drawn).Run();
    }));
    return *id;
  }
  absl::Status Ping() override {
    return database_->Read([](Connection& connection) {
      Query query(connection, "SELECT value FROM counters WHERE name = 'sequence'");
      if (query.Step()) return absl::OkStatus();
      return query.status().ok() ? absl::DataLossError("catalog: has no counters") : query.status();
    });
  }

 private:
  const std::unique_ptr<Database> database_;
  const Shared shared_;
  const std::unique_ptr<Identities> identities_;
  const std::unique_ptr<Saves> saves_;
  const std::unique_ptr<Checkpoints> checkpoints_;
  const std::unique_ptr<Collection> collection_;
  const std::unique_ptr<Providers> providers_;
  const std::unique_ptr<Replication> replication_;
  const std::unique_ptr<Chores> chores_;
};

absl::Status Migrate(Connection& connection, int64_t now_ms) {
  int64_t version = 0;
  {
    Query query(connection, "PRAGMA user_version");
    if (query.Step()) version = query.Int(0);
    CEDANA_RETURN_IF_ERROR(query.status());
  }
  if (version == kSchemaVersion) return absl::OkStatus();
  if (version < 0 || version > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat("catalog: has schema version ", version,
                                                      ", this program knows ", kSchemaVersion));
  }
  for (int64_t step = version; step < kSchemaVersion; ++step) {
    CEDANA_RETURN_IF_ERROR(connection.Execute(kSchemaSteps[step]));
  }
  if (version < kJudgedSince) CEDANA_RETURN_IF_ERROR(AssessAll(connection, now_ms));
  return connection.Execute(absl::StrCat("PRAGMA user_version=", kSchemaVersion).c_str());
}

}  // namespace

int64_t Shared::Now() const { return absl::ToUnixMillis(clock->Now()); }

Checkpoint ReadCheckpoint(const Query& row) {
  Checkpoint out;
  out.id = row.Id<base::CheckpointId>(0);
  out.save = row.Id<base::SaveId>(1);
  out.path = row.Bytes(2);
  out.sequence = static_cast<uint64_t>(row.Int(3));
  out.created_ms = row.Int(4);
  out.image_bytes = static_cast<uint64_t>(row.Int(5));
  out.stored_bytes = static_cast<uint64_t>(row.Int(6));
  out.new_bytes = static_cast<uint64_t>(row.Int(7));
  out.codec = row.Bytes(8);
  out.job_id = row.Bytes(9);
  out.job_name = row.Bytes(10);
  out.facts = row.Bytes(11);
  out.manifest_sha256 = row.Bytes(12);
  out.manifest_bytes = static_cast<uint64_t>(row.Int(13));
  out.manifest_providers = absl::StrSplit(row.Bytes(14), ',', absl::SkipEmpty());
  return out;
}

std::string EncodePackList(const std::vector<CommittedPack>& packs) {
  std::string column(1, kPackListPlain);
  column.reserve(1 + packs.size() * base::PackId::kBytes);
  for (const CommittedPack& pack : packs) {
    column.append(reinterpret_cast<const char*>(pack.id.data()), base::PackId::kBytes);
  }
  return column;
}

absl::Status DecodePackList(absl::string_view column,
                            const std::function<void(const base::PackId&)>& visit) {
  if (column.empty() || column[0] != kPackListPlain ||
      (column.size() - 1) % base::PackId::kBytes != 0) {
    return absl::DataLossError("catalog: a list of packs cannot be read");
  }
  for (size_t at = 1; at < column.size(); at += base::PackId::kBytes) {
    visit(base::PackId::FromBytes(reinterpret_cast<const uint8_t*>(column.data() + at)));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> NextCounter(Connection& connection, const std::string& name) {
  Query query(connection, "UPDATE counters SET value = value + 1 WHERE name = ? RETURNING value");
  query.Bind(name);
  uint64_t value = 0;
  while (query.Step()) value = static_cast<uint64_t>(query.Int(0));
  CEDANA_RETURN_IF_ERROR(query.status());
  return value;
}

absl::StatusOr<std::vector<std::string>> ShardProviders(Connection& connection,
                                                        const base::OrgId& organisation,
                                                        const base::PackId& pack) {
  Query query(connection,
              "SELECT provider, state = 1 AS damaged FROM shards WHERE organisation = ? AND "
              "pack = ? ORDER BY damaged");
  query.Bind(organisation, pack);
  std::vector<std::string> providers;
  bool sound = false;
  while (query.Step()) {
    // A damaged copy is better than none: most of its blocks are whole, and who reads checks each.
    const bool damaged = query.Int(1) != 0;
    if (damaged && sound) break;
    sound = !damaged;
    providers.push_back(query.Bytes(0));
  }
  CEDANA_RETURN_IF_ERROR(query.status());
  return providers;
}

absl::StatusOr<std::unique_ptr<Metadata>> Metadata::Open(const std::string& file,
                                                         const MetadataOptions& options) {
  CEDANA_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open(file));
  base::Clock& clock = options.clock != nullptr ? *options.clock : base::SystemClock();
  CEDANA_RETURN_IF_ERROR(database->Write([&](Connection& connection) {
    return Migrate(connection, absl::ToUnixMillis(clock.Now()));
  }));
  return std::unique_ptr<Metadata>(new SqliteMetadata(std::move(database), options));
}

}  // namespace cedana::metadata
