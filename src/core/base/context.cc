#include "core/base/context.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/time/clock.h"

namespace cedana::base {

void CancelSource::Cancel(absl::Status reason) {
  absl::MutexLock callback_lock(&callback_mutex_);
  std::vector<std::function<void()>> callbacks;
  {
    absl::MutexLock lock(&mutex_);
    if (cancelled_) return;
    cancelled_ = true;
    reason_ = reason.ok() ? absl::CancelledError("cancelled") : std::move(reason);
    callbacks.reserve(callbacks_.size());
    for (auto& [handle, callback] : callbacks_) callbacks.push_back(std::move(callback));
    callbacks_.clear();
  }
  for (auto& callback : callbacks) callback();
}

bool CancelSource::cancelled() const {
  absl::MutexLock lock(&mutex_);
  return cancelled_;
}

absl::Status CancelSource::status() const {
  absl::MutexLock lock(&mutex_);
  return reason_;
}

int CancelSource::OnCancel(std::function<void()> callback) {
  {
    absl::MutexLock lock(&mutex_);
    if (!cancelled_) {
      const int handle = next_handle_++;
      callbacks_[handle] = std::move(callback);
      return handle;
    }
  }
  callback();
  return 0;
}

void CancelSource::RemoveCallback(int handle) {
  // Holding callback_mutex_ waits for a Cancel that is running the callbacks now.
  absl::MutexLock callback_lock(&callback_mutex_);
  absl::MutexLock lock(&mutex_);
  callbacks_.erase(handle);
}

bool CancelSource::WaitFor(absl::Duration timeout) const {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&cancelled_), timeout);
}

absl::Status Context::Check() const {
  if (cancel != nullptr && cancel->cancelled()) return cancel->status();
  if (deadline != absl::InfiniteFuture() && absl::Now() >= deadline) {
    return absl::DeadlineExceededError("deadline exceeded");
  }
  return absl::OkStatus();
}

absl::Duration Context::Remaining() const {
  if (deadline == absl::InfiniteFuture()) return absl::InfiniteDuration();
  return std::max(absl::ZeroDuration(), deadline - absl::Now());
}

Context Context::WithTimeout(absl::Duration timeout) const {
  Context result = *this;
  result.deadline = std::min(deadline, absl::Now() + timeout);
  return result;
}

absl::Status Context::Sleep(absl::Duration duration) const {
  const absl::Duration wait = std::min(duration, Remaining());
  if (cancel != nullptr) {
    cancel->WaitFor(wait);
  } else {
    absl::SleepFor(wait);
  }
  return Check();
}

}  // namespace cedana::base
