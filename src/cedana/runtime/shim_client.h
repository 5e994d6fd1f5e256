// The daemon's side of a shim. One shim per job (or per restore that will become a job): child
// subreaper, parent of the job and of every CRIU that dumps or restores it, holder of its stdio,
// keeper of its exit status. It outlives the daemon. The wire between them is in README.md.
//
// Files of a shim, under its folder `<run dir>/j/<job id>`: shim.sock (SOCK_SEQPACKET), shim.pid,
// exit.json (written once, when the job has ended), shim.log (only on errors).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/fd.h"

namespace cedana::runtime {

struct ProcessIdentity {
  int pid = 0;
  uint64_t start_ticks = 0;  // /proc/PID/stat field 22: tells a reused pid
};

// How a job's life ended. `signal` != 0: killed by it.
struct ExitStatus {
  int code = 0;
  int signal = 0;
  bool known = true;  // false: not our child (managed), so nobody could tell
  // What the shell shows: the code, or 128+n.
  int ShellCode() const { return signal != 0 ? 128 + signal : code; }
};

enum class StdioMode { kLog, kPipes };

struct StdioSpec {
  StdioMode mode = StdioMode::kLog;
  std::string log_path;      // kLog: opened O_WRONLY|O_APPEND|O_CREAT 0644, never truncated
  bool hold_output = false;  // kPipes: nothing is read from the job until the first attach
};

struct StartRequest {
  std::vector<std::string> argv;  // argv[0] is an absolute path
  std::vector<std::string> env;
  std::string working_dir;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;
  StdioSpec stdio;
  std::string cgroup;  // absolute path of the job's cgroup v2 folder; empty: none
};

struct CriuRequest {
  std::vector<std::string> argv;
  std::vector<std::string> env;  // added to a minimal one
  std::string cgroup;            // of CRIU itself (op/criu)
  std::string kill_cgroup;       // restore: killed when the daemon is lost before the yes (op)
  bool restore = false;
  // Dump: when CRIU has ended, whatever has ended it, connections of the processes in there are
  // cured and they are thawed (tree_hold.h).
  std::vector<std::string> hold_cgroups;
  std::string stderr_path;  // created, 0600
  // Restore of a job with pipes: the shim makes new ones and hands CRIU their far ends at these
  // numbers (stdin, stdout, stderr); -1: not wanted.
  int stdio_numbers[3] = {-1, -1, -1};
  bool hold_output = false;
  // Restore into another log: opened like a job's log and handed to CRIU at this number.
  std::string out_log;
  int out_log_number = -1;
};

struct CriuExit {
  int code = 0;
  int signal = 0;
};

struct ShimState {
  int shim_pid = 0;
  std::optional<ProcessIdentity> job;
  std::optional<ExitStatus> exit;
  bool attachable = false;
  bool operation = false;    // a CRIU of it is running
  bool restore_yes = false;  // the last restore's verdict was yes
};

// One control connection. Thread-safe: calls are answered in order. A lost connection makes every
// call kUnavailable, and RunCriu too: that is how the death of a shim shows.
class ShimClient {
 public:
  // Starts `shim_program` in `folder` (made, 0700) and connects. The shim is in a session of its
  // own. `options`: of the shim program (shim_main.cc), for tests.
  static absl::StatusOr<std::unique_ptr<ShimClient>> Launch(
      const std::string& shim_program, const std::string& folder,
      const std::vector<std::string>& options = {});
  // kUnavailable: nobody listens there any more.
  static absl::StatusOr<std::unique_ptr<ShimClient>> Connect(const std::string& folder);
  virtual ~ShimClient() = default;

  virtual absl::StatusOr<ShimState> State() = 0;
  // Starts the job at a random free pid in the upper half of pid_max, in a session of its own.
  virtual absl::StatusOr<ProcessIdentity> Start(const StartRequest& request) = 0;
  // Makes an existing process the job: one restored by this shim's CRIU (`child`), or a foreign
  // one, of which only the end can be noticed.
  virtual absl::Status Adopt(const ProcessIdentity& process, bool child) = 0;
  // Runs CRIU to its end. Sends the shim a beat per second meanwhile; 15 s without one (this
  // daemon hung) and the shim kills this daemon. `on_started` gets CRIU's pid.
  virtual absl::StatusOr<CriuExit> RunCriu(const CriuRequest& request,
                                           std::function<void(int)> on_started) = 0;
  // The restore's verdict is yes: from its answer on the loss of the daemon does not kill the tree.
  virtual absl::Status RestoreYes() = 0;
  // Waits until the job has ended, at most `timeout`; nullopt: it runs on.
  virtual absl::StatusOr<std::optional<ExitStatus>> WaitExit(absl::Duration timeout) = 0;
  // Waits until none of `pids` exists any more, reaping them (after a dump that ended the tree).
  virtual absl::Status ReapAll(const std::vector<int>& pids, absl::Duration timeout) = 0;
  // The shim ends as soon as no job of it runs. Best effort.
  virtual void Release() = 0;
  virtual const std::string& folder() const = 0;
};

// The exit status that a shim left behind, if its job has ended.
absl::StatusOr<std::optional<ExitStatus>> ReadExitFile(const std::string& folder);

// A connection that carries an attachable job's stdio. Not thread-safe but for Close.
class ShimAttach {
 public:
  static absl::StatusOr<std::unique_ptr<ShimAttach>> Connect(const std::string& folder);
  virtual ~ShimAttach() = default;
  struct Output {
    int stream = 0;  // 1 stdout, 2 stderr, 0 the job has ended: `exit` is set
    std::string bytes;
    ExitStatus exit;
  };
  virtual absl::StatusOr<Output> Next() = 0;                    // blocks; kCancelled after Close
  virtual absl::Status SendStdin(absl::string_view bytes) = 0;  // any thread
  virtual absl::Status CloseStdin() = 0;
  virtual void Close() = 0;
};

}  // namespace cedana::runtime
