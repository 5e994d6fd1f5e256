#include "cedana/daemon/jobs.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cedana/runtime/procfs.h"
#include "core/base/ids.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/base/status.h"

namespace cedana::daemon {
namespace {

constexpr absl::Duration kWatchInterval = absl::Milliseconds(200);
// A zombie child that is nobody's for this many looks (2 s) is an orphan of a lost shim: whoever
// waits for a child of his own gets it within milliseconds.
constexpr int kOrphanTicks = 10;
// The watcher's look at a job is over within this; a dump is not.
constexpr absl::Duration kLockWait = absl::Seconds(5);
constexpr size_t kNameBytesMax = 200;

constexpr std::array kAdjectives = {"agile",  "bold",   "brave", "calm",   "clever", "eager",
                                    "fair",   "gentle", "happy", "keen",   "lucid",  "merry",
                                    "nimble", "proud",  "quiet", "steady", "swift",  "witty"};
constexpr std::array kSurnames = {"babbage", "bell",     "curie",    "dijkstra", "euler",
                                  "fermi",   "gauss",    "hamilton", "hopper",   "kepler",
                                  "lamport", "lovelace", "noether",  "newton",   "ritchie",
                                  "shannon", "turing",   "wiles"};

absl::Status CheckName(const std::string& name) {
  if (name.size() > kNameBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("job name: at most ", kNameBytesMax, " bytes, this has ", name.size()));
  }
  for (const char c : name) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '/' || c == 127) {
      return absl::InvalidArgumentError("job name: no blanks, slashes or control characters");
    }
  }
  return absl::OkStatus();
}

runtime::ExitStatus FromWaitStatus(int status) {
  runtime::ExitStatus exit;
  if (WIFSIGNALED(status)) {
    exit.signal = WTERMSIG(status);
  } else {
    exit.code = WEXITSTATUS(status);
  }
  return exit;
}

// How the job ended, from whoever can tell: its shim, the file that the shim left, or, where the
// shim was lost, the kernel (this daemon is a subreaper).
runtime::ExitStatus FindExit(const JobRecord& record, runtime::ShimClient* shim) {
  if (shim != nullptr) {
    auto exit = shim->WaitExit(absl::Seconds(2));
    if (exit.ok() && exit->has_value()) return **exit;
  }
  if (auto exit = runtime::ReadExitFile(record.folder); exit.ok() && exit->has_value()) {
    return **exit;
  }
  int status = 0;
  if (waitpid(record.process.pid, &status, WNOHANG) == record.process.pid) {
    return FromWaitStatus(status);
  }
  return {.code = 0, .signal = 0, .known = false};
}

}  // namespace

void RemoveFolder(const std::string& path) {
  if (path.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

JobRecord Job::record() const {
  absl::MutexLock lock(&mutex_);
  return record_;
}

absl::Status Job::Change(const std::function<void(JobRecord*)>& change) {
  absl::MutexLock lock(&mutex_);
  JobRecord changed = record_;
  change(&changed);
  CEDANA_RETURN_IF_ERROR(table_->Update(changed));
  record_ = std::move(changed);
  return absl::OkStatus();
}

std::shared_ptr<runtime::ShimClient> Job::shim() const {
  absl::MutexLock lock(&mutex_);
  return shim_;
}

void Job::SetShim(std::shared_ptr<runtime::ShimClient> shim) {
  absl::MutexLock lock(&mutex_);
  shim_ = std::move(shim);
}

bool Job::Lock(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !busy_; };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&idle), timeout)) return false;
  busy_ = true;
  return true;
}

void Job::Unlock() {
  absl::MutexLock lock(&mutex_);
  busy_ = false;
}

absl::StatusOr<JobLock> JobLock::Take(std::shared_ptr<Job> job) {
  if (!job->Lock(kLockWait)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "job ", job->record().name, " has a dump or restore under way: try again after it"));
  }
  return JobLock(std::move(job));
}

Jobs::Jobs(const Settings* settings, JobTable* table, const runtime::Cgroups* cgroups)
    : settings_(settings), table_(table), cgroups_(cgroups) {}

Jobs::~Jobs() {
  stop_.Cancel(absl::CancelledError("the daemon stops"));
  watcher_.Join();
}

std::string Jobs::NewShimFolder() const {
  return absl::StrCat(settings_->run_dir, "/j/",
                      absl::Hex(base::SystemRandom().Next64(), absl::kZeroPad16));
}

absl::StatusOr<std::string> Jobs::JobCgroup(const std::string& uuid) const {
  if (cgroups_ == nullptr) return std::string();
  return cgroups_->Make(absl::StrCat("job-", uuid));
}

std::string Jobs::FreeName() const {
  base::Random& random = base::SystemRandom();
  while (true) {
    std::string name = absl::StrCat(kAdjectives[random.Below(kAdjectives.size())], "_",
                                    kSurnames[random.Below(kSurnames.size())], random.Below(1000));
    if (!Find(name).ok()) return name;
  }
}

absl::StatusOr<std::shared_ptr<Job>> Jobs::Find(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  for (const auto& job : jobs_) {
    if (job->record().name == name) return job;
  }
  return absl::NotFoundError(absl::StrCat("job ", name, " not found"));
}

std::shared_ptr<Job> Jobs::FindByUuid(const std::string& uuid) const {
  absl::MutexLock lock(&mutex_);
  for (const auto& job : jobs_) {
    if (job->record().uuid == uuid) return job;
  }
  return nullptr;
}

std::shared_ptr<Job> Jobs::FindByPid(int pid) const {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<Job> ended;
  for (const auto& job : jobs_) {
    const JobRecord record = job->record();
    if (record.process.pid != pid) continue;
    if (!record.ended) return job;
    ended = job;
  }
  return ended;
}

std::vector<std::shared_ptr<Job>> Jobs::All() const {
  absl::MutexLock lock(&mutex_);
  return jobs_;
}

bool Jobs::IsRunning(const JobRecord& record) {
  return record.process.pid > 0 && !record.ended && runtime::IsAlive(record.process);
}

absl::StatusOr<std::shared_ptr<Job>> Jobs::Add(const JobRecord& record) {
  CEDANA_RETURN_IF_ERROR(CheckName(record.name));
  CEDANA_RETURN_IF_ERROR(table_->Insert(record));
  auto job = std::make_shared<Job>(table_, record);
  absl::MutexLock lock(&mutex_);
  jobs_.push_back(job);
  return job;
}

absl::Status Jobs::Remove(const std::string& uuid) {
  std::shared_ptr<Job> job = FindByUuid(uuid);
  if (job == nullptr) return absl::OkStatus();
  CEDANA_RETURN_IF_ERROR(table_->Remove(uuid));
  if (auto shim = job->shim(); shim != nullptr) shim->Release();
  RemoveFolder(job->record().folder);
  if (const std::string cgroup = job->record().cgroup; !cgroup.empty()) {
    runtime::RemoveCgroup(cgroup).IgnoreError();
  }
  absl::MutexLock lock(&mutex_);
  std::erase(jobs_, job);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Job>> Jobs::Start(const StartSpec& spec) {
  JobRecord record;
  record.uuid = base::DrawId<base::JobId>(base::SystemRandom()).ToHex();
  record.name = spec.name.empty() ? FreeName() : spec.name;
  record.attachable = spec.attachable;
  if (!spec.attachable) {
    record.log = spec.log.empty()
                     ? absl::StrCat(settings_->job_log_dir, "/cedana-output-", record.name, ".log")
                     : spec.log;
  }
  record.folder = NewShimFolder();
  record.command_line = absl::StrJoin(spec.argv, " ");
  record.working_dir = spec.working_dir;
  record.uid = spec.uid;
  record.gid = spec.gid;
  record.groups = spec.groups;
  record.created_ms = absl::ToUnixMillis(absl::Now());
  // The row comes first: a job that runs is in the table, whatever kills this daemon.
  CEDANA_ASSIGN_OR_RETURN(std::shared_ptr<Job> job, Add(record));
  CEDANA_ASSIGN_OR_RETURN(JobLock lock, JobLock::Take(job));
  const absl::Status status = [&]() -> absl::Status {
    CEDANA_ASSIGN_OR_RETURN(record.cgroup, JobCgroup(record.uuid));
    CEDANA_ASSIGN_OR_RETURN(std::shared_ptr<runtime::ShimClient> shim,
                            runtime::ShimClient::Launch(settings_->shim_program, record.folder));
    job->SetShim(shim);
    runtime::StartRequest request;
    request.argv = spec.argv;
    request.env = spec.env;
    request.working_dir = spec.working_dir;
    request.uid = spec.uid;
    request.gid = spec.gid;
    request.groups = spec.groups;
    request.stdio = {spec.attachable ? runtime::StdioMode::kPipes : runtime::StdioMode::kLog,
                     record.log, spec.hold_output};
    request.cgroup = record.cgroup;
    CEDANA_ASSIGN_OR_RETURN(record.process, shim->Start(request));
    return job->Change([&](JobRecord* r) { *r = record; });
  }();
  if (!status.ok()) {
    Remove(record.uuid).IgnoreError();
    return status;
  }
  return job;
}

absl::StatusOr<std::shared_ptr<Job>> Jobs::Manage(const std::string& name, int pid) {
  const auto process = runtime::Identify(pid);
  if (!process.has_value()) {
    return absl::NotFoundError(absl::StrCat("process with PID ", pid, " does not exist"));
  }
  if (auto other = FindByPid(pid); other != nullptr && IsRunning(other->record())) {
    return absl::AlreadyExistsError(absl::StrCat("failed to manage job: PID ", pid,
                                                 " is already being managed under job ",
                                                 other->record().name));
  }
  JobRecord record;
  record.uuid = base::DrawId<base::JobId>(base::SystemRandom()).ToHex();
  record.name = name.empty() ? FreeName() : name;
  record.process = *process;
  record.managed = true;
  record.folder = NewShimFolder();
  record.command_line = runtime::CommandLine(pid);
  record.created_ms = absl::ToUnixMillis(absl::Now());
  CEDANA_ASSIGN_OR_RETURN(std::shared_ptr<Job> job, Add(record));
  auto shim = runtime::ShimClient::Launch(settings_->shim_program, record.folder);
  absl::Status status = shim.status();
  if (status.ok()) {
    status = (*shim)->Adopt(*process, /*child=*/false);
    job->SetShim(*std::move(shim));
  }
  if (!status.ok()) {
    Remove(record.uuid).IgnoreError();
    return status;
  }
  return job;
}

absl::Status Jobs::Adopt() {
  CEDANA_ASSIGN_OR_RETURN(const std::vector<JobRecord> records, table_->Jobs());
  for (const JobRecord& record : records) {
    auto job = std::make_shared<Job>(table_, record);
    {
      absl::MutexLock lock(&mutex_);
      jobs_.push_back(job);
    }
    if (record.process.pid == 0 && !record.ended) {
      // The last daemon died between the row and the start. Its shim ends by itself, unless it
      // got as far as starting the job: then the job is found through it.
      auto shim = runtime::ShimClient::Connect(record.folder);
      auto state = shim.ok() ? (*shim)->State() : absl::StatusOr<runtime::ShimState>(shim.status());
      if (state.ok() && state->job.has_value()) {
        job->Change([&](JobRecord* r) { r->process = *state->job; }).IgnoreError();
      }
    }
    Refresh(*job);
  }
  return absl::OkStatus();
}

void Jobs::FindShim(Job& job) {
  const JobRecord record = job.record();
  if (auto shim = runtime::ShimClient::Connect(record.folder); shim.ok()) {
    job.SetShim(*std::move(shim));
    return;
  }
  // Its shim is gone. The job lives on under a new one, which can see its end, but no exit code.
  const std::string folder = NewShimFolder();
  auto shim = runtime::ShimClient::Launch(settings_->shim_program, folder);
  absl::Status status = shim.status();
  if (status.ok()) status = (*shim)->Adopt(record.process, /*child=*/false);
  if (status.ok()) status = job.Change([&](JobRecord* r) { r->folder = folder; });
  if (!status.ok()) {
    base::LogError("job has no shim", {{"job", record.name}, {"error", status.ToString()}});
    return;
  }
  base::LogWarn("job adopted by a new shim", {{"job", record.name}, {"pid", record.process.pid}});
  job.SetShim(*std::move(shim));
}

void Jobs::Refresh(Job& job) {
  const JobRecord record = job.record();
  if (record.ended || record.process.pid == 0) return;
  std::shared_ptr<runtime::ShimClient> shim = job.shim();
  if (runtime::IsAlive(record.process)) {
    if (shim == nullptr || !shim->State().ok()) FindShim(job);
    return;
  }
  const runtime::ExitStatus exit = FindExit(record, shim.get());
  const absl::Status status = job.Change([&](JobRecord* r) {
    r->ended = true;
    r->exit = exit;
  });
  if (!status.ok()) {
    base::LogError("job's end not written", {{"job", record.name}, {"error", status.ToString()}});
    return;
  }
  base::LogInfo("job ended", {{"job", record.name},
                              {"pid", record.process.pid},
                              {"exit_code", exit.ShellCode()},
                              {"known", exit.known ? "yes" : "no"}});
  // The shim may still hold output that nobody has fetched; without us it ends by itself.
  job.SetShim(nullptr);
}

void Jobs::StartWatching() {
  watcher_ = base::Thread("jobs", [this] { Watch(); });
}

void Jobs::Watch() {
  while (!stop_.WaitFor(kWatchInterval)) {
    for (const auto& job : All()) {
      // Whoever holds the lock looks after the job himself.
      if (!job->Lock(absl::ZeroDuration())) continue;
      Refresh(*job);
      job->Unlock();
    }
    ReapOrphans();
  }
}

void Jobs::ReapOrphans() {
  siginfo_t info{};
  if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) {
    orphan_pid_ = 0;
    return;
  }
  if (info.si_pid != orphan_pid_) {
    orphan_pid_ = info.si_pid;
    orphan_ticks_ = 0;
    return;
  }
  if (++orphan_ticks_ < kOrphanTicks) return;
  waitpid(orphan_pid_, nullptr, WNOHANG);
  orphan_pid_ = 0;
}

}  // namespace cedana::daemon
