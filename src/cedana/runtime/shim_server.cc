#include "cedana/runtime/shim_server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cedana/runtime/log_file.h"
#include "cedana/runtime/pidfd.h"
#include "cedana/runtime/procfs.h"
#include "cedana/runtime/shim_wire.h"
#include "cedana/runtime/spawn.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/status.h"

namespace cedana::runtime {
namespace {

constexpr size_t kReapedMax = 4096;

// The process at the other end, safe against a reuse of its pid where the kernel (6.5) tells.
int PeerPidfd(int socket, pid_t pid) {
  constexpr int kPeerPidfd = 77;  // SO_PEERPIDFD
  int pidfd = -1;
  socklen_t size = sizeof(pidfd);
  if (::getsockopt(socket, SOL_SOCKET, kPeerPidfd, &pidfd, &size) == 0) return pidfd;
  return PidfdOpen(pid);
}

}  // namespace

ExitStatus ExitOf(int status) {
  ExitStatus exit;
  if (WIFSIGNALED(status)) {
    exit.signal = WTERMSIG(status);
  } else {
    exit.code = WEXITSTATUS(status);
  }
  return exit;
}

ShimServer::ShimServer(ShimOptions options, EventLoop& loop, base::Random& random,
                       base::UniqueFd listener, base::UniqueFd signals)
    : options_(options),
      loop_(loop),
      random_(random),
      listener_(std::move(listener)),
      signals_(std::move(signals)) {
  loop_.Add(listener_.get(), EPOLLIN, [this](uint32_t) { OnListener(); });
  loop_.Add(signals_.get(), EPOLLIN, [this](uint32_t) { OnSignal(); });
}

absl::Status ShimServer::Run() {
  for (CheckIdle(); !done_; CheckIdle()) CEDANA_RETURN_IF_ERROR(loop_.RunOnce());
  return absl::OkStatus();
}

void ShimServer::LogError(absl::string_view event, const std::string& detail) {
  // The log file appears with the first error, so that a folder of a quiet shim has none.
  const int fd = ::open(kShimLogFile, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) {
    ::dup2(fd, STDERR_FILENO);
    ::close(fd);
  }
  base::LogError(event, {{"detail", detail}});
}

// --- connections --------------------------------------------------------------------------------

void ShimServer::OnListener() {
  base::UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd.valid()) return;
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
  if (peer.uid != 0 && peer.uid != ::geteuid()) return;
  const int number = fd.get();
  strangers_[number] = std::move(fd);
  loop_.Add(number, EPOLLIN, [this, number](uint32_t) { OnHello(number); });
}

void ShimServer::OnHello(int number) {
  const auto hello = ReceiveMessage(number);
  loop_.Remove(number);
  base::UniqueFd fd = std::move(strangers_[number]);
  strangers_.erase(number);
  if (!hello.ok()) return;
  const std::string role = base::StringOr(*hello, "role", "");
  if (role == "control") return AddControl(std::move(fd));
  if (role != "attach" || !stdio_) {
    const absl::Status status = absl::FailedPreconditionError("the job is not attachable");
    SendMessage(number, ErrorReply(0, status), MSG_DONTWAIT).IgnoreError();
    return;
  }
  if (SendMessage(number, base::Json{{"id", 0}}, MSG_DONTWAIT).ok()) stdio_->Attach(std::move(fd));
}

void ShimServer::AddControl(base::UniqueFd fd) {
  const int number = fd.get();
  Connection connection;
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(number, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0) {
    connection.peer_pid = peer.pid;
    connection.peer.Reset(PeerPidfd(number, peer.pid));
  }
  connection.fd = std::move(fd);
  controls_[number] = std::move(connection);
  loop_.Add(number, EPOLLIN, [this, number](uint32_t) { OnControl(number); });
  Answer(number, base::Json{{"id", 0}, {"state", ToJson(State())}});
}

void ShimServer::OnControl(int number) {
  const auto message = ReceiveMessage(number);
  if (!message.ok()) {
    if (!absl::IsUnavailable(message.status())) {
      LogError("bad packet", std::string(message.status().message()));
    }
    return LoseControl(number);
  }
  const std::string name = base::StringOr(*message, "op", "");
  if (name == "beat") {
    if (operation_ && operation_->owner == number) operation_->last_beat = loop_.Now();
    return;
  }
  if (name == "release") {
    released_ = true;
    return;
  }
  const int64_t id = base::IntOr(*message, "id", 0);
  auto reply = Handle(number, name, *message);
  if (!reply.ok()) return Answer(number, ErrorReply(id, reply.status()));
  (*reply)["id"] = id;
  Answer(number, *reply);
}

absl::StatusOr<base::Json> ShimServer::Handle(int fd, const std::string& name,
                                              const base::Json& message) {
  base::Json reply = base::Json::object();
  if (name == "state") {
    reply["state"] = ToJson(State());
  } else if (name == "start") {
    return Start(message);
  } else if (name == "adopt") {
    CEDANA_RETURN_IF_ERROR(Adopt(message));
  } else if (name == "criu") {
    return RunCriu(fd, message);
  } else if (name == "restore_yes") {
    if (!operation_ || !operation_->restore) {
      return absl::FailedPreconditionError("no restore is running");
    }
    restore_yes_ = true;
  } else {
    return absl::InvalidArgumentError(absl::StrCat("unknown request \"", name, "\""));
  }
  return reply;
}

void ShimServer::Answer(int fd, const base::Json& message) {
  // A peer that lets its socket run full has stopped reading: as good as gone.
  if (!SendMessage(fd, message, MSG_DONTWAIT).ok()) LoseControl(fd);
}

void ShimServer::LoseControl(int number) {
  const auto it = controls_.find(number);
  if (it == controls_.end()) return;
  loop_.Remove(number);
  controls_.erase(it);
  if (operation_ && operation_->owner == number) OwnerLost();
}

// --- the job ------------------------------------------------------------------------------------

absl::StatusOr<base::Json> ShimServer::Start(const base::Json& message) {
  if (JobRuns()) return absl::FailedPreconditionError("a job runs already");
  CEDANA_ASSIGN_OR_RETURN(const StartRequest request,
                          StartRequestFromJson(message.value("start", base::Json::object())));
  const SpawnUser user{request.uid, request.gid, request.groups};
  SpawnSpec spec;
  spec.argv = request.argv;
  spec.env = request.env;
  spec.working_dir = request.working_dir;
  spec.cgroup = request.cgroup;
  spec.new_session = true;
  spec.high_pid = true;
  spec.user = &user;

  std::optional<JobPipes> pipes;
  base::UniqueFd null;
  base::UniqueFd log;
  if (request.stdio.mode == StdioMode::kPipes) {
    const bool all[3] = {true, true, true};
    CEDANA_ASSIGN_OR_RETURN(pipes, MakeJobPipes(all));
    ChangeOwner(*pipes, request.uid, request.gid);
    for (int i = 0; i < 3; ++i) spec.descriptors.push_back({i, pipes->theirs[i].get()});
  } else {
    null.Reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CEDANA_ASSIGN_OR_RETURN(log, OpenLogFile(request.stdio.log_path, user));
    spec.descriptors = {{0, null.get()}, {1, log.get()}, {2, log.get()}};
  }
  CEDANA_ASSIGN_OR_RETURN(const int pid, Spawn(spec, random_));
  // Not reaped yet, so even one that has ended can be read.
  const auto stat = ReadStat(pid);
  SetJob({pid, stat.ok() ? stat->start_ticks : 0}, true);
  if (pipes) {
    for (base::UniqueFd& theirs : pipes->theirs) theirs.Reset();
    stdio_ = std::make_unique<JobStdio>(loop_, *std::move(pipes), request.stdio.hold_output,
                                        options_.stall_timeout);
  }
  return base::Json{{"pid", pid}, {"start_ticks", job_->process.start_ticks}};
}

void ShimServer::SetJob(const ProcessIdentity& process, bool child) {
  job_.emplace(Job{});
  job_->process = process;
  job_->child = child;
  stdio_.reset();
  ::unlink(kShimExitFile);
}

absl::Status ShimServer::Adopt(const base::Json& message) {
  ProcessIdentity process;
  process.pid = static_cast<int>(base::IntOr(message, "pid", 0));
  process.start_ticks = static_cast<uint64_t>(base::IntOr(message, "start_ticks", 0));
  if (process.pid <= 0) return absl::InvalidArgumentError("no pid");
  const bool child = base::BoolOr(message, "child", false);
  // What our own CRIU restored became the job when CRIU ended.
  if (job_ && job_->process.pid == process.pid && job_->child == child &&
      (process.start_ticks == 0 || process.start_ticks == job_->process.start_ticks)) {
    return absl::OkStatus();
  }
  if (JobRuns()) return absl::FailedPreconditionError("another job runs");
  return child ? AdoptChild(process) : AdoptForeign(process);
}

absl::Status ShimServer::AdoptChild(const ProcessIdentity& process) {
  if (const auto it = reaped_.find(process.pid); it != reaped_.end()) {
    const ExitStatus exit = ExitOf(it->second);
    SetJob(process, true);
    JobEnded(exit);
    return absl::OkStatus();
  }
  const auto stat = ReadStat(process.pid);
  if (!stat.ok() || stat->ppid != ::getpid()) {
    return absl::NotFoundError(
        absl::StrCat("process ", process.pid, " is not a child of the shim"));
  }
  if (process.start_ticks != 0 && process.start_ticks != stat->start_ticks) {
    return absl::NotFoundError(absl::StrCat("pid ", process.pid, " is another process by now"));
  }
  SetJob({process.pid, stat->start_ticks}, true);
  return absl::OkStatus();
}

absl::Status ShimServer::AdoptForeign(const ProcessIdentity& process) {
  base::UniqueFd pidfd(PidfdOpen(process.pid));
  const auto stat = ReadStat(process.pid);
  if (!pidfd.valid() || !stat.ok()) {
    return absl::NotFoundError(absl::StrCat("no process ", process.pid));
  }
  if (process.start_ticks != 0 && process.start_ticks != stat->start_ticks) {
    return absl::NotFoundError(absl::StrCat("pid ", process.pid, " is another process by now"));
  }
  SetJob({process.pid, stat->start_ticks}, false);
  const int number = pidfd.get();
  job_->pidfd = std::move(pidfd);
  loop_.Add(number, EPOLLIN, [this, number](uint32_t) {
    loop_.Remove(number);
    JobEnded(ExitStatus{0, 0, false});
  });
  return absl::OkStatus();
}

ShimState ShimServer::State() const {
  ShimState state;
  state.shim_pid = ::getpid();
  if (job_) {
    state.job = job_->process;
    state.exit = job_->exit;
  }
  state.attachable = stdio_ != nullptr;
  state.operation = operation_.has_value();
  state.restore_yes = restore_yes_;
  return state;
}

void ShimServer::OnSignal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof(info)) != sizeof(info)) return;
  if (info.ssi_signo == SIGTERM && !JobRuns()) released_ = true;
  Reap();
}

void ShimServer::Reap() {
  while (true) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG | __WALL);
    if (pid <= 0) return;
    if (operation_ && pid == operation_->pid) {
      CriuEnded(status);
    } else if (JobRuns() && job_->child && pid == job_->process.pid) {
      JobEnded(ExitOf(status));
    } else if (operation_ && reaped_.size() < kReapedMax) {
      reaped_[pid] = status;
    }
  }
}

void ShimServer::JobEnded(const ExitStatus& exit) {
  job_->exit = exit;
  base::Json json = ToJson(exit);
  json["ended_ms"] = absl::ToUnixMillis(base::SystemClock().Now());
  const absl::Status status = base::WriteFileAtomic(kShimExitFile, base::DumpJson(json), 0600);
  if (!status.ok()) LogError("exit status not written", std::string(status.message()));
  if (stdio_) stdio_->JobEnded(exit);
  std::vector<int> listeners;
  for (const auto& [number, connection] : controls_) listeners.push_back(number);
  for (const int number : listeners) Answer(number, base::Json{{"event", "job_exit"}});
}

// --- the end ------------------------------------------------------------------------------------

// Called before each wait: whatever changed, the answer is up to date.
void ShimServer::CheckIdle() {
  const bool busy = JobRuns() || operation_ || purge_;
  const bool seen = !stdio_ || (!stdio_->attached() && !stdio_->unseen());
  if (!busy && released_ && seen) {
    done_ = true;
    return;
  }
  const bool attached = stdio_ && stdio_->attached();
  const bool alone = !busy && !attached && (released_ || controls_.empty());
  if (!alone) {
    loop_.CancelTimer(std::exchange(idle_timer_, 0));
  } else if (idle_timer_ == 0) {
    idle_timer_ = loop_.After(options_.linger, [this] { done_ = true; });
  }
}

}  // namespace cedana::runtime
