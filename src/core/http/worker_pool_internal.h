// Threads that may block: one, and more when needed, at most a fixed number of them. The queue is
// bounded by its user: the server submits one piece of work per connection.
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
  explicit WorkerPool(int threads_max);
  // Runs what is queued, then joins.
  ~WorkerPool();

  // `work` must not throw.
  void Submit(std::function<void()> work);

 private:
  void Run();
  bool Ready() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ending_ || !queue_.empty(); }

  const int threads_max_;
  absl::Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  std::vector<base::Thread> threads_ ABSL_GUARDED_BY(mutex_);
  int idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace cedana::http
