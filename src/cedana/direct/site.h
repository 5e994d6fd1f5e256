// What the parts of a repository's catalog work on. Borrowed everywhere; the catalog (or the
// collector) owns it.
#pragma once

#include "absl/time/time.h"
#include "cedana/direct/repository.h"
#include "cedana/direct/retrying_store.h"
#include "core/base/retry.h"

namespace cedana::direct {

struct Times {
  absl::Duration lease = absl::Minutes(10);  // of a save without a sign of life
  absl::Duration heartbeat = absl::Minutes(1);
  absl::Duration spare = absl::Hours(24);  // what is younger is not collected
  absl::Duration renew_hold = absl::Minutes(5);
};

inline constexpr size_t kRequestsAtOnce = 8;  // of one operation, where it makes many

struct Site {
  RetryingStore* store = nullptr;
  const Repository* repository = nullptr;
  Times times;
  base::Services services;
  size_t at_once = kRequestsAtOnce;
};

}  // namespace cedana::direct
