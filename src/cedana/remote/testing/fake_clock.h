// Time that moves only when a test says so.
#pragma once

#include "core/base/clock.h"

namespace cedana::remote {

class FakeClock : public base::Clock {
 public:
  absl::Time Now() override { return absl::UnixEpoch() + now_; }
  absl::Duration Monotonic() override { return now_; }
  void Sleep(absl::Duration duration) override { now_ += duration; }

 private:
  absl::Duration now_ = absl::Hours(1);
};

}  // namespace cedana::remote
