// Threads that may block: one, and more when needed, at most a fixed number of them. The queues are
// bounded by their user: the server submits one piece of work per connection.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/thread.h"

namespace cedana::http {

// Thread-safe.
class WorkerPool {
 public:
  // At most `bulk_max` of them work on bulk at once.
  WorkerPool(int threads_max, int bulk_max);
  // Runs what is queued, then joins.
  ~WorkerPool();

  // `work` must not throw. In the order of submission, but bulk after everything else.
  void Submit(std::function<void()> work, bool bulk);

 private:
  using Queue = std::deque<std::function<void()>>;

  void Run();
  // What could begin now, if there are threads for it.
  size_t Startable() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool Ready() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return Startable() > 0 || (ending_ && bulk_queue_.empty());
  }

  const int threads_max_;
  const int bulk_max_;
  absl::Mutex mutex_;
  Queue queue_ ABSL_GUARDED_BY(mutex_);
  Queue bulk_queue_ ABSL_GUARDED_BY(mutex_);
  int bulk_running_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<base::Thread> threads_ ABSL_GUARDED_BY(mutex_);
  int idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace cedana::http
