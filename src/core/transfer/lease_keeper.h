// Keeps the lease of a save or the hold of a restore alive beside the work.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/context.h"

namespace cedana::transfer {

// Run is the body of a thread; Stop may be called from any other.
class LeaseKeeper {
 public:
  using Renew = std::function<absl::Status(const base::Context&)>;

  // Renews every `heartbeat`, counting `lease` from now. The work (`work.cancel`, not null) is
  // cancelled when the lease is lost, and at `work.deadline`.
  LeaseKeeper(absl::Duration lease, absl::Duration heartbeat, base::Clock& clock, Renew renew,
              base::Context work);
  ~LeaseKeeper();

  // Returns after Stop, or when the work was cancelled.
  void Run();
  void Stop();

 private:
  absl::Status RenewOnce();

  const absl::Duration lease_;
  const absl::Duration heartbeat_;
  base::Clock& clock_;
  const Renew renew_;
  const base::Context work_;
  absl::Duration renewed_;  // of the monotonic clock; only Run touches it
  const std::shared_ptr<base::CancelSource> stop_ = std::make_shared<base::CancelSource>();
  int work_callback_ = 0;
};

}  // namespace cedana::transfer
