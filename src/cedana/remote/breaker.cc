#include "cedana/remote/breaker.h"

#include <algorithm>

namespace cedana::remote {

const char* BreakerStateName(BreakerState state) {
  switch (state) {
    case BreakerState::kClosed:
      return "closed";
    case BreakerState::kOpen:
      return "open";
    case BreakerState::kHalfOpen:
      return "half open";
  }
  return "";
}

void Breaker::Success(absl::Duration now) {
  failures_ = 0;
  probe_out_ = false;
  throttled_since_ = absl::InfiniteDuration();
  if (!open_) return;
  open_ = false;
  closed_at_ = now;
}

void Breaker::Failure(absl::Duration now) {
  ++failures_;
  const bool enough = !open_ && failures_ >= rules_.failures_in_row;
  if (enough || State(now) == BreakerState::kHalfOpen) Trip(now);
}

void Breaker::Trip(absl::Duration now) {
  // What was under way when it opened ends badly as well: that is not another opening.
  if (State(now) == BreakerState::kOpen) return;
  const bool calm = !open_ && now - closed_at_ >= rules_.calm;
  pause_ = pause_ == absl::ZeroDuration() || calm ? rules_.pause_first
                                                  : std::min(2 * pause_, rules_.pause_max);
  open_ = true;
  probe_out_ = false;
  retry_at_ = now + pause_;
  opened_at_ = now;
}

void Breaker::Throttle(absl::Duration now, absl::Duration retry_after) {
  throttled_until_ = std::max(
      throttled_until_, now + std::clamp(retry_after, rules_.throttle_min, rules_.throttle_max));
  throttled_since_ = std::min(throttled_since_, now);
  probe_out_ = false;
  if (now - throttled_since_ >= rules_.throttle_persists) Failure(now);
}

void Breaker::Damage(absl::Duration now) {
  if (now - damaged_at_ > rules_.damage_memory) damages_ = 0;
  damaged_at_ = now;
  if (++damages_ < rules_.damages) return;
  damages_ = 0;
  Trip(now);
}

BreakerState Breaker::State(absl::Duration now) const {
  if (!open_) return BreakerState::kClosed;
  return now < retry_at_ ? BreakerState::kOpen : BreakerState::kHalfOpen;
}

bool Breaker::TakeProbe(absl::Duration now) {
  if (State(now) != BreakerState::kHalfOpen || probe_out_) return false;
  probe_out_ = true;
  return true;
}

absl::Duration Breaker::ThrottledFor(absl::Duration now) const {
  return std::max(absl::ZeroDuration(), throttled_until_ - now);
}

}  // namespace cedana::remote
