#include "cedana/daemon/job_table.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::daemon {
namespace {

using base::Json;

// Facts of a job and of an operation are one JSON column each: they are read and written whole,
// and only by key. What is looked up by value has a column of its own.
constexpr char kSchema[] = R"(
CREATE TABLE IF NOT EXISTS jobs (
  uuid TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints (
  id TEXT PRIMARY KEY, job_uuid TEXT NOT NULL, url TEXT NOT NULL, time_ms INTEGER NOT NULL,
  size INTEGER NOT NULL, new_bytes INTEGER NOT NULL, durability TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS checkpoints_by_job ON checkpoints (job_uuid, time_ms);
CREATE TABLE IF NOT EXISTS operations (id INTEGER PRIMARY KEY AUTOINCREMENT, facts TEXT NOT NULL);
)";

Json IdentityToJson(const runtime::ProcessIdentity& process) {
  return {{"pid", process.pid}, {"start_ticks", process.start_ticks}};
}

runtime::ProcessIdentity IdentityFromJson(const Json& json) {
  runtime::ProcessIdentity process;
  process.pid = static_cast<int>(base::IntOr(json, "pid", 0));
  process.start_ticks = static_cast<uint64_t>(base::IntOr(json, "start_ticks", 0));
  return process;
}

CheckpointRecord ReadCheckpoint(const sqlite::Statement& row) {
  CheckpointRecord record;
  record.id = row.Text(0);
  record.job_uuid = row.Text(1);
  record.url = row.Text(2);
  record.time_ms = row.Int(3);
  record.size = row.Int(4);
  record.new_bytes = row.Int(5);
  record.durability = row.Text(6);
  return record;
}

}  // namespace

Json JobRecord::ToJson() const {
  return {{"uuid", uuid},
          {"name", name},
          {"type", type},
          {"process", IdentityToJson(process)},
          {"managed", managed},
          {"attachable", attachable},
          {"log", log},
          {"log_offset", log_offset},
          {"folder", folder},
          {"cgroup", cgroup},
          {"command_line", command_line},
          {"working_dir", working_dir},
          {"uid", uid},
          {"gid", gid},
          {"groups", groups},
          {"ended", ended},
          {"exit_code", exit.code},
          {"exit_signal", exit.signal},
          {"exit_known", exit.known},
          {"note", note},
          {"restored_from", restored_from},
          {"restored_from_ms", restored_from_ms},
          {"created_ms", created_ms}};
}

JobRecord JobRecord::FromJson(const Json& json) {
  JobRecord job;
  job.uuid = base::StringOr(json, "uuid", "");
  job.name = base::StringOr(json, "name", "");
  job.type = base::StringOr(json, "type", "process");
  job.process = IdentityFromJson(base::Member(json, "process"));
  job.managed = base::BoolOr(json, "managed", false);
  job.attachable = base::BoolOr(json, "attachable", false);
  job.log = base::StringOr(json, "log", "");
  job.log_offset = base::IntOr(json, "log_offset", -1);
  job.folder = base::StringOr(json, "folder", "");
  job.cgroup = base::StringOr(json, "cgroup", "");
  job.command_line = base::StringOr(json, "command_line", "");
  job.working_dir = base::StringOr(json, "working_dir", "");
  job.uid = static_cast<uint32_t>(base::IntOr(json, "uid", 0));
  job.gid = static_cast<uint32_t>(base::IntOr(json, "gid", 0));
  for (const Json& group : base::Member(json, "groups")) {
    if (group.is_number_integer()) job.groups.push_back(group.get<uint32_t>());
  }
  job.ended = base::BoolOr(json, "ended", false);
  job.exit.code = static_cast<int>(base::IntOr(json, "exit_code", 0));
  job.exit.signal = static_cast<int>(base::IntOr(json, "exit_signal", 0));
  job.exit.known = base::BoolOr(json, "exit_known", true);
  job.note = base::StringOr(json, "note", "");
  job.restored_from = base::StringOr(json, "restored_from", "");
  job.restored_from_ms = base::IntOr(json, "restored_from_ms", 0);
  job.created_ms = base::IntOr(json, "created_ms", 0);
  return job;
}

Json OperationRecord::ToJson() const {
  Json pids = Json::array();
  for (const auto& process : tree) pids.push_back(IdentityToJson(process));
  return {{"restore", restore},         {"job_uuid", job_uuid},
          {"folder", folder},           {"cgroup", cgroup},
          {"shim_folder", shim_folder}, {"save", save},
          {"checkpoint", checkpoint},   {"url", url},
          {"tree", std::move(pids)},    {"leave_running", leave_running},
          {"said_yes", said_yes},       {"job", job.ToJson()}};
}

OperationRecord OperationRecord::FromJson(const Json& json) {
  OperationRecord operation;
  operation.restore = base::BoolOr(json, "restore", false);
  operation.job_uuid = base::StringOr(json, "job_uuid", "");
  operation.folder = base::StringOr(json, "folder", "");
  operation.cgroup = base::StringOr(json, "cgroup", "");
  operation.shim_folder = base::StringOr(json, "shim_folder", "");
  operation.save = base::StringOr(json, "save", "");
  operation.checkpoint = base::StringOr(json, "checkpoint", "");
  operation.url = base::StringOr(json, "url", "");
  for (const Json& process : base::Member(json, "tree")) {
    operation.tree.push_back(IdentityFromJson(process));
  }
  operation.leave_running = base::BoolOr(json, "leave_running", false);
  operation.said_yes = base::BoolOr(json, "said_yes", false);
  operation.job = JobRecord::FromJson(base::Member(json, "job"));
  return operation;
}

absl::StatusOr<std::unique_ptr<JobTable>> JobTable::Open(const std::string& path) {
  CEDANA_ASSIGN_OR_RETURN(auto db, sqlite::Database::Open(path));
  CEDANA_RETURN_IF_ERROR(db->Execute(kSchema));
  return std::unique_ptr<JobTable>(new JobTable(std::move(db)));
}

absl::Status JobTable::Insert(const JobRecord& job) {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(auto insert, db_->Prepare("INSERT INTO jobs VALUES (?, ?, ?)"));
  const absl::Status status =
      insert.Bind(1, job.uuid).Bind(2, job.name).Bind(3, base::DumpJson(job.ToJson())).Run();
  if (status.code() == absl::StatusCode::kAlreadyExists) {
    return absl::AlreadyExistsError(absl::StrCat("job ", job.name, " already exists"));
  }
  return status;
}

absl::Status JobTable::Update(const JobRecord& job) {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(auto update,
                          db_->Prepare("UPDATE jobs SET name = ?, facts = ? WHERE uuid = ?"));
  return update.Bind(1, job.name).Bind(2, base::DumpJson(job.ToJson())).Bind(3, job.uuid).Run();
}

absl::Status JobTable::Remove(const std::string& uuid) {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*db_));
  {
    CEDANA_ASSIGN_OR_RETURN(auto remove, db_->Prepare("DELETE FROM jobs WHERE uuid = ?"));
    CEDANA_RETURN_IF_ERROR(remove.Bind(1, uuid).Run());
    CEDANA_ASSIGN_OR_RETURN(auto records,
                            db_->Prepare("DELETE FROM checkpoints WHERE job_uuid = ?"));
    CEDANA_RETURN_IF_ERROR(records.Bind(1, uuid).Run());
  }
  return transaction.Commit();
}

absl::StatusOr<std::vector<JobRecord>> JobTable::Jobs() {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(auto query, db_->Prepare("SELECT facts FROM jobs"));
  std::vector<JobRecord> jobs;
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return jobs;
    CEDANA_ASSIGN_OR_RETURN(const Json facts, base::ParseJson(query.Text(0)));
    jobs.push_back(JobRecord::FromJson(facts));
  }
}

absl::Status JobTable::AddCheckpoint(const CheckpointRecord& checkpoint) {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(
      auto insert, db_->Prepare("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)"));
  return insert.Bind(1, checkpoint.id)
      .Bind(2, checkpoint.job_uuid)
      .Bind(3, checkpoint.url)
      .Bind(4, checkpoint.time_ms)
      .Bind(5, checkpoint.size)
      .Bind(6, checkpoint.new_bytes)
      .Bind(7, checkpoint.durability)
      .Run();
}

absl::StatusOr<std::vector<CheckpointRecord>> JobTable::Checkpoints(const std::string& job_uuid) {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(
      auto query,
      db_->Prepare("SELECT id, job_uuid, url, time_ms, size, new_bytes, durability FROM checkpoints"
                   " WHERE ?1 = '' OR job_uuid = ?1 ORDER BY time_ms DESC, rowid DESC"));
  query.Bind(1, job_uuid);
  std::vector<CheckpointRecord> checkpoints;
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return checkpoints;
    checkpoints.push_back(ReadCheckpoint(query));
  }
}

absl::StatusOr<std::optional<CheckpointRecord>> JobTable::FindCheckpoint(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(
      auto query,
      db_->Prepare("SELECT id, job_uuid, url, time_ms, size, new_bytes, durability FROM checkpoints"
                   " WHERE id = ?"));
  query.Bind(1, id);
  CEDANA_ASSIGN_OR_RETURN(const bool row, query.Step());
  if (!row) return std::nullopt;
  return ReadCheckpoint(query);
}

absl::Status JobTable::SetDurability(const std::string& id, const std::string& durability) {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(auto update,
                          db_->Prepare("UPDATE checkpoints SET durability = ? WHERE id = ?"));
  return update.Bind(1, durability).Bind(2, id).Run();
}

absl::Status JobTable::RemoveCheckpoint(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(auto remove, db_->Prepare("DELETE FROM checkpoints WHERE id = ?"));
  return remove.Bind(1, id).Run();
}

absl::StatusOr<int64_t> JobTable::BeginOperation(const OperationRecord& operation) {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(auto insert,
                          db_->Prepare("INSERT INTO operations (facts) VALUES (?) RETURNING id"));
  insert.Bind(1, base::DumpJson(operation.ToJson()));
  CEDANA_ASSIGN_OR_RETURN(const bool row, insert.Step());
  if (!row) return absl::InternalError("the journal took no row");
  const int64_t id = insert.Int(0);
  CEDANA_RETURN_IF_ERROR(insert.Run());
  return id;
}

absl::Status JobTable::UpdateOperation(const OperationRecord& operation) {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(auto update,
                          db_->Prepare("UPDATE operations SET facts = ? WHERE id = ?"));
  return update.Bind(1, base::DumpJson(operation.ToJson())).Bind(2, operation.id).Run();
}

absl::Status JobTable::EndOperation(int64_t id) {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(auto remove, db_->Prepare("DELETE FROM operations WHERE id = ?"));
  return remove.Bind(1, id).Run();
}

absl::StatusOr<std::vector<OperationRecord>> JobTable::Operations() {
  absl::MutexLock lock(&mutex_);
  CEDANA_ASSIGN_OR_RETURN(auto query, db_->Prepare("SELECT id, facts FROM operations ORDER BY id"));
  std::vector<OperationRecord> operations;
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return operations;
    CEDANA_ASSIGN_OR_RETURN(const Json facts, base::ParseJson(query.Text(1)));
    operations.push_back(OperationRecord::FromJson(facts));
    operations.back().id = query.Int(0);
  }
}

}  // namespace cedana::daemon
