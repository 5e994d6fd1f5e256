// The last so many durations of one kind, for quantiles.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/time/time.h"

namespace cedana::remote {

// Not thread-safe. 128: one more or less than 5 % of slow answers shows, and the past is forgotten
// within seconds of a restore.
class LatencyWindow {
 public:
  static constexpr size_t kSamplesMax = 128;

  void Add(absl::Duration sample) {
    samples_[next_] = sample;
    next_ = (next_ + 1) % kSamplesMax;
    count_ = std::min(count_ + 1, kSamplesMax);
  }
  size_t count() const { return count_; }
  // The smallest sample that at least `percent` of 100 do not exceed. Requires: count() > 0.
  absl::Duration Quantile(size_t percent) const {
    std::array<absl::Duration, kSamplesMax> sorted = samples_;
    const size_t rank = (count_ * percent + 99) / 100;
    const auto nth = sorted.begin() + static_cast<std::ptrdiff_t>(std::max<size_t>(rank, 1) - 1);
    std::nth_element(sorted.begin(), nth, sorted.begin() + static_cast<std::ptrdiff_t>(count_));
    return *nth;
  }
  absl::Duration Median() const { return Quantile(50); }
  // Of the last `last` samples only: follows a change soon, and a few slow answers do not move it.
  absl::Duration MedianOfLast(size_t last) const {
    last = std::min(last, count_);
    LatencyWindow recent;
    for (size_t i = 1; i <= last; ++i)
      recent.Add(samples_[(next_ + kSamplesMax - i) % kSamplesMax]);
    return recent.Median();
  }

 private:
  std::array<absl::Duration, kSamplesMax> samples_;
  size_t next_ = 0;
  size_t count_ = 0;
};

}  // namespace cedana::remote
