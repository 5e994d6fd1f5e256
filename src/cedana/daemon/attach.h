// Connects a caller to a job's input and output until the job ends or the caller leaves.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "cedana/daemon/jobs.h"

namespace cedana::daemon {

// What the caller sends and gets; implemented over gRPC by service.cc.
struct AttachPort {
  enum class InputKind { kStdin, kStdinClosed, kSignal, kGone };
  struct Input {
    InputKind kind = InputKind::kGone;
    std::string bytes;
    int signal = 0;
  };
  std::function<Input()> receive;                                  // blocks; kGone: the caller left
  std::function<bool(int stream, const std::string& bytes)> send;  // 1 stdout, 2 stderr
  std::function<bool(int exit_code)> send_exit;
  std::function<void()> hang_up;  // makes a blocked receive return kGone
};

// Blocks. A job with pipes gives its output and takes input; a restored job with a log gives what
// its log got since the restore and takes signals. kNotFound: a job with a log that was not
// restored has nothing to attach to.
absl::Status Attach(Jobs& jobs, const std::shared_ptr<Job>& job, const AttachPort& port);

}  // namespace cedana::daemon
