#include "cedana/daemon/recovery.h"

#include <signal.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cedana/runtime/procfs.h"
#include "cedana/runtime/tree_hold.h"
#include "core/base/fd.h"
#include "core/base/ids.h"
#include "core/base/log.h"
#include "core/base/status.h"

namespace cedana::daemon {
namespace {

constexpr absl::Duration kUndoTimeout = absl::Seconds(15);
constexpr absl::Duration kKillTimeout = absl::Seconds(20);
constexpr absl::Duration kSettleInterval = absl::Seconds(3);
constexpr absl::Duration kAskTimeout = absl::Seconds(15);

// CRIU undoes a cut dump by itself; its cgroup is empty when it has.
void WaitForCriu(const std::string& cgroup) {
  const absl::Time limit = absl::Now() + kUndoTimeout;
  while (!cgroup.empty() && absl::Now() < limit) {
    const auto pids = runtime::CgroupPids(cgroup, /*recursive=*/true);
    if (!pids.ok() || pids->empty()) return;
    absl::SleepFor(absl::Milliseconds(50));
  }
}

}  // namespace

Recovery::~Recovery() {
  end_.Cancel(absl::CancelledError("the daemon stops"));
  thread_.Join();
}

absl::Status Recovery::CleanUp() {
  CEDANA_ASSIGN_OR_RETURN(const auto operations, services_->table->Operations());
  for (const OperationRecord& operation : operations) {
    base::LogWarn("operation was cut off",
                  {{"kind", operation.restore ? "restore" : "dump"}, {"url", operation.url}});
    if (operation.restore) {
      CleanUpRestore(operation);
      CEDANA_RETURN_IF_ERROR(services_->table->EndOperation(operation.id));
    } else {
      CleanUpDump(operation);
      Add(operation);
    }
    RemoveFolder(operation.folder);
    if (!operation.cgroup.empty()) runtime::RemoveCgroup(operation.cgroup).IgnoreError();
  }
  return absl::OkStatus();
}

void Recovery::CleanUpDump(const OperationRecord& operation) {
  WaitForCriu(operation.cgroup);
  std::vector<int> pids;
  for (const runtime::ProcessIdentity& process : operation.tree) {
    if (runtime::IsAlive(process)) pids.push_back(process.pid);
  }
  // The tree may be frozen, if its shim was lost as well, and a job's cgroup even when it has
  // ended.
  const std::vector<std::string> held = runtime::FindHold(pids, JobCgroup(operation.job_uuid));
  absl::Status status = runtime::CureAndThaw(held);
  status.Update(runtime::ReleaseTree(held));
  auto tables = criu::CriuTablesOf(pids);
  status.Update(tables.status());
  if (tables.ok()) status.Update(criu::CureTcp(pids, *tables));
  if (!status.ok()) base::LogError("connections not cured", {{"error", status.ToString()}});
  // Children of a CRIU that was killed, which it had stopped itself.
  if (!operation.cgroup.empty()) {
    runtime::KillCgroup(operation.cgroup, kKillTimeout).IgnoreError();
  }
}

// From the table: this is before the jobs are adopted.
std::string Recovery::JobCgroup(const std::string& uuid) const {
  const auto jobs = services_->table->Jobs();
  for (const JobRecord& job : jobs.value_or(std::vector<JobRecord>())) {
    if (job.uuid == uuid) return job.cgroup;
  }
  return "";
}

void Recovery::CleanUpRestore(const OperationRecord& operation) {
  if (operation.said_yes) {
    const absl::Status status = AdoptRestored(operation);
    if (status.ok()) return;
    base::LogWarn("restored job not adopted",
                  {{"job", operation.job.name}, {"error", status.ToString()}});
  }
  if (!operation.cgroup.empty()) {
    if (absl::Status status = runtime::KillCgroup(operation.cgroup, kKillTimeout); !status.ok()) {
      base::LogError("cut restore left processes",
                     {{"cgroup", operation.cgroup}, {"error", status.ToString()}});
    }
  }
  if (auto shim = runtime::ShimClient::Connect(operation.shim_folder); shim.ok()) {
    if (auto state = (*shim)->State(); state.ok()) {
      if (auto tree = runtime::Tree(state->shim_pid); tree.ok()) {
        for (const int pid : *tree) {
          if (pid != state->shim_pid) ::kill(pid, SIGKILL);
        }
      }
    }
    (*shim)->Release();
  }
}

// The last daemon said yes, so the tree may run: find its root and write it down as a job.
absl::Status Recovery::AdoptRestored(const OperationRecord& operation) {
  const absl::Time limit = absl::Now() + kUndoTimeout;
  auto shim = runtime::ShimClient::Connect(operation.shim_folder);
  while (shim.ok() && absl::Now() < limit) {
    const auto state = (*shim)->State();
    if (!state.ok() || !state->operation) break;
    absl::SleepFor(absl::Milliseconds(50));
  }
  CEDANA_ASSIGN_OR_RETURN(const std::string text,
                          base::ReadFile(absl::StrCat(operation.folder, "/pf"), 64));
  int pid = 0;
  if (!absl::SimpleAtoi(text, &pid)) return absl::NotFoundError("criu wrote no pid file");
  JobRecord record = operation.job;
  const auto process = runtime::Identify(pid);
  if (!process.has_value()) return absl::NotFoundError("the restored process has ended");
  record.process = *process;
  if (shim.ok()) CEDANA_RETURN_IF_ERROR((*shim)->Adopt(*process, /*child=*/true));
  CEDANA_RETURN_IF_ERROR(MoveTree(operation.cgroup, record.cgroup));
  const absl::Status inserted = services_->table->Insert(record);
  if (inserted.ok()) return inserted;
  return services_->table->Update(record);
}

void Recovery::Add(const OperationRecord& operation) {
  absl::MutexLock lock(&mutex_);
  open_.push_back(operation);
}

void Recovery::StartSettling() {
  thread_ = base::Thread("settle", [this] { Loop(); });
}

void Recovery::Loop() {
  do {
    std::vector<OperationRecord> open;
    {
      absl::MutexLock lock(&mutex_);
      open = std::exchange(open_, {});
    }
    for (const OperationRecord& operation : open) {
      const absl::Status status = Settle(operation);
      if (status.ok()) {
        services_->table->EndOperation(operation.id).IgnoreError();
        continue;
      }
      base::Log(base::LogLevel::kDebug, "outcome still unknown",
                {{"url", operation.url}, {"error", status.ToString()}});
      Add(operation);
    }
  } while (!end_.WaitFor(kSettleInterval));
}

absl::Status Recovery::Settle(const OperationRecord& operation) {
  CEDANA_ASSIGN_OR_RETURN(const plugin::StorageUrl url, plugin::ParseStorageUrl(operation.url));
  CEDANA_ASSIGN_OR_RETURN(auto storage, services_->OpenStorage(url.Parent()));
  CEDANA_ASSIGN_OR_RETURN(const base::SaveId save, base::SaveId::FromHex(operation.save));
  const base::Context context = base::Context{}.WithTimeout(kAskTimeout);
  // An abort settles an open save, and tells when it had committed.
  const absl::Status aborted = storage->catalog().Abort(context, save);
  if (aborted.ok() || absl::IsNotFound(aborted)) {
    base::LogInfo("cut dump settled", {{"url", operation.url}, {"outcome", "not committed"}});
    return absl::OkStatus();
  }
  if (!absl::IsAlreadyExists(aborted)) return aborted;
  return RecordCommitted(operation, *storage, url);
}

absl::Status Recovery::RecordCommitted(const OperationRecord& operation,
                                       plugin::StorageBackend& storage,
                                       const plugin::StorageUrl& url) {
  transfer::ListQuery query;
  query.prefix = url.path.substr(0, url.path.rfind('/'));
  CEDANA_ASSIGN_OR_RETURN(const auto found,
                          storage.catalog().List(base::Context{}.WithTimeout(kAskTimeout), query));
  for (const transfer::CheckpointInfo& info : found) {
    if (info.id.ToHex() != operation.checkpoint) continue;
    CheckpointRecord record;
    record.id = operation.checkpoint;
    record.job_uuid = operation.job_uuid;
    record.url = operation.url;
    record.time_ms = absl::ToUnixMillis(info.created);
    record.size = static_cast<int64_t>(info.image_bytes);
    record.new_bytes = static_cast<int64_t>(info.new_bytes);
    record.durability = info.durability;
    CEDANA_RETURN_IF_ERROR(services_->table->AddCheckpoint(record));
  }
  base::LogWarn("cut dump settled", {{"url", operation.url}, {"outcome", "committed"}});
  auto job = services_->jobs->FindByUuid(operation.job_uuid);
  if (job != nullptr && !operation.leave_running && Jobs::IsRunning(job->record())) {
    return job->Change([&](JobRecord* r) {
      r->note = absl::StrCat("committed, but still running: ", operation.url);
    });
  }
  return absl::OkStatus();
}

}  // namespace cedana::daemon
