// Bringing this terminal and a job's stdio together; shared by `attach`, `run --attach` and
// `restore --attach`.
#pragma once

#include "absl/status/statusor.h"
#include "cedana/cli/client_internal.h"
#include "cedana/cli/terminal.h"

namespace cedana::cli {

struct AttachOptions {
  // Our stdin goes to the job. Off for a job that has a log: nobody would read it.
  bool forward_stdin = true;
  // Signals go to the job; else they detach, and the job runs on.
  bool forward_signals = false;
};

// Returns the job's exit code (128+n for a death by signal n). kCancelled "Detached": the user
// left.
absl::StatusOr<int> Attach(Client& client, const Terminal& terminal, uint32_t pid,
                           const AttachOptions& options);

// `run --attach` and `restore --attach`: signals go to the job `jid`, stdin too when it can be
// attached to.
absl::StatusOr<int> AttachToNewJob(Client& client, const Terminal& terminal, uint32_t pid,
                                   const std::string& jid);

}  // namespace cedana::cli
