// What hedged reads are paid from: a token bucket filled by ordinary reads.
#pragma once

#include <algorithm>

namespace cedana::remote {

// At most 5 % more requests in the long run, and a burst of 8. Not thread-safe.
class HedgeBudget {
 public:
  static constexpr double kTokensPerRead = 0.05;
  static constexpr double kBurst = 8;

  void CountRead() { tokens_ = std::min(kBurst, tokens_ + kTokensPerRead); }
  bool Take() {
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }
  // One that was paid for and not made.
  void GiveBack() { tokens_ = std::min(kBurst, tokens_ + 1); }

 private:
  double tokens_ = kBurst;
};

}  // namespace cedana::remote
