// Ends an operation that makes no progress, that its caller has given up, or that a stopping
// daemon must let go (I8: deadlines follow progress).
#pragma once

#include <cstdint>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/context.h"
#include "core/base/thread.h"

namespace cedana::daemon {

// Watches from construction to destruction. `count` grows with progress; `cancel` is called at
// most once, on the watch's own thread.
class StallWatch {
 public:
  StallWatch(const base::Context& context, base::CancelSource* stop,
             std::function<uint64_t()> count, std::function<void(const absl::Status&)> cancel);
  ~StallWatch();
  // How long the count may stand still from now on.
  void Limit(absl::Duration limit);

 private:
  void Watch();
  absl::Status Judge();

  const base::Context context_;
  base::CancelSource* const stop_;
  const std::function<uint64_t()> count_;
  const std::function<void(const absl::Status&)> cancel_;
  absl::Mutex mutex_;
  absl::Duration limit_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  absl::Time since_ ABSL_GUARDED_BY(mutex_) = absl::Now();
  uint64_t last_ = 0;  // watch thread only
  base::CancelSource end_;
  base::Thread thread_;
};

}  // namespace cedana::daemon
