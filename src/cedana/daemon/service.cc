#include "cedana/daemon/service.h"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cedana/daemon/attach.h"
#include "cedana/daemon/checkpoint_list.h"
#include "cedana/daemon/checkpoint_removal.h"
#include "cedana/daemon/dump.h"
#include "cedana/daemon/messages_internal.h"
#include "cedana/daemon/restore.h"
#include "cedana/health/health.h"
#include "cedana/runtime/procfs.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/status.h"

namespace cedana::daemon {
namespace {

using grpc::ServerContext;
using grpc::Status;

constexpr absl::Duration kWatchInterval = absl::Milliseconds(200);
constexpr absl::Duration kWatchWait = absl::Seconds(5);
constexpr absl::Duration kDeleteTimeout = absl::Seconds(20);
constexpr absl::Duration kListTimeout = absl::Seconds(3);
constexpr absl::Duration kHealthTimeout = absl::Seconds(50);

// Cancels when the caller of an RPC has gone; polled, because gRPC's synchronous calls tell only
// who asks.
class CallerWatch {
 public:
  explicit CallerWatch(ServerContext* call) : cancel_(std::make_shared<base::CancelSource>()) {
    thread_ = base::Thread("caller", [this, call] {
      while (!end_.WaitFor(absl::Milliseconds(100))) {
        if (!call->IsCancelled()) continue;
        cancel_->Cancel(absl::CancelledError("the caller has gone"));
        return;
      }
    });
  }
  ~CallerWatch() { end_.Cancel(absl::CancelledError("done")); }
  base::Context context() const { return {absl::InfiniteFuture(), cancel_}; }

 private:
  std::shared_ptr<base::CancelSource> cancel_;
  base::CancelSource end_;
  base::Thread thread_;
};

// The daemon writes the file, for it may stand where only root may write. Its failure is a
// message, not an error: the process runs.
void WritePidFile(const std::string& path, int pid, std::string* message) {
  if (path.empty()) return;
  const absl::Status status = base::WriteFileAtomic(path, absl::StrCat(pid), 0644);
  if (!status.ok()) {
    *message = absl::StrCat("Failed to create PID file ", path, ": ", status.message());
  }
}

void FillSummary(const transfer::CheckpointInfo& info, absl::Duration wall, uint64_t frozen_us,
                 bool left_running, daemon_api::OperationSummary* summary) {
  summary->set_imagebytes(info.image_bytes);
  summary->set_storedbytes(info.stored_bytes);
  summary->set_newbytes(info.new_bytes);
  summary->set_wallmicros(static_cast<uint64_t>(absl::ToInt64Microseconds(wall)));
  summary->set_frozenmicros(frozen_us);
  summary->set_durability(info.durability);
  summary->set_leftrunning(left_running);
}

class DaemonService final : public daemon_api::Daemon::Service {
 public:
  DaemonService(const Services* services, const config::Config* config)
      : services_(services), config_(config) {}

  Status Run(ServerContext*, const daemon_api::RunReq* req, daemon_api::RunResp* resp) override {
    if (req->action() != daemon_api::START_NEW) {
      return ToGrpc(absl::InvalidArgumentError("Run starts a new process; use Manage"));
    }
    StartSpec spec;
    spec.name = req->jid();
    const daemon_api::Process& process = req->details().process();
    if (process.path().empty()) return ToGrpc(absl::InvalidArgumentError("no program given"));
    spec.argv.push_back(process.path());
    for (const std::string& arg : process.args()) spec.argv.push_back(arg);
    spec.env.assign(req->env().begin(), req->env().end());
    spec.working_dir = process.workingdir();
    spec.uid = req->asroot() ? 0 : req->uid();
    spec.gid = req->asroot() ? 0 : req->gid();
    if (req->asroot()) {
      spec.groups = {0};
    } else {
      spec.groups.assign(req->groups().begin(), req->groups().end());
    }
    spec.log = req->log();
    spec.attachable = req->attachable();
    spec.hold_output = req->waitfirstmaster();
    auto job = services_->jobs->Start(spec);
    if (!job.ok()) return ToGrpc(base::Annotate(job.status(), "failed to create new job"));
    return AnswerRun(**job, req->pidfile(), "Running", resp);
  }

  Status Manage(ServerContext*, const daemon_api::RunReq* req, daemon_api::RunResp* resp) override {
    if (req->action() == daemon_api::MANAGE_UPCOMING) {
      return ToGrpc(
          absl::InvalidArgumentError("the PID of an upcoming process cannot be foreseen"));
    }
    auto job =
        services_->jobs->Manage(req->jid(), static_cast<int>(req->details().process().pid()));
    if (!job.ok()) return ToGrpc(job.status());
    return AnswerRun(**job, req->pidfile(), "Managing", resp);
  }

  Status Dump(ServerContext* call, const daemon_api::DumpReq* req,
              daemon_api::DumpResp* resp) override {
    DumpRequest request;
    if (absl::Status status = ReadDump(*req, &request); !status.ok()) return ToGrpc(status);
    std::optional<JobLock> lock;
    if (request.job != nullptr) {
      auto taken = JobLock::Take(request.job);
      if (!taken.ok()) return ToGrpc(taken.status());
      lock.emplace(*std::move(taken));
      services_->jobs->Refresh(*request.job);
      const JobRecord record = request.job->record();
      if (!Jobs::IsRunning(record)) {
        return ToGrpc(absl::FailedPreconditionError(
            absl::StrCat("job ", record.name, " is not running (status: halted)")));
      }
      request.pid = record.process.pid;
    }
    const bool leave_running = request.leave_running;
    const std::shared_ptr<Progress> progress = services_->board->Open(req->operationid());
    CallerWatch caller(call);
    std::shared_ptr<Job> job = request.job;
    DumpOperation operation(*services_, std::move(request), progress);
    auto result = operation.Run(caller.context());
    services_->board->Close(req->operationid());
    if (!result.ok()) return ToGrpc(result.status());
    if (job != nullptr && !leave_running) services_->jobs->Refresh(*job);
    base::LogInfo("dumped", {{"operation", operation.operation()},
                             {"url", result->url},
                             {"image_bytes", result->info.image_bytes},
                             {"new_bytes", result->info.new_bytes},
                             {"wall_ms", absl::ToInt64Milliseconds(result->wall)}});
    for (const std::string& warning : result->warnings) {
      resp->add_messages(absl::StrCat("warning: ", warning));
    }
    resp->add_messages(absl::StrCat("Dumped to ", result->url));
    resp->add_paths(result->url);
    FillSummary(result->info, result->wall, result->frozen_us, leave_running,
                resp->mutable_summary());
    return Status::OK;
  }

  Status Restore(ServerContext* call, const daemon_api::RestoreReq* req,
                 daemon_api::RestoreResp* resp) override {
    RestoreRequest request;
    request.job_name = req->details().jid();
    request.path = req->path();
    request.dir = req->dir();
    request.default_dir = req->defaultdir();
    request.log = req->log();
    request.attachable = req->attachable();
    request.hold_output = req->waitfirstmaster();
    request.tcp_close = req->criu().tcp_close();
    request.tcp_established = req->criu().tcp_established();
    request.external.assign(req->criu().external().begin(), req->criu().external().end());
    const std::shared_ptr<Progress> progress = services_->board->Open(req->operationid());
    CallerWatch caller(call);
    RestoreOperation operation(*services_, std::move(request), progress);
    auto result = operation.Run(caller.context());
    services_->board->Close(req->operationid());
    if (!result.ok()) return ToGrpc(result.status());
    const JobRecord record = result->job->record();
    base::LogInfo("restored", {{"operation", operation.operation()},
                               {"job", record.name},
                               {"pid", result->pid},
                               {"wall_ms", absl::ToInt64Milliseconds(result->wall)}});
    std::string pid_file_message;
    WritePidFile(req->pidfile(), result->pid, &pid_file_message);
    if (!pid_file_message.empty()) resp->add_messages(pid_file_message);
    resp->add_messages(absl::StrCat("Restored successfully, PID: ", result->pid));
    resp->set_pid(static_cast<uint32_t>(result->pid));
    resp->set_jid(record.name);
    FillSummary(result->info, result->wall, 0, false, resp->mutable_summary());
    return Status::OK;
  }

  Status Watch(ServerContext* call, const daemon_api::WatchReq* req,
               grpc::ServerWriter<daemon_api::WatchResp>* writer) override {
    const auto progress = services_->board->Find(req->operationid(), kWatchWait);
    if (progress == nullptr) return ToGrpc(absl::NotFoundError("no such operation"));
    size_t notes_sent = 0;
    while (!call->IsCancelled()) {
      const ProgressView view = progress->View();
      daemon_api::WatchResp message;
      message.set_stage(view.stage);
      message.set_bytes(view.bytes);
      message.set_totalbytes(view.total_bytes);
      message.set_storedbytes(view.stored_bytes);
      for (; notes_sent < view.notes.size(); ++notes_sent) {
        daemon_api::WatchResp note = message;
        note.set_note(view.notes[notes_sent]);
        if (!writer->Write(note)) return Status::OK;
      }
      if (!writer->Write(message) || view.done) return Status::OK;
      progress->AwaitDone(kWatchInterval);
    }
    return Status::OK;
  }

  Status Attach(
      ServerContext* call,
      grpc::ServerReaderWriter<daemon_api::AttachResp, daemon_api::AttachReq>* stream) override {
    daemon_api::AttachReq first;
    if (!stream->Read(&first)) return Status::OK;
    const std::shared_ptr<Job> job = services_->jobs->FindByPid(static_cast<int>(first.pid()));
    if (job == nullptr) {
      return ToGrpc(absl::NotFoundError(absl::StrCat("process ", first.pid(), " has no IO slave")));
    }
    return ToGrpc(cedana::daemon::Attach(*services_->jobs, job, Port(call, stream)));
  }

  Status Get(ServerContext*, const daemon_api::GetReq* req, daemon_api::GetResp* resp) override {
    auto job = services_->jobs->Find(req->jid());
    if (!job.ok()) return ToGrpc(job.status());
    auto message = Describe(**job);
    if (!message.ok()) return ToGrpc(message.status());
    *resp->mutable_job() = *std::move(message);
    return Status::OK;
  }

  Status List(ServerContext*, const daemon_api::ListReq* req, daemon_api::ListResp* resp) override {
    for (const auto& job : Select(req->jids())) {
      auto message = Describe(*job);
      if (!message.ok()) return ToGrpc(message.status());
      *resp->add_jobs() = *std::move(message);
    }
    return Status::OK;
  }

  Status Kill(ServerContext*, const daemon_api::KillReq* req, daemon_api::KillResp* resp) override {
    const auto jobs = Select(req->jids());
    if (jobs.empty()) return ToGrpc(absl::NotFoundError("no jobs found"));
    const int signal = req->signal() == 0 ? SIGKILL : req->signal();
    if (signal < 0 || signal >= NSIG) {
      return ToGrpc(absl::InvalidArgumentError(absl::StrCat("no signal has the number ", signal)));
    }
    for (const auto& job : jobs) {
      const JobRecord record = job->record();
      if (!Jobs::IsRunning(record)) continue;
      const absl::Status status = KillJob(record, signal);
      resp->add_messages(
          status.ok() ? absl::StrCat("Killed job ", record.name)
                      : absl::StrCat("Failed to kill job ", record.name, ": ", status.message()));
    }
    return Status::OK;
  }

  Status Delete(ServerContext*, const daemon_api::DeleteReq* req,
                daemon_api::DeleteResp* resp) override {
    const auto jobs = Select(req->jids());
    if (jobs.empty()) return ToGrpc(absl::NotFoundError("no jobs found"));
    for (const auto& job : jobs) {
      auto lock = JobLock::Take(job);
      if (!lock.ok()) return ToGrpc(lock.status());
      const JobRecord record = job->record();
      if (Jobs::IsRunning(record)) {
        resp->add_messages(absl::StrCat("Job ", record.name, " is running, please kill it first"));
        continue;
      }
      absl::Status status;
      if (req->checkpoints()) status = DeleteCheckpointsOf(record.uuid);
      if (status.ok()) status = services_->jobs->Remove(record.uuid);
      if (!status.ok()) return ToGrpc(status);
      resp->add_messages(absl::StrCat("Deleted job ", record.name));
    }
    return Status::OK;
  }

  Status GetCheckpoint(ServerContext*, const daemon_api::GetCheckpointReq* req,
                       daemon_api::GetCheckpointResp* resp) override {
    if (req->has_id()) {
      auto record = services_->table->FindCheckpoint(req->id());
      if (!record.ok()) return ToGrpc(record.status());
      if (!record->has_value()) {
        return ToGrpc(absl::NotFoundError(absl::StrCat("checkpoint ", req->id(), " not found")));
      }
      *resp->mutable_checkpoint() = ToMessage(**record, "");
      return Status::OK;
    }
    if (!req->has_jid()) return ToGrpc(absl::InvalidArgumentError("give an ID or a JID"));
    auto records = CheckpointsOf(req->jid());
    if (!records.ok()) return ToGrpc(records.status());
    if (!records->empty()) *resp->mutable_checkpoint() = ToMessage(records->front(), req->jid());
    return Status::OK;
  }

  Status ListCheckpoints(ServerContext*, const daemon_api::ListCheckpointsReq* req,
                         daemon_api::ListCheckpointsResp* resp) override {
    const auto search = SearchFor(*services_, req->jid(), req->defaultdir());
    if (!search.ok()) return ToGrpc(search.status());
    const CheckpointList list =
        cedana::daemon::ListCheckpoints(base::Context{}.WithTimeout(kListTimeout),
                                        OpenerOf(*services_), *services_->table, *search);
    for (const CheckpointRecord& record : list.records) {
      *resp->add_checkpoints() = ToMessage(record, req->jid());
    }
    for (const std::string& message : list.messages) resp->add_messages(message);
    return Status::OK;
  }

  Status DeleteCheckpoint(ServerContext*, const daemon_api::DeleteCheckpointReq* req,
                          daemon_api::DeleteCheckpointResp*) override {
    if (req->id().empty()) return ToGrpc(absl::InvalidArgumentError("no checkpoint ID given"));
    const auto places = AllPlaces(*services_, req->defaultdir());
    if (!places.ok()) return ToGrpc(places.status());
    return ToGrpc(RemoveCheckpoint(base::Context{}.WithTimeout(kDeleteTimeout),
                                   OpenerOf(*services_), *services_->table, *places, req->id()));
  }

  Status HealthCheck(ServerContext*, const daemon_api::HealthCheckReq* req,
                     daemon_api::HealthCheckResp* resp) override {
    for (const health::HealthGroup& group :
         health::CheckAll(*config_, req->full(), *services_->plugins,
                          base::Context{}.WithTimeout(kHealthTimeout))) {
      daemon_api::HealthCheckResult* result = resp->add_results();
      result->set_name(group.name);
      for (const plugin::HealthItem& item : group.items) {
        daemon_api::HealthCheckComponent* component = result->add_components();
        component->set_name(item.component);
        component->set_data(item.data);
        for (const std::string& error : item.errors) component->add_errors(error);
        for (const std::string& warning : item.warnings) component->add_warnings(warning);
      }
    }
    return Status::OK;
  }

  // Plugins are looked at each time they are used, so there is nothing to reload.
  Status ReloadPlugins(ServerContext*, const daemon_api::Empty*, daemon_api::Empty*) override {
    return Status::OK;
  }

 private:
  Status AnswerRun(const Job& job, const std::string& pid_file, const char* verb,
                   daemon_api::RunResp* resp) {
    const JobRecord record = job.record();
    base::LogInfo("job started", {{"job", record.name}, {"pid", record.process.pid}});
    std::string pid_file_message;
    WritePidFile(pid_file, record.process.pid, &pid_file_message);
    if (!pid_file_message.empty()) resp->add_messages(pid_file_message);
    resp->add_messages(absl::StrCat(
        verb, verb[0] == 'R' ? " managed process PID " : " process PID ", record.process.pid));
    resp->set_pid(static_cast<uint32_t>(record.process.pid));
    resp->set_jid(record.name);
    return Status::OK;
  }

  absl::Status ReadDump(const daemon_api::DumpReq& req, DumpRequest* request) {
    if (req.action() != daemon_api::DUMP) {
      return absl::UnimplementedError("process freeze and unfreeze are not offered");
    }
    request->dir = req.dir().empty() ? services_->settings->checkpoint_dir : req.dir();
    request->name = req.name();
    request->compression =
        req.compression().empty() ? services_->settings->compression : req.compression();
    if (request->compression == "tar" || request->compression.empty())
      request->compression = "none";
    request->streams = req.streams() == 0 ? services_->settings->streams : req.streams();
    request->leave_running = req.criu().leave_running() || services_->settings->leave_running;
    request->tcp_established = req.criu().tcp_established();
    request->tcp_close = req.criu().tcp_close();
    request->external.assign(req.criu().external().begin(), req.criu().external().end());
    if (request->tcp_close && request->tcp_established) {
      return absl::InvalidArgumentError("--tcp-close and --tcp-established exclude each other");
    }
    if (req.details().has_jid()) {
      CEDANA_ASSIGN_OR_RETURN(request->job, services_->jobs->Find(req.details().jid()));
      return absl::OkStatus();
    }
    request->pid = static_cast<int>(req.details().process().pid());
    if (request->pid <= 0) return absl::InvalidArgumentError("missing PID");
    // A process that is a job's is dumped as that job.
    auto job = services_->jobs->FindByPid(request->pid);
    if (job != nullptr && Jobs::IsRunning(job->record())) request->job = job;
    return absl::OkStatus();
  }

  static AttachPort Port(
      ServerContext* call,
      grpc::ServerReaderWriter<daemon_api::AttachResp, daemon_api::AttachReq>* stream) {
    AttachPort port;
    port.receive = [stream]() -> AttachPort::Input {
      daemon_api::AttachReq message;
      if (!stream->Read(&message)) return {};
      switch (message.Input_case()) {
        case daemon_api::AttachReq::kStdin:
          return {AttachPort::InputKind::kStdin, message.stdin(), 0};
        case daemon_api::AttachReq::kSignal:
          return {AttachPort::InputKind::kSignal, "", message.signal()};
        default:
          return {AttachPort::InputKind::kStdinClosed, "", 0};
      }
    };
    port.send = [stream](int number, const std::string& bytes) {
      daemon_api::AttachResp message;
      if (number == 2) {
        message.set_stderr(bytes);
      } else {
        message.set_stdout(bytes);
      }
      return stream->Write(message);
    };
    port.send_exit = [stream](int code) {
      daemon_api::AttachResp message;
      message.set_exitcode(code);
      return stream->Write(message);
    };
    port.hang_up = [call] { call->TryCancel(); };
    return port;
  }

  std::vector<std::shared_ptr<Job>> Select(
      const google::protobuf::RepeatedPtrField<std::string>& names) {
    if (names.empty()) return services_->jobs->All();
    std::vector<std::shared_ptr<Job>> jobs;
    for (const std::string& name : names) {
      if (auto job = services_->jobs->Find(name); job.ok()) jobs.push_back(*job);
    }
    return jobs;
  }

  absl::StatusOr<daemon_api::Job> Describe(Job& job) {
    if (job.Lock(absl::ZeroDuration())) {
      services_->jobs->Refresh(job);
      job.Unlock();
    }
    const JobRecord record = job.record();
    CEDANA_ASSIGN_OR_RETURN(const auto records, services_->table->Checkpoints(record.uuid));
    const auto newest = std::find_if(records.begin(), records.end(), [](const auto& checkpoint) {
      return checkpoint.durability != kGone;
    });
    return ToMessage(record, newest == records.end() ? nullptr : &*newest);
  }

  static absl::Status KillJob(const JobRecord& record, int signal) {
    const auto stat = runtime::ReadStat(record.process.pid);
    const bool leads = stat.ok() && stat->pgrp == record.process.pid;
    if (::kill(leads ? -record.process.pid : record.process.pid, signal) != 0) {
      return base::ErrnoStatus(errno, "kill");
    }
    // Children in sessions of their own belong to the job as well.
    if (signal == SIGKILL && !record.cgroup.empty()) {
      return runtime::KillCgroup(record.cgroup, absl::Seconds(10));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<CheckpointRecord>> CheckpointsOf(const std::string& name) {
    auto job = services_->jobs->Find(name);
    if (!job.ok()) return std::vector<CheckpointRecord>{};
    return services_->table->Checkpoints((*job)->record().uuid);
  }

  absl::Status DeleteCheckpointsOf(const std::string& uuid) {
    CEDANA_ASSIGN_OR_RETURN(const auto records, services_->table->Checkpoints(uuid));
    for (const CheckpointRecord& record : records) {
      CEDANA_RETURN_IF_ERROR(RemoveRecorded(base::Context{}.WithTimeout(kDeleteTimeout),
                                            OpenerOf(*services_), *services_->table, record));
    }
    return absl::OkStatus();
  }

  const Services* const services_;
  const config::Config* const config_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeDaemonService(const Services* services,
                                                 const config::Config* config) {
  return std::make_unique<DaemonService>(services, config);
}

}  // namespace cedana::daemon
