// The shim itself: what it owns and how it answers. One thread, one event loop; nothing here may
// block for long, because a zombie that is not reaped holds its pid.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cedana/runtime/event_loop.h"
#include "cedana/runtime/job_stdio.h"
#include "cedana/runtime/shim_client.h"
#include "core/base/fd.h"
#include "core/base/json.h"
#include "core/base/random.h"

namespace cedana::runtime {

struct ShimOptions {
  absl::Duration beat_timeout = absl::Seconds(15);
  absl::Duration linger = absl::Seconds(10);        // alone for so long after the job's end: exits
  absl::Duration stall_timeout = absl::Seconds(5);  // of one attached (job_stdio.h)
};

// From waitpid's status.
ExitStatus ExitOf(int status);

class ShimServer {
 public:
  // The current directory is the shim's folder. `signals`: a signalfd for SIGCHLD and SIGTERM.
  ShimServer(ShimOptions options, EventLoop& loop, base::Random& random, base::UniqueFd listener,
             base::UniqueFd signals);
  // Until the shim has nothing left to do.
  absl::Status Run();

 private:
  struct Connection {
    base::UniqueFd fd;
    int peer_pid = 0;
    base::UniqueFd peer;  // pidfd, taken when it connected
  };
  struct Job {
    ProcessIdentity process;
    bool child = true;
    base::UniqueFd pidfd;  // of one that is not our child
    std::optional<ExitStatus> exit;
  };
  // A CRIU that runs.
  struct Operation {
    int64_t id = 0;
    int owner = -1;  // its connection; -1: lost
    pid_t pid = 0;
    bool restore = false;
    std::string kill_cgroup;
    std::vector<std::string> hold_cgroups;
    std::string pidfile;
    bool hold_output = false;
    std::optional<JobPipes> pipes;
    base::UniqueFd out_log;
    bool out_log_created = false;
    absl::Duration last_beat;
    int beat_timer = 0;
    int hold_timer = 0;
    absl::Duration hold_thawed;  // when hold_cgroups were last seen not to be frozen
  };
  // What a failed restore may have left is being killed.
  struct Purge {
    std::string cgroup;  // empty: all our descendants
    bool lost = false;   // nobody else is there to remove the cgroup
    absl::Duration begun;
    int timer = 0;
    std::optional<std::pair<int, base::Json>> notice;  // CRIU's end, and whom to tell
  };

  // shim_server.cc: connections, the job, the end.
  void OnListener();
  void OnHello(int fd);
  void AddControl(base::UniqueFd fd);
  void OnControl(int fd);
  void LoseControl(int fd);
  void Answer(int fd, const base::Json& message);
  absl::StatusOr<base::Json> Handle(int fd, const std::string& name, const base::Json& message);
  absl::StatusOr<base::Json> Start(const base::Json& message);
  absl::Status Adopt(const base::Json& message);
  absl::Status AdoptChild(const ProcessIdentity& process);
  absl::Status AdoptForeign(const ProcessIdentity& process);
  void SetJob(const ProcessIdentity& process, bool child);
  ShimState State() const;
  bool JobRuns() const { return job_ && !job_->exit; }
  void OnSignal();
  void Reap();
  void JobEnded(const ExitStatus& exit);
  void CheckIdle();
  void LogError(absl::string_view event, const std::string& detail);

  // shim_operation.cc: CRIU, the beat, what happens when the daemon is lost.
  absl::StatusOr<base::Json> RunCriu(int fd, const base::Json& message);
  absl::StatusOr<pid_t> SpawnCriu(const CriuRequest& request, Operation* operation);
  void CheckBeat();
  void WatchHold();
  void KillDaemon(const Connection& connection);
  void OwnerLost();
  void CriuEnded(int status);
  void TakeRestored(Operation& operation);
  void StartPurge(const std::string& cgroup, bool lost);
  bool PurgeOnce();
  void ContinuePurge();

  const ShimOptions options_;
  EventLoop& loop_;
  base::Random& random_;
  base::UniqueFd listener_;
  base::UniqueFd signals_;
  std::map<int, base::UniqueFd> strangers_;  // connected, role not said yet
  std::map<int, Connection> controls_;
  std::optional<Job> job_;
  std::unique_ptr<JobStdio> stdio_;
  std::optional<Operation> operation_;
  bool restore_yes_ = false;
  // Children that ended while a CRIU ran: one of them may prove to be the restored job.
  std::map<pid_t, int> reaped_;
  std::optional<Purge> purge_;
  bool released_ = false;
  int idle_timer_ = 0;
  bool done_ = false;
};

}  // namespace cedana::runtime
