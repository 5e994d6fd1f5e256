// How slow a peer may be while it holds a place that others wait for: the server's own timeout only
// sees one that stands still.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace cedana::api {

inline constexpr uint64_t kSlowBytes = 64u << 10;  // in each kSlowTime of waiting for the peer
inline constexpr absl::Duration kSlowTime = absl::Minutes(1);

// Used by one thread.
class RateFloor {
 public:
  // `took`: the time spent waiting for the peer, and for nothing else. kDeadlineExceeded: too slow.
  absl::Status Moved(uint64_t bytes, absl::Duration took) {
    bytes_ += bytes;
    waited_ += took;
    if (waited_ < kSlowTime) return absl::OkStatus();
    if (static_cast<double>(bytes_) < kSlowBytes * absl::FDivDuration(waited_, kSlowTime)) {
      return absl::DeadlineExceededError(
          absl::StrCat("too slow: ", bytes_, " bytes in ", absl::FormatDuration(waited_)));
    }
    bytes_ = 0;
    waited_ = absl::ZeroDuration();
    return absl::OkStatus();
  }

 private:
  uint64_t bytes_ = 0;
  absl::Duration waited_;
};

}  // namespace cedana::api
