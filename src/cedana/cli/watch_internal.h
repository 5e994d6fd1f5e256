// Shows an operation of the daemon while it goes on: progress on a terminal, notes everywhere.
#pragma once

#include <string>

#include "cedana/cli/client_internal.h"
#include "cedana/cli/progress.h"
#include "core/base/thread.h"

namespace cedana::cli {

// Drawn by us, so that the operation can be watched before the daemon has answered.
std::string DrawOperationId();

// Watches from its construction on. Stop before anything else is printed.
class Watcher {
 public:
  // Borrows all.
  Watcher(Client* client, const Terminal& terminal, std::string operation_id, std::string label);
  ~Watcher() { Stop(); }
  // Waits a moment for the last notes and clears the progress line.
  void Stop();

 private:
  void Run(const std::string& operation_id);

  Client* const client_;
  Client::Context context_;
  Progress progress_;
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  base::Thread thread_;
};

// "my-job-1: 312 MiB, stored 104 MiB (new 104 MiB), 820 MiB/s, frozen 31 ms".
std::string DumpSummary(const std::string& label, const daemon_api::OperationSummary& summary);
// "my-job-1: 312 MiB, 820 MiB/s, restored in 0.4 s".
std::string RestoreSummary(const std::string& label, const daemon_api::OperationSummary& summary);

}  // namespace cedana::cli
