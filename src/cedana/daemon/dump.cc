#include "cedana/daemon/dump.h"

#include <fcntl.h>
#include <signal.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cedana/daemon/stall_watch.h"
#include "cedana/runtime/procfs.h"
#include "cedana/runtime/tree_hold.h"
#include "core/base/fd.h"
#include "core/base/ids.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/base/status.h"

namespace cedana::daemon {
namespace {

constexpr absl::Duration kFrozenStall = absl::Seconds(30);
// After our ends are closed CRIU undoes everything within two seconds; ten leave room for a busy
// machine.
constexpr absl::Duration kUndoTimeout = absl::Seconds(10);
// A process that was sent SIGKILL is gone within this.
constexpr absl::Duration kEndBegins = absl::Seconds(1);
// When CRIU was killed its keeper brings back what was changed in the processes, and lets go of
// them (criu/trace_keeper_internal.h): within 0.1 s, or two seconds on a machine that is very busy.
constexpr absl::Duration kLetGo = absl::Seconds(5);
constexpr absl::Duration kKillTimeout = absl::Seconds(5);
constexpr absl::Duration kEndTimeout = absl::Seconds(60);
constexpr absl::Duration kDrainLimit = absl::Hours(24);  // the stall watch ends it long before

// An image file that is a text in memory.
class TextSource : public transfer::ByteSource {
 public:
  explicit TextSource(std::string text) : text_(std::move(text)) {}
  absl::StatusOr<size_t> Read(std::span<uint8_t> out) override {
    const size_t size = std::min(out.size(), text_.size() - offset_);
    std::copy_n(text_.begin() + static_cast<std::ptrdiff_t>(offset_), size, out.begin());
    offset_ += size;
    return size;
  }

 private:
  std::string text_;
  size_t offset_ = 0;
};

bool IsTerminal(const std::string& target) {
  return target.rfind("/dev/pts/", 0) == 0 || target.rfind("/dev/tty", 0) == 0;
}

}  // namespace

DumpOperation::DumpOperation(const Services& services, DumpRequest request,
                             std::shared_ptr<Progress> progress)
    : services_(services), request_(std::move(request)), progress_(std::move(progress)) {}

DumpOperation::~DumpOperation() {
  progress_->SetMeter(nullptr);
  if (!cgroup_.empty()) {
    // Empty, but for children of a CRIU that was killed, which it had stopped itself.
    absl::Status status = runtime::KillCgroup(cgroup_, kKillTimeout);
    if (status.ok()) status = runtime::RemoveCgroup(cgroup_);
    if (!status.ok()) {
      base::LogWarn("dump left processes", {{"cgroup", cgroup_}, {"error", status.ToString()}});
    }
  }
  if (own_shim_folder_.empty()) return;
  if (shim_ != nullptr) shim_->Release();
  RemoveFolder(own_shim_folder_);
}

std::string DumpOperation::Subject() const {
  return request_.job != nullptr ? absl::StrCat("job ", request_.job->record().name)
                                 : absl::StrCat("process ", request_.pid);
}

absl::StatusOr<DumpResult> DumpOperation::Run(const base::Context& context) {
  const absl::Time start = absl::Now();
  // Everything that can be refused is refused before anything is touched.
  progress_->Stage("preparing");
  CEDANA_RETURN_IF_ERROR(Prepare(context));
  // The save has a path, keys and a lease; still nothing has happened to the process.
  CEDANA_RETURN_IF_ERROR(BeginSave(context));
  absl::Status ready = BeginJournal();
  if (ready.ok()) ready = Listen();
  if (ready.ok()) ready = FindShim();
  absl::Status status = ready;
  if (ready.ok()) {
    StallWatch watch(
        context, services_.stop, [this] { return save_->moved_bytes(); },
        [this](const absl::Status& reason) { Cancel(reason); });
    // CRIU freezes the tree, its pages flow through save; without leave_running the post-dump hook
    // holds it until the commit is answered.
    progress_->Stage("reading");
    watch.Limit(kFrozenStall);
    const absl::StatusOr<runtime::CriuExit> exit = Freeze();
    if (request_.leave_running) {
      watch.Limit(services_.settings->resume_timeout);
      save_->SetPatience(services_.settings->resume_timeout);
    }
    // From here the tree has ended (after a commit), or runs on.
    status = Conclude(exit);
  } else {
    save_->Abort(ready);
  }
  progress_->SetMeter(nullptr);
  if (!status.ok()) {
    const std::string kept =
        folder_ == nullptr
            ? ""
            : folder_->KeepLogs(*services_.settings, absl::StrCat("dump-", request_.pid));
    base::LogWarn("dump failed", {{"operation", operation_},
                                  {"subject", Subject()},
                                  {"error", status.ToString()},
                                  {"criu_log", kept}});
    bool committed;
    {
      absl::MutexLock lock(&mutex_);
      committed = committed_.has_value();
    }
    if (absl::IsUnknown(status) && !committed) {
      // It stays in the journal and is asked about until the answer is known.
      services_.unsettled(journal_);
    } else {
      services_.table->EndOperation(journal_.id).IgnoreError();
    }
    return status;
  }
  Record();
  DumpResult result;
  result.url = journal_.url;
  {
    absl::MutexLock lock(&mutex_);
    result.info = *committed_;
  }
  if (auto stats = criu::ReadDumpStats(folder_->path()); stats.ok()) {
    result.frozen_us = stats->frozen_us;
  }
  result.wall = absl::Now() - start;
  result.warnings = warnings_;
  return result;
}

absl::Status DumpOperation::Prepare(const base::Context& context) {
  CEDANA_ASSIGN_OR_RETURN(url_, plugin::ParseStorageUrl(request_.dir));
  CEDANA_ASSIGN_OR_RETURN(criu_, services_.criu->Find());
  CEDANA_RETURN_IF_ERROR(runtime::CheckDumpable(request_.pid, &warnings_));
  CEDANA_ASSIGN_OR_RETURN(facts_, CollectFacts(request_.pid));
  for (const StdioFact& fact : facts_.stdio) {
    if (IsTerminal(fact.target)) {
      return absl::FailedPreconditionError(absl::StrCat(
          Subject(), " has its input or output on the terminal ", fact.target,
          ", which no restore can give back: start it with \"cedana run process --attachable\""));
    }
  }
  CEDANA_ASSIGN_OR_RETURN(const bool connected, runtime::HasEstablishedTcp(request_.pid));
  facts_.tcp_close = request_.tcp_close;
  facts_.tcp_established = !request_.tcp_close && (request_.tcp_established || connected);
  facts_.criu_version = criu_.version;
  if (request_.job != nullptr) {
    facts_.log = request_.job->record().log;
    facts_.attachable = request_.job->record().attachable;
  }
  CEDANA_ASSIGN_OR_RETURN(const std::vector<int> pids, runtime::Tree(request_.pid));
  for (const int pid : pids) {
    if (auto identity = runtime::Identify(pid); identity.has_value()) tree_.push_back(*identity);
  }
  for (const std::string& warning : warnings_) progress_->Note(absl::StrCat("warning: ", warning));
  CEDANA_ASSIGN_OR_RETURN(storage_, services_.OpenStorage(url_, operation_));
  CEDANA_ASSIGN_OR_RETURN(MemoryGate::Share share, services_.memory->Take(context));
  memory_.emplace(std::move(share));
  return absl::OkStatus();
}

absl::Status DumpOperation::BeginSave(const base::Context& context) {
  transfer::SaveOptions options;
  options.save = base::DrawId<base::SaveId>(base::SystemRandom());
  options.checkpoint = base::DrawId<base::CheckpointId>(base::SystemRandom());
  options.generated_name = request_.name.empty();
  std::string name = request_.name;
  if (name.empty()) {
    name = request_.job != nullptr ? absl::StrCat("dump-process-", request_.job->record().name, "-",
                                                  absl::ToUnixSeconds(absl::Now()))
                                   : absl::StrCat("dump-process-", absl::ToUnixNanos(absl::Now()));
  }
  options.path = url_.Child(name).path;
  options.codec = request_.compression;
  options.pipelines = request_.streams;
  options.memory_limit_bytes = memory_->bytes();
  journal_.save = options.save.ToHex();
  journal_.checkpoint = options.checkpoint.ToHex();
  // The context is that of the whole save; the storage bounds how long a begin is tried.
  auto begun =
      transfer::Save::Begin(context, options, &storage_->catalog(),
                            [this](const base::SaveId& save) { return storage_->OpenSink(save); });
  if (!begun.ok()) return begun.status();
  save_ = *std::move(begun);
  url_.path = save_->path();
  journal_.url = WithSuffix(url_.ToString(), request_.compression);
  progress_->SetMeter([save = save_.get()](ProgressView* view) {
    view->bytes = save->progress().image_bytes;
    view->stored_bytes = save->progress().stored_bytes;
  });
  return absl::OkStatus();
}

absl::Status DumpOperation::BeginJournal() {
  CEDANA_ASSIGN_OR_RETURN(folder_, OperationFolder::Make(*services_.settings));
  if (services_.cgroups != nullptr) {
    const std::string name = folder_->path().substr(folder_->path().rfind('/') + 1);
    CEDANA_ASSIGN_OR_RETURN(cgroup_, services_.cgroups->Make(absl::StrCat("op-", name)));
    CEDANA_RETURN_IF_ERROR(services_.cgroups->Make(absl::StrCat("op-", name, "/criu")).status());
  }
  if (request_.job != nullptr) journal_.job_uuid = request_.job->record().uuid;
  journal_.folder = folder_->path();
  journal_.cgroup = cgroup_;
  journal_.tree = tree_;
  journal_.leave_running = request_.leave_running;
  CEDANA_ASSIGN_OR_RETURN(journal_.id, services_.table->BeginOperation(journal_));
  return absl::OkStatus();
}

absl::Status DumpOperation::Listen() {
  TextSource state(ProcessStateJson(request_.pid, facts_));
  CEDANA_RETURN_IF_ERROR(save_->Store("process_state.json", state));
  CEDANA_ASSIGN_OR_RETURN(
      capture_, criu::ImageCapture::Listen(
                    folder_->path(), [this](const std::string& name, transfer::ByteSource& source) {
                      const absl::Status status = save_->Store(name, source);
                      // CRIU will only tell of a broken pipe: the reason is ours.
                      if (!status.ok()) NoteFailure(status);
                      return status;
                    }));
  CEDANA_ASSIGN_OR_RETURN(
      hook_, criu::HookServer::Listen(folder_->path(), [this](const std::string& action, int) {
        return action == "post-dump" ? PostDump() : absl::OkStatus();
      }));
  return absl::OkStatus();
}

absl::Status DumpOperation::FindShim() {
  if (request_.job != nullptr) {
    shim_ = request_.job->shim();
    if (shim_ != nullptr && shim_->State().ok()) return absl::OkStatus();
    services_.jobs->Refresh(*request_.job);
    shim_ = request_.job->shim();
    if (shim_ != nullptr) return absl::OkStatus();
    return absl::InternalError(absl::StrCat(Subject(), " has no shim: see the daemon's log"));
  }
  own_shim_folder_ = services_.jobs->NewShimFolder();
  CEDANA_ASSIGN_OR_RETURN(
      shim_, runtime::ShimClient::Launch(services_.settings->shim_program, own_shim_folder_));
  return absl::OkStatus();
}

// A CRIU that is killed must not cost a connection: see criu/repair_hold.cc.
void DumpOperation::HoldTree() {
  if (services_.cgroups == nullptr) return;
  const std::string name = folder_->path().substr(folder_->path().rfind('/') + 1);
  auto held = runtime::HoldTree(request_.pid,
                                request_.job != nullptr ? request_.job->record().cgroup : "", name);
  if (held.ok()) {
    hold_ = *std::move(held);
  } else {
    base::LogWarn("connections are not held",
                  {{"subject", Subject()}, {"error", held.status().ToString()}});
  }
}

void DumpOperation::ReleaseTree() {
  // Done by the shim before, if that lives.
  absl::Status status = runtime::CureAndThaw(hold_);
  status.Update(runtime::ReleaseTree(hold_));
  if (!status.ok()) {
    base::LogError("tree not released", {{"subject", Subject()}, {"error", status.ToString()}});
  }
  hold_.clear();
}

absl::StatusOr<runtime::CriuExit> DumpOperation::Freeze() {
  criu::DumpFlags flags;
  flags.pid = request_.pid;
  flags.folder = folder_->path();
  flags.hook = services_.settings->hook_program;
  flags.leave_running = request_.leave_running;
  flags.tcp_established = facts_.tcp_established;
  flags.tcp_close = facts_.tcp_close;
  flags.shell_job = facts_.shell_job;
  flags.external = request_.external;
  runtime::CriuRequest run;
  run.argv = criu::DumpCommand(criu_, flags);
  run.env = criu::HookEnvironment(folder_->path());
  if (facts_.tcp_established) {
    HoldTree();
    run.hold_cgroups = hold_;
  }
  const auto more = criu::HoldEnvironment(services_.settings->hold_library, hold_);
  run.env.insert(run.env.end(), more.begin(), more.end());
  run.cgroup = cgroup_.empty() ? "" : absl::StrCat(cgroup_, "/criu");
  run.stderr_path = absl::StrCat(folder_->path(), "/criu.stderr");
  frozen_ = true;
  auto exit = shim_->RunCriu(run, [this](int pid) { criu_pid_ = pid; });
  frozen_ = false;
  return exit;
}

// CRIU has closed every image file and waits for our word. What is in the pipes is the process's
// live memory until it is read, so the word is not given before every pipe was read to its end.
absl::Status DumpOperation::PostDump() {
  {
    absl::MutexLock lock(&mutex_);
    post_dump_seen_ = true;
  }
  absl::Status status = capture_->WaitDrained(kDrainLimit);
  if (status.ok() && !request_.leave_running) {
    progress_->Stage("uploading");
    const JobRecord* job = nullptr;
    JobRecord record;
    if (request_.job != nullptr) {
      record = request_.job->record();
      job = &record;
    }
    auto info =
        save_->Finish(MakeJobFacts(request_.pid, job, facts_), services_.settings->commit_timeout);
    status = info.status();
    if (info.ok()) {
      absl::MutexLock lock(&mutex_);
      committed_ = *std::move(info);
    }
  }
  if (!status.ok()) NoteFailure(status);
  return status;
}

absl::Status DumpOperation::Conclude(const absl::StatusOr<runtime::CriuExit>& exit) {
  const bool clean = exit.ok() && exit->signal == 0 && exit->code == 0;
  bool committed;
  bool post_dump_seen;
  {
    absl::MutexLock lock(&mutex_);
    committed = committed_.has_value();
    post_dump_seen = post_dump_seen_;
  }
  if (!clean) {
    // Judged before our ends are closed, for that makes errors of its own.
    const absl::Status failure = FailureOf(exit);
    CureAfterKill();
    if (!committed) {
      save_->Abort(failure);
      return failure;
    }
    // Committed, and CRIU was lost on its way to ending the tree. Where it had begun to, the rest
    // ends as well: half a tree is of no use, and the whole one is safe in the checkpoint.
    if (!request_.leave_running && TreeHasBegunToEnd()) return EndTree();
    Record();
    if (request_.job != nullptr) {
      request_.job
          ->Change([this](JobRecord* r) {
            r->note = absl::StrCat("committed, but still running: ", journal_.url);
          })
          .IgnoreError();
    }
    return absl::UnknownError(absl::StrCat("outcome unknown: the checkpoint ", journal_.url,
                                           " was committed, but ", Subject(), " still runs (",
                                           failure.message(), ")"));
  }
  ReleaseTree();
  if (!post_dump_seen) {
    // CRIU ended well without asking us: its hook did not run, so nothing says that all was read.
    save_->Abort(absl::InternalError("criu did not run its post-dump hook"));
    return absl::InternalError("criu ended without running its post-dump hook");
  }
  if (!request_.leave_running) return EndTree();
  // The process runs on; the upload follows behind it.
  progress_->Stage("uploading");
  const JobRecord record = request_.job != nullptr ? request_.job->record() : JobRecord{};
  auto info =
      save_->Finish(MakeJobFacts(request_.pid, request_.job != nullptr ? &record : nullptr, facts_),
                    services_.settings->resume_timeout);
  if (!info.ok()) return info.status();
  absl::MutexLock lock(&mutex_);
  committed_ = *std::move(info);
  return absl::OkStatus();
}

// Why the dump failed, best first: our own reason, CRIU's line, the bare exit status.
absl::Status DumpOperation::FailureOf(const absl::StatusOr<runtime::CriuExit>& exit) {
  {
    absl::MutexLock lock(&mutex_);
    if (!failure_.ok()) return failure_;
  }
  if (!exit.ok()) {
    return absl::InternalError(absl::StrCat(Subject(),
                                            " was not dumped and runs on: its shim was lost (",
                                            exit.status().message(), ")"));
  }
  const std::string line = criu::TellingError(folder_->path(), /*restore=*/false);
  if (!line.empty()) {
    return absl::InternalError(absl::StrCat("criu cannot dump ", Subject(), ": ", line));
  }
  if (exit->signal != 0) {
    return absl::InternalError(absl::StrCat(Subject(), " was not dumped and runs on: criu was ",
                                            "killed by signal ", exit->signal));
  }
  return absl::InternalError(absl::StrCat(Subject(), " was not dumped and runs on: criu failed ",
                                          "with exit code ", exit->code));
}

bool DumpOperation::TreeHasBegunToEnd() const {
  const absl::Time limit = absl::Now() + kEndBegins;
  while (absl::Now() < limit) {
    for (const runtime::ProcessIdentity& process : tree_) {
      if (!runtime::IsAlive(process)) return true;
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  return false;
}

// The checkpoint is durable and CRIU has killed the tree: wait until it is gone, so that a restore
// finds the pids free.
absl::Status DumpOperation::EndTree() {
  progress_->Stage("ending");
  std::vector<int> pids;
  for (const runtime::ProcessIdentity& process : tree_) {
    pids.push_back(process.pid);
    if (runtime::IsAlive(process)) ::kill(process.pid, SIGKILL);
  }
  if (absl::Status status = shim_->ReapAll(pids, kEndTimeout); !status.ok()) {
    base::LogWarn("tree not reaped", {{"subject", Subject()}, {"error", status.ToString()}});
  }
  return absl::OkStatus();
}

void DumpOperation::CureAfterKill() {
  // A CRIU whose shim was lost is still undoing: let it end before anything is judged.
  const int criu_pid = criu_pid_;
  const absl::Time limit = absl::Now() + kUndoTimeout;
  capture_->Close(absl::CancelledError("the dump has failed"));
  hook_->Close();
  while (criu_pid != 0 && absl::Now() < limit) {
    const auto stat = runtime::ReadStat(criu_pid);
    if (!stat.ok() || stat->state == 'Z') break;
    absl::SleepFor(absl::Milliseconds(20));
  }
  std::vector<int> pids;
  for (const runtime::ProcessIdentity& process : tree_) {
    if (runtime::IsAlive(process)) pids.push_back(process.pid);
  }
  ReleaseTree();
  if (facts_.tcp_established) {
    // At once without the tables, because finding them takes longer than the process may wait.
    absl::Status status = criu::CureTcp(pids, {});
    auto tables = criu::CriuTablesOf(pids);
    if (status.ok()) status = tables.ok() ? criu::CureTcp(pids, *tables) : tables.status();
    if (!status.ok()) {
      base::LogError("connections not cured",
                     {{"subject", Subject()}, {"error", status.ToString()}});
    }
  }
  // Another dump must not come before.
  const absl::Time let_go = absl::Now() + kLetGo;
  while (std::any_of(pids.begin(), pids.end(), runtime::IsTraced) && absl::Now() < let_go) {
    absl::SleepFor(absl::Milliseconds(5));
  }
}

void DumpOperation::Record() {
  CheckpointRecord record;
  {
    absl::MutexLock lock(&mutex_);
    record.id = committed_->id.ToHex();
    record.time_ms = absl::ToUnixMillis(committed_->created);
    record.size = static_cast<int64_t>(committed_->image_bytes);
    record.new_bytes = static_cast<int64_t>(committed_->new_bytes);
    record.durability = committed_->durability;
  }
  record.job_uuid = journal_.job_uuid;
  record.url = journal_.url;
  absl::Status status = services_.table->AddCheckpoint(record);
  if (status.ok()) status = services_.table->EndOperation(journal_.id);
  if (!status.ok()) {
    // The journal still has the operation: the next start finds the checkpoint through it.
    base::LogError("checkpoint not recorded", {{"url", record.url}, {"error", status.ToString()}});
  }
}

void DumpOperation::NoteFailure(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  // "Not known" weighs more than why we stopped waiting: somebody has to ask again.
  if (failure_.ok() || absl::IsUnknown(status)) failure_ = status;
}

void DumpOperation::Cancel(const absl::Status& reason) {
  NoteFailure(reason);
  save_->Abort(reason);
  // Closing our ends is the only safe way to stop CRIU: it undoes everything and the process
  // runs on.
  capture_->Close(reason);
  hook_->Close();
}

}  // namespace cedana::daemon
