// A bound on bytes per second for work that must leave dumps and restores alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/context.h"

namespace cedana::replica {

// Thread-safe.
class Pace {
 public:
  // `bytes_per_s` 0: no bound. Borrows the clock.
  Pace(base::Clock* clock, uint64_t bytes_per_s) : clock_(*clock), bytes_per_s_(bytes_per_s) {}

  // Waits for this many bytes' turn. The error of the context when it ends first.
  absl::Status Take(const base::Context& context, uint64_t bytes) {
    if (bytes_per_s_ == 0) return context.Check();
    absl::Duration wait;
    {
      absl::MutexLock lock(&mutex_);
      const absl::Duration now = clock_.Monotonic();
      next_ = std::max(next_, now);
      wait = next_ - now;
      next_ += absl::Seconds(static_cast<double>(bytes) / static_cast<double>(bytes_per_s_));
    }
    return wait > absl::ZeroDuration() ? context.Sleep(wait) : context.Check();
  }

 private:
  base::Clock& clock_;
  const uint64_t bytes_per_s_;
  absl::Mutex mutex_;
  absl::Duration next_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::replica
