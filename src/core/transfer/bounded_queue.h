// The only way from one stage to the next: a queue that makes the faster side wait.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace cedana::transfer {

// Thread-safe.
template <typename T>
class BoundedQueue {
 public:
  // `capacity`: at least 1.
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  // Blocks while the queue is full. The reason of the interruption after Interrupt.
  absl::Status Push(T item) {
    absl::MutexLock lock(&mutex_);
    while (interrupted_.ok() && items_.size() >= capacity_) space_.Wait(&mutex_);
    if (!interrupted_.ok()) return interrupted_;
    items_.push_back(std::move(item));
    arrival_.Signal();
    return absl::OkStatus();
  }

  // Blocks while the queue is empty. Nothing once it is closed and empty.
  absl::StatusOr<std::optional<T>> Pop() {
    absl::MutexLock lock(&mutex_);
    while (interrupted_.ok() && items_.empty() && !closed_) arrival_.Wait(&mutex_);
    if (!interrupted_.ok()) return interrupted_;
    if (items_.empty()) return std::optional<T>();
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    space_.Signal();
    return item;
  }

  // As Pop, but several that follow each other: at most `run_max`, and no more than one of `takers`
  // equal shares of what is there. None once it is closed and empty.
  absl::StatusOr<std::vector<T>> PopRun(size_t run_max, size_t takers) {
    absl::MutexLock lock(&mutex_);
    while (interrupted_.ok() && items_.empty() && !closed_) arrival_.Wait(&mutex_);
    if (!interrupted_.ok()) return interrupted_;
    std::vector<T> run;
    const size_t share = (items_.size() + takers - 1) / takers;
    for (size_t left = std::min(run_max, share); left > 0; --left) {
      run.push_back(std::move(items_.front()));
      items_.pop_front();
    }
    space_.SignalAll();
    return run;
  }

  // Nothing is pushed any more; what is inside can still be popped.
  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    arrival_.SignalAll();
  }

  // Every Push and Pop, also those that wait now, returns `reason` (not OK); items are dropped.
  void Interrupt(const absl::Status& reason) {
    std::deque<T> dropped;  // freed outside of the lock: an item may give back a buffer
    absl::MutexLock lock(&mutex_);
    if (!interrupted_.ok()) return;
    interrupted_ = reason;
    dropped.swap(items_);
    arrival_.SignalAll();
    space_.SignalAll();
  }

 private:
  const size_t capacity_;
  absl::Mutex mutex_;
  absl::CondVar arrival_;
  absl::CondVar space_;
  std::deque<T> items_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status interrupted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::transfer
