#include "core/http/worker_pool_internal.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/base/log.h"

namespace cedana::http {

WorkerPool::WorkerPool(int threads_max, int bulk_max)
    : threads_max_(threads_max), bulk_max_(std::max(bulk_max, 1)) {
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

size_t WorkerPool::Startable() const {
  const auto bulk = static_cast<size_t>(std::max(bulk_max_ - bulk_running_, 0));
  return queue_.size() + std::min(bulk_queue_.size(), bulk);
}

void WorkerPool::Submit(std::function<void()> work, bool bulk) {
  absl::MutexLock lock(&mutex_);
  (bulk ? bulk_queue_ : queue_).push_back(std::move(work));
  // A waiting thread counts for one queued piece only, hence the comparison.
  if (static_cast<int>(Startable()) <= idle_ || ending_) return;
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
    bool bulk = false;
    {
      absl::MutexLock lock(&mutex_);
      ++idle_;
      mutex_.Await(absl::Condition(this, &WorkerPool::Ready));
      --idle_;
      if (Startable() == 0) return;
      bulk = queue_.empty();
      Queue& queue = bulk ? bulk_queue_ : queue_;
      work = std::move(queue.front());
      queue.pop_front();
      if (bulk) ++bulk_running_;
    }
    work();
    if (!bulk) continue;
    absl::MutexLock lock(&mutex_);
    --bulk_running_;
  }
}

}  // namespace cedana::http
