// What the daemon must know after a restart: its jobs, their checkpoints, and the operations that
// were in flight (the journal). SQLite, outside /tmp; a call returns when the row is on disk.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "cedana/runtime/shim_client.h"
#include "core/base/json.h"
#include "core/sqlite/database.h"

namespace cedana::daemon {

struct JobRecord {
  std::string uuid;  // hex of base::JobId; survives restores and hosts
  std::string name;  // unique here
  std::string type = "process";
  runtime::ProcessIdentity process;  // pid 0: never started here
  bool managed = false;              // not started by us: its exit code cannot be known
  bool attachable = false;
  std::string log;          // path; empty for attachable jobs
  int64_t log_offset = -1;  // size of the log at the restore; -1: never restored
  std::string folder;       // of its shim
  std::string cgroup;
  std::string command_line;
  std::string working_dir;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;
  bool ended = false;  // `exit` says how
  runtime::ExitStatus exit;
  std::string note;              // "committed, but still running: …"
  std::string restored_from;     // URL of the checkpoint that the last restore here took, or empty
  int64_t restored_from_ms = 0;  // when that was made
  int64_t created_ms = 0;

  base::Json ToJson() const;
  static JobRecord FromJson(const base::Json& json);
};

// Durability of a checkpoint that its storage does not have any more.
inline constexpr char kGone[] = "gone";

struct CheckpointRecord {
  std::string id;        // hex of base::CheckpointId
  std::string job_uuid;  // empty: of a bare process
  std::string url;       // with scheme and suffix, as --path takes it
  int64_t time_ms = 0;
  int64_t size = 0;
  int64_t new_bytes = 0;
  std::string durability;  // as the storage said last, or kGone
};

// An operation in flight, so that the next daemon can find out how it ended.
struct OperationRecord {
  int64_t id = 0;
  bool restore = false;
  std::string job_uuid;  // empty: a bare process
  std::string folder;    // of the operation: sockets, CRIU's log
  std::string cgroup;    // op; its children are op/criu and op/tree
  std::string shim_folder;
  std::string save;                            // hex, dumps
  std::string checkpoint;                      // hex, dumps
  std::string url;                             // of the checkpoint, with scheme and suffix
  std::vector<runtime::ProcessIdentity> tree;  // dumps: whom to cure
  bool leave_running = false;
  bool said_yes = false;  // post-dump or post-restore was answered with yes
  JobRecord job;          // restores: what the job becomes

  base::Json ToJson() const;
  static OperationRecord FromJson(const base::Json& json);
};

// Thread-safe.
class JobTable {
 public:
  static absl::StatusOr<std::unique_ptr<JobTable>> Open(const std::string& path);

  // kAlreadyExists: the name is taken.
  absl::Status Insert(const JobRecord& job);
  absl::Status Update(const JobRecord& job);
  absl::Status Remove(const std::string& uuid);
  absl::StatusOr<std::vector<JobRecord>> Jobs();

  absl::Status AddCheckpoint(const CheckpointRecord& checkpoint);
  // Newest first; all when `job_uuid` is empty.
  absl::StatusOr<std::vector<CheckpointRecord>> Checkpoints(const std::string& job_uuid);
  absl::StatusOr<std::optional<CheckpointRecord>> FindCheckpoint(const std::string& id);
  absl::Status SetDurability(const std::string& id, const std::string& durability);
  absl::Status RemoveCheckpoint(const std::string& id);

  absl::StatusOr<int64_t> BeginOperation(const OperationRecord& operation);
  absl::Status UpdateOperation(const OperationRecord& operation);
  absl::Status EndOperation(int64_t id);
  absl::StatusOr<std::vector<OperationRecord>> Operations();

 private:
  explicit JobTable(std::unique_ptr<sqlite::Database> db) : db_(std::move(db)) {}
  absl::Mutex mutex_;
  std::unique_ptr<sqlite::Database> db_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::daemon
