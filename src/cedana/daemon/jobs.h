// The jobs of this daemon: started, managed or restored here, adopted again after a restart. Each
// has a shim that outlives the daemon; what must survive is in the job table.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "cedana/daemon/job_table.h"
#include "cedana/daemon/settings.h"
#include "cedana/runtime/cgroup.h"
#include "cedana/runtime/shim_client.h"
#include "core/base/context.h"
#include "core/base/thread.h"

namespace cedana::daemon {

// One job. Thread-safe.
class Job {
 public:
  Job(JobTable* table, JobRecord record) : table_(table), record_(std::move(record)) {}

  JobRecord record() const;
  // Changes the record and writes it to the table.
  absl::Status Change(const std::function<void(JobRecord*)>& change);
  std::shared_ptr<runtime::ShimClient> shim() const;
  void SetShim(std::shared_ptr<runtime::ShimClient> shim);

  // One dump, restore, deletion or look at a time. False: another one is still under way.
  bool Lock(absl::Duration timeout);
  void Unlock();

 private:
  JobTable* const table_;
  mutable absl::Mutex mutex_;
  JobRecord record_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<runtime::ShimClient> shim_ ABSL_GUARDED_BY(mutex_);
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
};

// Holds a job's lock.
class JobLock {
 public:
  // kFailedPrecondition: another operation holds it.
  static absl::StatusOr<JobLock> Take(std::shared_ptr<Job> job);
  JobLock(JobLock&&) = default;
  JobLock& operator=(JobLock&&) = delete;
  ~JobLock() {
    if (job_ != nullptr) job_->Unlock();
  }

 private:
  explicit JobLock(std::shared_ptr<Job> job) : job_(std::move(job)) {}
  std::shared_ptr<Job> job_;
};

struct StartSpec {
  std::string name;  // empty: a generated one
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::string working_dir;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;
  std::string log;  // empty: the default one
  bool attachable = false;
  bool hold_output = false;
};

// A folder of ours that is needed no more, with all that is in it. Best effort.
void RemoveFolder(const std::string& path);

// Thread-safe.
class Jobs {
 public:
  // `cgroups` may be null: this machine has no cgroup v2.
  Jobs(const Settings* settings, JobTable* table, const runtime::Cgroups* cgroups);
  ~Jobs();  // stops watching; the jobs live on

  // Reads the table and finds every job's shim again.
  absl::Status Adopt();
  // From now on ends of jobs are noticed and written down.
  void StartWatching();

  absl::StatusOr<std::shared_ptr<Job>> Start(const StartSpec& spec);
  absl::StatusOr<std::shared_ptr<Job>> Manage(const std::string& name, int pid);
  // Adds a job that a restore brings; the name must be free (kAlreadyExists).
  absl::StatusOr<std::shared_ptr<Job>> Add(const JobRecord& record);
  absl::Status Remove(const std::string& uuid);

  absl::StatusOr<std::shared_ptr<Job>> Find(const std::string& name) const;  // kNotFound
  std::shared_ptr<Job> FindByUuid(const std::string& uuid) const;            // or null
  std::shared_ptr<Job> FindByPid(int pid) const;  // running ones; or null
  std::vector<std::shared_ptr<Job>> All() const;

  // Brings the record up to date with the process: has it ended, and how?
  void Refresh(Job& job);
  static bool IsRunning(const JobRecord& record);

  std::string NewShimFolder() const;
  absl::StatusOr<std::string> JobCgroup(const std::string& uuid) const;  // "" without cgroup v2
  std::string FreeName() const;                                          // "brave_noether4"
  const Settings& settings() const { return *settings_; }

 private:
  void Watch();
  void FindShim(Job& job);
  void ReapOrphans();

  const Settings* const settings_;
  JobTable* const table_;
  const runtime::Cgroups* const cgroups_;
  mutable absl::Mutex mutex_;
  std::vector<std::shared_ptr<Job>> jobs_ ABSL_GUARDED_BY(mutex_);
  base::CancelSource stop_;
  base::Thread watcher_;
  int orphan_pid_ = 0;    // watcher only
  int orphan_ticks_ = 0;  // watcher only
};

}  // namespace cedana::daemon
