// Time, injected (I7): everything that waits or stamps takes a Clock, so that tests set seconds.
#pragma once

#include "absl/time/time.h"

namespace cedana::base {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall-clock time, for what people and other hosts read.
  virtual absl::Time Now() = 0;
  // Never goes back; only differences mean anything. For deadlines and rates.
  virtual absl::Duration Monotonic() = 0;
  virtual void Sleep(absl::Duration duration) = 0;
};

Clock& SystemClock();

}  // namespace cedana::base
