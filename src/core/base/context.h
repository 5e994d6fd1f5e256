// What every blocking call takes (I8): until when it may wait, and how it is told to stop earlier.
#pragma once

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace cedana::base {

// One-way switch shared by everybody who works on one operation. Thread-safe.
class CancelSource {
 public:
  // The first reason stays. Runs the callbacks, in this thread, once.
  void Cancel(absl::Status reason);
  bool cancelled() const;
  // OK, or the reason.
  absl::Status status() const;
  // Calls `callback` at Cancel (at once when that was before). Returns a handle for RemoveCallback.
  int OnCancel(std::function<void()> callback);
  // After it returns the callback neither runs nor will run. Not to be called from a callback.
  void RemoveCallback(int handle);
  // Waits until cancelled or `timeout`; true when cancelled.
  bool WaitFor(absl::Duration timeout) const;

 private:
  mutable absl::Mutex mutex_;
  absl::Mutex callback_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  absl::Status reason_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  int next_handle_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<int, std::function<void()>> callbacks_ ABSL_GUARDED_BY(mutex_);
};

// A value; cheap to copy.
struct Context {
  absl::Time deadline = absl::InfiniteFuture();
  std::shared_ptr<CancelSource> cancel;  // null: cannot be cancelled

  // OK while the work may go on, else kDeadlineExceeded or the reason of the cancellation.
  absl::Status Check() const;
  absl::Duration Remaining() const;
  Context WithTimeout(absl::Duration timeout) const;
  // Sleeps, shorter when the context ends; returns Check().
  absl::Status Sleep(absl::Duration duration) const;
};

}  // namespace cedana::base
