// When a provider is left alone, and when it is tried again. A state machine on times that its
// caller passes in; no clock, no lock.
//
//            five failures in a row, a trip             pause over
//   closed ───────────────────────────────▸ open ────────────────────▸ half open ─ success ─▸
//   closed
//                                             ◂── failure (twice the pause) ──┘
#pragma once

#include "absl/time/time.h"

namespace cedana::remote {

struct BreakerRules {
  int failures_in_row = 5;
  absl::Duration pause_first = absl::Seconds(1);
  absl::Duration pause_max = absl::Seconds(30);
  absl::Duration calm = absl::Seconds(30);  // closed for so long: the next pause is the first again
  // Bytes that did not authenticate, so many within so long.
  int damages = 5;
  absl::Duration damage_memory = absl::Minutes(1);
  // Who throttles is waited for this long at least and at most, whatever Retry-After says: a
  // process may be frozen meanwhile.
  absl::Duration throttle_min = absl::Milliseconds(500);
  absl::Duration throttle_max = absl::Seconds(10);
  // Throttling without a success between counts as failure once it has lasted so long.
  absl::Duration throttle_persists = absl::Seconds(10);
};

enum class BreakerState { kClosed, kOpen, kHalfOpen };

// "closed", "open", "half open".
const char* BreakerStateName(BreakerState state);

class Breaker {
 public:
  explicit Breaker(const BreakerRules& rules) : rules_(rules) {}

  void Success(absl::Duration now);
  void Failure(absl::Duration now);
  // Opens at once.
  void Trip(absl::Duration now);
  // The answer asked us to come back in `retry_after` (zero: later).
  void Throttle(absl::Duration now, absl::Duration retry_after);
  // Its bytes were not what was stored there.
  void Damage(absl::Duration now);

  BreakerState State(absl::Duration now) const;
  // Half open: one try at a time is let through. False: another one is out.
  bool TakeProbe(absl::Duration now);
  // The probe ended and says nothing about the provider.
  void ForgetProbe() { probe_out_ = false; }
  bool probe_out() const { return probe_out_; }

  // When it is half open again: the earliest of several open ones is the least bad.
  absl::Duration retry_at() const { return retry_at_; }
  // Zero or how long it is still to be left alone by request.
  absl::Duration ThrottledFor(absl::Duration now) const;
  // The last opening; only while it is not closed.
  absl::Duration opened_at() const { return opened_at_; }
  int failures_in_row() const { return failures_; }

 private:
  const BreakerRules rules_;
  bool open_ = false;
  bool probe_out_ = false;
  int failures_ = 0;
  int damages_ = 0;
  absl::Duration pause_;  // of the last opening; zero: none lately
  absl::Duration retry_at_;
  absl::Duration opened_at_;
  absl::Duration closed_at_;
  absl::Duration damaged_at_ = -absl::InfiniteDuration();
  absl::Duration throttled_until_ = -absl::InfiniteDuration();
  absl::Duration throttled_since_ = absl::InfiniteDuration();  // without a success between
};

}  // namespace cedana::remote
