// A real process, a real CRIU and our sockets: what the tests with root dump, cancel and restore.
// The program must be a child subreaper (CriuTrial makes it one), so that restored processes and
// the orphans of a dumped tree can be reaped.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cedana/criu/criu.h"

namespace cedana::criu {

// Image files in memory.
class ImageMap {
 public:
  absl::Status Store(const std::string& name, transfer::ByteSource& source);
  absl::Status Serve(const std::string& name, transfer::ByteSink& sink) const;
  bool Has(const std::string& name) const;
  std::vector<std::string> Names() const;
  size_t Bytes(const std::string& name) const;
  void Truncate(const std::string& name, size_t bytes);

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, std::string> files_ ABSL_GUARDED_BY(mutex_);
};

class CriuTrial {
 public:
  struct Process {
    pid_t pid = 0;
    std::string log;
  };
  struct DumpRun {
    DumpFlags flags;                       // pid and what the test wants; folder and hook are set
    ImageCapture::Store store;             // default: into images()
    HookServer::Decide decide;             // default: OK once drained
    std::vector<std::string> environment;  // of CRIU, beside ours
    bool hook_hangs = false;               // the hook's socket is there, but nobody answers
    std::function<void(ImageCapture&, pid_t criu)> while_running;  // on the caller's thread
  };
  struct RestoreRun {
    RestoreFlags flags;
    ImageServe::Exists exists;  // default: in images()
    ImageServe::Serve serve;    // default: from images()
    HookServer::Decide decide;  // default: OK once served
    std::function<void(ImageServe&, pid_t criu)> while_running;
  };
  struct Outcome {
    int exit_code = -1;    // of CRIU; 128 + signal
    absl::Status drained;  // what WaitDrained or WaitServed said to the hook
    std::string telling;
    std::string folder;
    uint64_t files = 0;
    int hook_pid = 0;  // CRTOOLS_INIT_PID at the hook that decides
  };

  CriuTrial();
  // Kills what the trial started and removes its folder.
  ~CriuTrial();

  // Empty when CRIU or root is missing: the tests cannot run here.
  static absl::StatusOr<CriuProgram> Find();

  // In a session of its own, output appended to a log.
  Process Start(const std::vector<std::string>& argv);
  Outcome Dump(DumpRun run);
  Outcome Restore(RestoreRun run);
  ImageMap& images() { return images_; }
  const std::string& folder() const { return folder_; }

  // Waits until the log has a line that contains `text` after its first `skip` bytes.
  static bool WaitLog(const std::string& log, const std::string& text, size_t skip,
                      absl::Duration timeout = absl::Seconds(60));
  static size_t LogBytes(const std::string& log);
  // Not a zombie.
  static bool Alive(pid_t pid);
  // The process and its descendants.
  static std::vector<pid_t> Tree(pid_t pid);
  // Waits until none of them exists, reaping.
  static bool Gone(const std::vector<pid_t>& pids, absl::Duration timeout = absl::Seconds(30));
  void Kill(const std::vector<pid_t>& pids);

 private:
  std::string NewFolder();
  int RunCriu(const std::vector<std::string>& argv, const std::string& folder,
              std::vector<std::string> environment,
              const std::function<void(pid_t)>& while_running);

  std::string folder_;
  int next_ = 0;
  std::vector<pid_t> started_;
  ImageMap images_;
};

}  // namespace cedana::criu
