#include "core/http/worker_pool_internal.h"

#include <system_error>
#include <utility>

#include "core/base/log.h"

namespace cedana::http {

WorkerPool::WorkerPool(int threads_max) : threads_max_(threads_max) {
  absl::MutexLock lock(&mutex_);
  threads_.emplace_back("http-worker", [this] { Run(); });
}

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
  if (static_cast<int>(queue_.size()) <= idle_ || ending_) return;
  if (static_cast<int>(threads_.size()) >= threads_max_) return;
  try {
    threads_.emplace_back("http-worker", [this] { Run(); });
  } catch (const std::system_error& error) {
    // No more threads to be had: those that run will come to it.
    base::LogWarn("no thread for a request", {{"error", error.what()}});
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
