#include "cedana/daemon/restore.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cedana/daemon/newest.h"
#include "cedana/daemon/stall_watch.h"
#include "cedana/runtime/procfs.h"
#include "core/base/fd.h"
#include "core/base/ids.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/base/status.h"

namespace cedana::daemon {
namespace {

// No byte read from the storage and none taken by CRIU for this long ends a restore.
constexpr absl::Duration kRestoreStall = absl::Seconds(60);
constexpr absl::Duration kServedTimeout = absl::Seconds(30);
constexpr absl::Duration kKillTimeout = absl::Seconds(20);
constexpr absl::Duration kReapTimeout = absl::Seconds(5);

// Makes an empty regular file where `path` is missing, with the mode and owner it had.
absl::Status CreateMissingFile(const std::string& path, int mode, uint32_t uid, uint32_t gid) {
  base::UniqueFd fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd.valid()) {
    return errno == EEXIST ? absl::OkStatus()
                           : base::ErrnoStatus(errno, absl::StrCat("cannot create ", path));
  }
  // The umask may have taken bits away, and CRIU compares the mode.
  if (::fchmod(fd.get(), static_cast<mode_t>(mode)) != 0 || ::fchown(fd.get(), uid, gid) != 0) {
    return base::ErrnoStatus(errno, path);
  }
  return absl::OkStatus();
}

// Kills every descendant of the shim, again until there is none: what one fork escapes, the next
// look finds.
void KillDescendants(runtime::ShimClient& shim, absl::Duration timeout) {
  const auto state = shim.State();
  if (!state.ok()) return;
  const absl::Time limit = absl::Now() + timeout;
  while (absl::Now() < limit) {
    const auto tree = runtime::Tree(state->shim_pid);
    if (!tree.ok() || tree->size() <= 1) return;
    for (const int pid : *tree) {
      if (pid != state->shim_pid) ::kill(pid, SIGKILL);
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
}

// What a lost shim was the parent of is ours now: a zombie would keep its pid from the next try.
void ReapLost(const std::vector<int>& pids) {
  const absl::Time limit = absl::Now() + kReapTimeout;
  for (const int pid : pids) {
    while (absl::Now() < limit) {
      const auto stat = runtime::ReadStat(pid);
      if (!stat.ok() || stat->ppid != ::getpid()) break;
      if (::waitpid(pid, nullptr, WNOHANG) != 0) break;
      absl::SleepFor(absl::Milliseconds(5));
    }
  }
}

}  // namespace

RestoreOperation::RestoreOperation(const Services& services, RestoreRequest request,
                                   std::shared_ptr<Progress> progress)
    : services_(services), request_(std::move(request)), progress_(std::move(progress)) {}

RestoreOperation::~RestoreOperation() { progress_->SetMeter(nullptr); }

absl::StatusOr<RestoreResult> RestoreOperation::Run(const base::Context& context) {
  const absl::Time start = absl::Now();
  // Which checkpoint, and may it be restored here? Nothing is touched before that is answered.
  progress_->Stage("opening");
  CEDANA_ASSIGN_OR_RETURN(criu_, services_.criu->Find());
  CEDANA_RETURN_IF_ERROR(FindCheckpoint(context));
  CEDANA_RETURN_IF_ERROR(OpenCheckpoint(context));
  CEDANA_RETURN_IF_ERROR(CheckHost());
  CEDANA_RETURN_IF_ERROR(PrepareJob());
  absl::Status status = BeginJournal();
  if (status.ok()) status = Listen();
  if (status.ok()) {
    StallWatch watch(
        context, services_.stop,
        [this] { return load_->progress().read_bytes + load_->progress().served_bytes; },
        [this](const absl::Status& reason) { Cancel(reason); });
    watch.Limit(kRestoreStall);
    // CRIU builds the tree from our streams. Its post-restore hook asks us before anything runs.
    progress_->Stage("restoring");
    status = Conclude(RunCriu());
  }
  progress_->SetMeter(nullptr);
  if (!status.ok()) {
    Undo();
    const std::string kept =
        folder_ == nullptr ? "" : folder_->KeepLogs(*services_.settings, "restore");
    base::LogWarn("restore failed", {{"operation", operation_},
                                     {"path", url_.ToString()},
                                     {"error", status.ToString()},
                                     {"criu_log", kept}});
    services_.table->EndOperation(journal_.id).IgnoreError();
    return status;
  }
  services_.table->EndOperation(journal_.id).IgnoreError();
  return RestoreResult{job_, record_.process.pid, load_->info(), absl::Now() - start};
}

absl::Status RestoreOperation::FindCheckpoint(const base::Context& context) {
  if (!request_.path.empty()) {
    CEDANA_ASSIGN_OR_RETURN(url_, plugin::ParseStorageUrl(request_.path));
    return absl::OkStatus();
  }
  if (request_.job_name.empty()) return absl::InvalidArgumentError("no path provided");
  if (auto job = services_.jobs->Find(request_.job_name); job.ok()) {
    const JobRecord record = (*job)->record();
    if (Jobs::IsRunning(record)) {
      return absl::FailedPreconditionError(
          absl::StrCat("job ", record.name, " is already running"));
    }
  }
  CEDANA_ASSIGN_OR_RETURN(const JobSearch search,
                          SearchFor(services_, request_.job_name, request_.default_dir));
  CEDANA_ASSIGN_OR_RETURN(
      NewestCheckpoint newest,
      FindNewest(context, OpenerOf(services_, operation_), search, request_.dir));
  for (const std::string& note : newest.notes) progress_->Note(note);
  url_ = newest.url;
  storage_ = std::move(newest.storage);
  return absl::OkStatus();
}

absl::Status RestoreOperation::OpenCheckpoint(const base::Context& context) {
  if (storage_ == nullptr) {
    CEDANA_ASSIGN_OR_RETURN(storage_, services_.OpenStorage(url_.Parent(), operation_));
  }
  CEDANA_ASSIGN_OR_RETURN(MemoryGate::Share share, services_.memory->Take(context));
  memory_.emplace(std::move(share));
  transfer::LoadOptions options;
  options.path = url_.path;
  options.lease = base::DrawId<base::LeaseId>(base::SystemRandom());
  options.memory_limit_bytes = memory_->bytes();
  CEDANA_ASSIGN_OR_RETURN(load_, transfer::Load::Open(context, options, &storage_->catalog(),
                                                      [this](const base::LeaseId& lease) {
                                                        return storage_->OpenSource(lease);
                                                      }));
  const transfer::CheckpointInfo& info = load_->info();
  url_.path = info.path;
  facts_ = RestoreFacts::FromJson(info.facts.details);
  progress_->SetMeter([load = load_.get(), total = info.image_bytes](ProgressView* view) {
    view->bytes = load->progress().served_bytes;
    view->total_bytes = total;
    view->stored_bytes = load->progress().read_bytes;
  });
  progress_->Note(absl::StrCat("checkpoint ", url_.ToString(), " of ", info.facts.user, "@",
                               info.facts.host, " from ", When(info.created)));
  return absl::OkStatus();
}

absl::Status RestoreOperation::CheckHost() {
  if (!facts_.architecture.empty() && facts_.architecture != MachineArchitecture()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the checkpoint was made on ", facts_.architecture, ", this host is ",
                     MachineArchitecture(), ": restore it on a host like the first"));
  }
  if (facts_.criu_version > criu_.version) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the checkpoint was made by criu ", facts_.criu_version, ", this host has the older ",
        criu_.version, ": install at least that version"));
  }
  return runtime::CheckPidsFree(facts_.pids);
}

absl::Status RestoreOperation::PrepareJob() {
  const transfer::JobFacts& origin = load_->info().facts;
  const std::string name = !request_.job_name.empty() ? request_.job_name
                           : !origin.job_name.empty() ? origin.job_name
                                                      : services_.jobs->FreeName();
  job_ = services_.jobs->FindByUuid(origin.job_id);
  if (job_ == nullptr) {
    if (auto by_name = services_.jobs->Find(name); by_name.ok()) job_ = *by_name;
  }
  if (job_ != nullptr) {
    auto lock = JobLock::Take(job_);
    if (!lock.ok()) return lock.status();
    lock_.emplace(*std::move(lock));
    services_.jobs->Refresh(*job_);
    record_ = job_->record();
    if (Jobs::IsRunning(record_)) {
      return absl::FailedPreconditionError(
          absl::StrCat("job ", record_.name, " is already running"));
    }
  } else {
    record_.uuid = !origin.job_id.empty() ? origin.job_id
                                          : base::DrawId<base::JobId>(base::SystemRandom()).ToHex();
    record_.name = name;
    record_.created_ms = absl::ToUnixMillis(absl::Now());
    job_is_new_ = true;
  }
  record_.command_line = origin.command_line;
  record_.working_dir = facts_.working_dir;
  record_.uid = facts_.uid;
  record_.gid = facts_.gid;
  record_.groups = facts_.groups;
  record_.managed = false;
  record_.ended = false;
  record_.exit = {};
  record_.note.clear();
  record_.restored_from = url_.ToString();
  record_.restored_from_ms = absl::ToUnixMillis(load_->info().created);
  record_.process = {};
  record_.log = !request_.log.empty() ? request_.log : facts_.log;
  record_.folder = services_.jobs->NewShimFolder();
  CEDANA_ASSIGN_OR_RETURN(record_.cgroup, services_.jobs->JobCgroup(record_.uuid));
  return absl::OkStatus();
}

// The job's stdin, stdout and stderr. Pipes are made anew by the shim; files are opened by CRIU
// where they were.
absl::Status RestoreOperation::PrepareStdio(criu::RestoreFlags* flags, runtime::CriuRequest* run) {
  record_.attachable = false;
  for (int fd = 0; fd < 3; ++fd) {
    const std::string& target = facts_.stdio[fd].target;
    if (target.rfind("pipe:[", 0) != 0) continue;
    record_.attachable = true;
    // The same pipe may be stdout and stderr: one entry serves both.
    bool seen = false;
    for (int earlier = 0; earlier < fd; ++earlier) {
      seen = seen || facts_.stdio[earlier].target == target;
    }
    if (seen) continue;
    run->stdio_numbers[fd] = 7 + fd;
    flags->inherit_fd.push_back(absl::StrCat("fd[", 7 + fd, "]:", target));
  }
  run->hold_output = request_.hold_output;
  if (record_.attachable) {
    if (!request_.log.empty()) {
      return absl::InvalidArgumentError(
          "--out: this job has pipes, attach to it instead (--attach)");
    }
    record_.log.clear();
    return absl::OkStatus();
  }
  if (request_.log.empty()) return absl::OkStatus();
  // Another log: CRIU knows a file by its path without the leading slash, ours takes its place.
  run->out_log = request_.log;
  run->out_log_number = 6;
  for (int fd = 1; fd < 3; ++fd) {
    const StdioFact& fact = facts_.stdio[fd];
    if (fact.mode == 0) continue;
    if (fd == 2 && fact.target == facts_.stdio[1].target) continue;
    flags->inherit_fd.push_back(absl::StrCat("fd[6]:", fact.target.substr(1)));
  }
  return absl::OkStatus();
}

// CRIU opens a log where it was and fails when it is gone: an empty one of the same mode and owner
// takes its place.
absl::Status RestoreOperation::RecreateLogs() {
  for (const StdioFact& fact : facts_.stdio) {
    if (fact.mode == 0 || fact.target.empty() || fact.target[0] != '/') continue;
    CEDANA_RETURN_IF_ERROR(CreateMissingFile(fact.target, fact.mode, facts_.uid, facts_.gid));
  }
  return absl::OkStatus();
}

absl::Status RestoreOperation::BeginJournal() {
  CEDANA_ASSIGN_OR_RETURN(folder_, OperationFolder::Make(*services_.settings));
  if (services_.cgroups != nullptr) {
    const std::string name = folder_->path().substr(folder_->path().rfind('/') + 1);
    CEDANA_ASSIGN_OR_RETURN(cgroup_, services_.cgroups->Make(absl::StrCat("op-", name)));
    CEDANA_RETURN_IF_ERROR(services_.cgroups->Make(absl::StrCat("op-", name, "/criu")).status());
  }
  journal_.restore = true;
  journal_.job_uuid = record_.uuid;
  journal_.folder = folder_->path();
  journal_.cgroup = cgroup_;
  journal_.shim_folder = record_.folder;
  journal_.url = url_.ToString();
  journal_.job = record_;
  CEDANA_ASSIGN_OR_RETURN(journal_.id, services_.table->BeginOperation(journal_));
  CEDANA_RETURN_IF_ERROR(RecreateLogs());
  struct stat log {};
  record_.log_offset =
      !record_.log.empty() && ::stat(record_.log.c_str(), &log) == 0 ? log.st_size : 0;
  CEDANA_ASSIGN_OR_RETURN(
      shim_, runtime::ShimClient::Launch(services_.settings->shim_program, record_.folder));
  return absl::OkStatus();
}

absl::Status RestoreOperation::Listen() {
  CEDANA_ASSIGN_OR_RETURN(
      serve_,
      criu::ImageServe::Listen(
          folder_->path(), [this](const std::string& name) { return load_->Find(name) != nullptr; },
          [this](const std::string& name, transfer::ByteSink& sink) {
            absl::Status status = load_->Serve(name, sink);
            if (!status.ok()) Cancel(status);
            return status;
          }));
  CEDANA_ASSIGN_OR_RETURN(
      hook_, criu::HookServer::Listen(folder_->path(), [this](const std::string& action, int) {
        return action == "post-restore" ? PostRestore() : absl::OkStatus();
      }));
  return absl::OkStatus();
}

absl::StatusOr<runtime::CriuExit> RestoreOperation::RunCriu() {
  criu::RestoreFlags flags;
  flags.folder = folder_->path();
  flags.hook = services_.settings->hook_program;
  flags.tcp_close = request_.tcp_close || facts_.tcp_close;
  flags.tcp_established = !flags.tcp_close && (request_.tcp_established || facts_.tcp_established);
  flags.shell_job = facts_.shell_job;
  flags.external = request_.external;
  runtime::CriuRequest run;
  CEDANA_RETURN_IF_ERROR(PrepareStdio(&flags, &run));
  run.argv = criu::RestoreCommand(criu_, flags);
  run.env = criu::HookEnvironment(folder_->path());
  run.cgroup = cgroup_.empty() ? "" : absl::StrCat(cgroup_, "/criu");
  run.kill_cgroup = cgroup_;
  run.restore = true;
  run.stderr_path = absl::StrCat(folder_->path(), "/criu.stderr");
  return shim_->RunCriu(run, [](int) {});
}

// Everything is rebuilt and nothing runs yet. CRIU's own exit code proves nothing (a shared-memory
// stream cut short goes unnoticed), so the verdict is ours: yes only when every stream was served
// to its last authenticated byte.
absl::Status RestoreOperation::PostRestore() {
  absl::Status status = serve_->WaitServed(kServedTimeout);
  {
    absl::MutexLock lock(&mutex_);
    if (status.ok()) status = failure_;
  }
  if (status.ok()) {
    // Written down before it is said: whoever comes after us knows that the job may run.
    OperationRecord journal = journal_;
    journal.said_yes = true;
    journal.job = record_;
    status = services_.table->UpdateOperation(journal);
  }
  if (status.ok()) status = shim_->RestoreYes();
  absl::MutexLock lock(&mutex_);
  if (status.ok()) {
    said_yes_ = true;
  } else if (failure_.ok()) {
    failure_ = status;
  }
  return status;
}

absl::Status RestoreOperation::Conclude(const absl::StatusOr<runtime::CriuExit>& exit) {
  bool said_yes;
  {
    absl::MutexLock lock(&mutex_);
    said_yes = said_yes_;
  }
  if (!exit.ok() || exit->signal != 0 || exit->code != 0 || !said_yes) return FailureOf(exit);
  return TakeOver();
}

// The tree runs. It becomes the job: out of the operation's cgroup, into the table.
absl::Status RestoreOperation::TakeOver() {
  CEDANA_ASSIGN_OR_RETURN(const std::string text,
                          base::ReadFile(absl::StrCat(folder_->path(), "/pf"), 64));
  int pid = 0;
  if (!absl::SimpleAtoi(text, &pid)) {
    return absl::InternalError("criu wrote no pid file");
  }
  const auto process = runtime::Identify(pid);
  if (process.has_value()) {
    record_.process = *process;
  } else {
    // It has run and ended already; its shim has the exit status.
    record_.process = {pid, 0};
  }
  CEDANA_RETURN_IF_ERROR(shim_->Adopt(record_.process, /*child=*/true));
  CEDANA_RETURN_IF_ERROR(MoveTree(cgroup_, record_.cgroup));
  std::string old_folder;
  if (job_is_new_) {
    CEDANA_ASSIGN_OR_RETURN(job_, services_.jobs->Add(record_));
  } else {
    old_folder = job_->record().folder;
    CEDANA_RETURN_IF_ERROR(job_->Change([this](JobRecord* r) { *r = record_; }));
  }
  if (auto old = job_->shim(); old != nullptr) old->Release();
  job_->SetShim(shim_);
  RemoveFolder(old_folder);
  if (!cgroup_.empty()) runtime::RemoveCgroup(cgroup_).IgnoreError();
  return absl::OkStatus();
}

absl::Status RestoreOperation::FailureOf(const absl::StatusOr<runtime::CriuExit>& exit) {
  {
    absl::MutexLock lock(&mutex_);
    if (!failure_.ok()) return failure_;
  }
  if (!exit.ok()) {
    return absl::InternalError(
        absl::StrCat("the restore's shim was lost (", exit.status().message(), ")"));
  }
  const std::string line = criu::TellingError(folder_->path(), /*restore=*/true);
  if (!line.empty()) {
    return absl::InternalError(absl::StrCat("criu cannot restore ", url_.ToString(), ": ", line));
  }
  if (exit->signal != 0) {
    return absl::InternalError(absl::StrCat("criu was killed by signal ", exit->signal));
  }
  return absl::InternalError(absl::StrCat("criu failed with exit code ", exit->code));
}

// First our ends of the streams, then everything that CRIU may have left: in this order, because a
// CRIU that goes on reading rebuilds what was just killed.
void RestoreOperation::Undo() {
  const absl::Status reason = absl::CancelledError("the restore has failed");
  if (hook_ != nullptr) hook_->Close();
  if (serve_ != nullptr) serve_->Close(reason);
  if (!cgroup_.empty()) {
    absl::Status status = runtime::KillCgroup(cgroup_, kKillTimeout);
    if (status.ok()) status = runtime::RemoveCgroup(cgroup_);
    if (!status.ok()) {
      base::LogError("restore left processes", {{"cgroup", cgroup_}, {"error", status.ToString()}});
    }
  }
  // Without cgroup v2 (and for tasks that were moved already): the shim's descendants.
  if (shim_ != nullptr) {
    KillDescendants(*shim_, kKillTimeout);
    shim_->ReapAll(facts_.pids, kReapTimeout).IgnoreError();
    shim_->Release();
  }
  ReapLost(facts_.pids);
  RemoveFolder(record_.folder);
}

void RestoreOperation::Cancel(const absl::Status& reason) {
  {
    absl::MutexLock lock(&mutex_);
    // After our yes the job may run: only its own end ends it now.
    if (said_yes_) return;
    if (failure_.ok()) failure_ = reason;
  }
  load_->Cancel(reason);
  if (serve_ != nullptr) serve_->Close(reason);
}

}  // namespace cedana::daemon
