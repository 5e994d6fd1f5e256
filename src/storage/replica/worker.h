// The background thread: commit records soon after each commit, a round of collection at an
// interval.
#pragma once

#include <memory>

#include "core/base/context.h"
#include "core/base/thread.h"
#include "storage/replica/collector.h"

namespace cedana::replica {

// Runs from construction to destruction, which waits for what is being done.
class Worker {
 public:
  Worker(const Vault* vault, Collector* collector);
  ~Worker();

 private:
  void Run();

  const Vault& vault_;
  Collector& collector_;
  const std::shared_ptr<base::CancelSource> cancel_;
  base::Thread thread_;
};

}  // namespace cedana::replica
