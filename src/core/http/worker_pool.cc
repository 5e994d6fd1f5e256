#include <utility>

#include "core/http/worker_pool_internal.h"

namespace cedana::http {

WorkerPool::~WorkerPool() {
  std::vector<base::Thread> threads;
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
    threads = std::move(threads_);
  }
  for (base::Thread& thread : threads) thread.Join();
}

void WorkerPool::Submit(std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(work));
  // A waiting thread counts for one queued piece only, hence the comparison.
  if (static_cast<int>(queue_.size()) > idle_ && !ending_ &&
      static_cast<int>(threads_.size()) < threads_max_) {
    threads_.emplace_back("http-worker", [this] { Run(); });
  }
}

void WorkerPool::Run() {
  while (true) {
    std::function<void()> work;
    {
      absl::MutexLock lock(&mutex_);
      ++idle_;
      mutex_.Await(absl::Condition(this, &WorkerPool::Ready));
      --idle_;
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

}  // namespace cedana::http
