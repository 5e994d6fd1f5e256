// CRIU under a shim. Who ends what when the daemon is lost:
//
//   dump                    nothing: the daemon's pipes are closed, CRIU undoes all and exits
//   restore before the yes  CRIU and whatever it has restored are killed
//   restore after the yes   CRIU ends by itself, and what it has restored becomes the job
//
// A daemon that hangs is made one that is lost: no beat for 15 s, and it is killed.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cedana/runtime/cgroup.h"
#include "cedana/runtime/log_file.h"
#include "cedana/runtime/pidfd.h"
#include "cedana/runtime/procfs.h"
#include "cedana/runtime/shim_server.h"
#include "cedana/runtime/shim_wire.h"
#include "cedana/runtime/spawn.h"
#include "cedana/runtime/tree_hold.h"
#include "core/base/status.h"

namespace cedana::runtime {
namespace {

constexpr absl::Duration kPurgePause = absl::Milliseconds(10);
// CRIU reads a connection in a fraction of a millisecond, and kills a tree in little more.
constexpr absl::Duration kHoldMax = absl::Seconds(3);
constexpr absl::Duration kHoldLook = absl::Milliseconds(250);
constexpr absl::Duration kNoticeDelay = absl::Seconds(5);
constexpr char kMinimalPath[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string PidfileOf(const std::vector<std::string>& argv) {
  for (size_t i = 0; i < argv.size(); ++i) {
    absl::string_view argument = argv[i];
    if (argument == "--pidfile" && i + 1 < argv.size()) return argv[i + 1];
    if (absl::ConsumePrefix(&argument, "--pidfile=")) return std::string(argument);
  }
  return "";
}

// Kills all descendants of this process; false when there is none left.
bool KillDescendants() {
  const auto tree = Tree(::getpid());
  bool found = false;
  for (size_t i = 1; tree.ok() && i < tree->size(); ++i) {
    const auto stat = ReadStat((*tree)[i]);
    if (!stat.ok() || stat->state == 'Z' || stat->state == 'X') continue;
    ::kill((*tree)[i], SIGKILL);
    found = true;
  }
  return found;
}

}  // namespace

absl::StatusOr<base::Json> ShimServer::RunCriu(int fd, const base::Json& message) {
  if (operation_) return absl::FailedPreconditionError("an operation on this job is running");
  if (purge_) return absl::FailedPreconditionError("an earlier restore is still being removed");
  CEDANA_ASSIGN_OR_RETURN(const CriuRequest request,
                          CriuRequestFromJson(message.value("criu", base::Json::object())));
  if (request.restore && JobRuns()) return absl::FailedPreconditionError("the job runs");
  Operation operation;
  reaped_.clear();
  CEDANA_ASSIGN_OR_RETURN(operation.pid, SpawnCriu(request, &operation));
  operation.id = base::IntOr(message, "id", 0);
  operation.owner = fd;
  operation.restore = request.restore;
  operation.kill_cgroup = request.kill_cgroup;
  operation.hold_cgroups = request.hold_cgroups;
  operation.pidfile = PidfileOf(request.argv);
  operation.hold_output = request.hold_output;
  operation.last_beat = operation.hold_thawed = loop_.Now();
  if (request.restore) restore_yes_ = false;
  operation_ = std::move(operation);
  CheckBeat();
  if (!request.hold_cgroups.empty()) WatchHold();
  return base::Json{{"pid", operation_->pid}};
}

absl::StatusOr<pid_t> ShimServer::SpawnCriu(const CriuRequest& request, Operation* operation) {
  base::UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  base::UniqueFd errors(::open(request.stderr_path.c_str(),
                               O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!errors.valid()) return base::ErrnoStatus(errno, request.stderr_path);
  SpawnSpec spec;
  spec.argv = request.argv;
  spec.env = {kMinimalPath};
  spec.env.insert(spec.env.end(), request.env.begin(), request.env.end());
  spec.cgroup = request.cgroup;
  spec.descriptors = {{0, null.get()}, {1, null.get()}, {2, errors.get()}};

  bool wanted[3];
  for (int i = 0; i < 3; ++i) wanted[i] = request.restore && request.stdio_numbers[i] >= 0;
  if (wanted[0] || wanted[1] || wanted[2]) {
    CEDANA_ASSIGN_OR_RETURN(operation->pipes, MakeJobPipes(wanted));
  }
  for (int i = 0; i < 3; ++i) {
    if (!wanted[i]) continue;
    spec.descriptors.push_back({request.stdio_numbers[i], operation->pipes->theirs[i].get()});
  }
  if (request.restore && request.out_log_number >= 0) {
    CEDANA_ASSIGN_OR_RETURN(operation->out_log,
                            OpenLogFile(request.out_log, SpawnUser{}, &operation->out_log_created));
    spec.descriptors.push_back({request.out_log_number, operation->out_log.get()});
  }
  for (size_t i = 3; i < spec.descriptors.size(); ++i) {
    if (spec.descriptors[i].number < 3) {
      return absl::InvalidArgumentError("descriptors below 3 are CRIU's own");
    }
  }
  CEDANA_ASSIGN_OR_RETURN(const int pid, Spawn(spec, random_));
  if (operation->pipes) {
    // CRIU and the job alone hold the far ends now, so that their end is seen.
    for (base::UniqueFd& theirs : operation->pipes->theirs) theirs.Reset();
  }
  return pid;
}

// A CRIU that is stopped, or of a version that waits for a process which it has had frozen itself:
// neither may hold the process for ever.
void ShimServer::WatchHold() {
  Operation& operation = *operation_;
  operation.hold_timer = loop_.After(kHoldLook, [this] { WatchHold(); });
  const absl::Duration now = loop_.Now();
  if (!IsFrozen(operation.hold_cgroups)) operation.hold_thawed = now;
  if (now - operation.hold_thawed < kHoldMax) return;
  LogError("tree thawed: CRIU has held it for too long", absl::FormatDuration(kHoldMax));
  Thaw(operation.hold_cgroups).IgnoreError();
}

// --- the beat -----------------------------------------------------------------------------------

void ShimServer::CheckBeat() {
  operation_->beat_timer = 0;
  const auto owner = controls_.find(operation_->owner);
  if (owner == controls_.end()) return;
  const absl::Duration left = operation_->last_beat + options_.beat_timeout - loop_.Now();
  if (left > absl::ZeroDuration()) {
    operation_->beat_timer = loop_.After(left, [this] { CheckBeat(); });
    return;
  }
  KillDaemon(owner->second);
  LoseControl(owner->first);
}

void ShimServer::KillDaemon(const Connection& connection) {
  if (!connection.peer.valid() || connection.peer_pid == ::getpid() ||
      PidfdKill(connection.peer.get(), SIGKILL) != 0) {
    LogError("daemon gives no beat and cannot be killed",
             absl::StrCat("pid ", connection.peer_pid));
    return;
  }
  LogError("daemon killed: no beat from it while CRIU ran",
           absl::StrCat("pid ", connection.peer_pid, ", waited ",
                        absl::FormatDuration(options_.beat_timeout)));
}

void ShimServer::OwnerLost() {
  operation_->owner = -1;
  loop_.CancelTimer(std::exchange(operation_->beat_timer, 0));
  if (!operation_->restore || restore_yes_) return;
  ::kill(operation_->pid, SIGKILL);
  StartPurge(operation_->kill_cgroup, true);
}

// --- the end of CRIU ----------------------------------------------------------------------------

void ShimServer::CriuEnded(int status) {
  Operation operation = *std::move(operation_);
  operation_.reset();
  loop_.CancelTimer(operation.beat_timer);
  loop_.CancelTimer(operation.hold_timer);
  // First of all, and not left to the daemon, which may be dead or stopped.
  if (const absl::Status status = CureAndThaw(operation.hold_cgroups); !status.ok()) {
    LogError("connections not cured", std::string(status.message()));
  }
  const bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (operation.restore) {
    if (clean && restore_yes_) {
      TakeRestored(operation);
    } else {
      // CRIU may have been killed in the middle; what it leaves hangs and holds the job's pids.
      restore_yes_ = false;
      StartPurge(operation.kill_cgroup, operation.owner < 0);
    }
  }
  base::Json event{{"event", "criu_exit"},
                   {"operation", operation.id},
                   {"code", WIFEXITED(status) ? WEXITSTATUS(status) : 0},
                   {"signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0}};
  if (controls_.count(operation.owner) == 0) return;
  if (purge_) {
    // Told when nothing is left, so that whoever hears of the failure can try again.
    purge_->notice = {operation.owner, std::move(event)};
  } else {
    Answer(operation.owner, event);
  }
}

// What our CRIU has restored is our child, by its option -S, and the job from now on: even if the
// daemon dies before it can say so, the next one finds it here, and later its exit code.
void ShimServer::TakeRestored(Operation& operation) {
  const auto text = base::ReadFile(operation.pidfile, 64);
  ProcessIdentity process;
  if (!text.ok() || !absl::SimpleAtoi(*text, &process.pid)) {
    LogError("restored, but the pid file tells no pid", operation.pidfile);
    return;
  }
  const auto ended = reaped_.find(process.pid);
  if (ended == reaped_.end()) {
    const auto stat = ReadStat(process.pid);
    if (!stat.ok() || stat->ppid != ::getpid()) {
      LogError("restored, but not as a child", absl::StrCat("pid ", process.pid));
      return;
    }
    process.start_ticks = stat->start_ticks;
  }
  const std::optional<ExitStatus> exit =
      ended == reaped_.end() ? std::nullopt : std::make_optional(ExitOf(ended->second));
  SetJob(process, true);
  struct stat owner {};
  if (::stat(absl::StrCat("/proc/", process.pid).c_str(), &owner) == 0) {
    if (operation.pipes) ChangeOwner(*operation.pipes, owner.st_uid, owner.st_gid);
    if (operation.out_log_created &&
        ::fchown(operation.out_log.get(), owner.st_uid, owner.st_gid) != 0) {
      LogError("the log stays root's", absl::StrCat("pid ", process.pid));
    }
  }
  if (operation.pipes) {
    stdio_ = std::make_unique<JobStdio>(loop_, *std::move(operation.pipes), operation.hold_output,
                                        options_.stall_timeout);
  }
  if (exit) JobEnded(*exit);
}

// --- what a failed restore leaves ---------------------------------------------------------------

void ShimServer::StartPurge(const std::string& cgroup, bool lost) {
  if (!purge_) {
    purge_.emplace(Purge{});
    purge_->cgroup = cgroup;
    purge_->begun = loop_.Now();
    purge_->timer = loop_.After(absl::ZeroDuration(), [this] { ContinuePurge(); });
  }
  purge_->lost = purge_->lost || lost;
}

// One round of killing; true when nothing is left.
bool ShimServer::PurgeOnce() {
  // CRIU may be outside the cgroup, and forks until it is dead and reaped.
  const bool criu_runs = operation_ && operation_->restore && !restore_yes_;
  if (purge_->cgroup.empty()) return !KillDescendants() && !criu_runs;
  const absl::Status status = KillCgroup(purge_->cgroup, absl::ZeroDuration());
  if (!status.ok() && !absl::IsDeadlineExceeded(status)) {
    LogError("cgroup cannot be killed", std::string(status.message()));
    purge_->cgroup.clear();  // go on without it
  }
  return status.ok() && !criu_runs;
}

void ShimServer::ContinuePurge() {
  const bool gone = PurgeOnce();
  if (purge_->notice && (gone || loop_.Now() - purge_->begun > kNoticeDelay)) {
    const auto [owner, event] = *std::exchange(purge_->notice, std::nullopt);
    if (controls_.count(owner) != 0) Answer(owner, event);
  }
  if (!gone) {
    purge_->timer = loop_.After(kPurgePause, [this] { ContinuePurge(); });
    return;
  }
  const Purge purge = *std::exchange(purge_, std::nullopt);
  if (!purge.lost) return;
  released_ = true;  // a shim whose daemon and restore are gone is of no use to the next one
  if (purge.cgroup.empty()) return;
  if (const absl::Status status = RemoveCgroup(purge.cgroup); !status.ok()) {
    LogError("cgroup not removed", std::string(status.message()));
  }
}

}  // namespace cedana::runtime
