#include "core/base/retry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::base {

bool MayPass(const absl::Status& failure) {
  return IsTransient(failure) || failure.code() == absl::StatusCode::kUnknown;
}

Retry::Retry(const RetryPolicy& policy, const Context& context, const Services& services,
             std::function<absl::Duration()> last_success)
    : policy_(policy),
      context_(context),
      services_(services),
      last_success_(std::move(last_success)),
      started_(services.clock->Monotonic()),
      attempt_started_(started_) {}

absl::Duration Retry::GiveUpAt() const {
  const absl::Duration from = last_success_ ? std::max(started_, last_success_()) : started_;
  return from + policy_.give_up_after;
}

Context Retry::AttemptContext() {
  attempt_started_ = services_.clock->Monotonic();
  ++attempts_;
  if (!policy_.bounds_attempts) return context_;
  return context_.WithTimeout(GiveUpAt() - attempt_started_);
}

// Doubling, and drawn from the upper half, so that many clients do not come back at once.
absl::Duration Retry::Backoff() {
  const int doublings = std::min(attempts_ - 1, 16);
  const absl::Duration full =
      std::min(policy_.backoff_max, policy_.backoff_first * (int64_t{1} << doublings));
  const int64_t half_us = std::max<int64_t>(1, absl::ToInt64Microseconds(full) / 2);
  return absl::Microseconds(
      half_us + static_cast<int64_t>(services_.random->Below(static_cast<uint64_t>(half_us))));
}

absl::Status Retry::Wait(const absl::Status& failure, bool repeat_is_safe) {
  CEDANA_ASSIGN_OR_RETURN(const absl::Duration wait, Plan(failure, repeat_is_safe));
  return context_.Sleep(wait);
}

absl::StatusOr<absl::Duration> Retry::Plan(const absl::Status& failure, bool repeat_is_safe) {
  if (const absl::Status ended = context_.Check(); !ended.ok()) {
    return absl::Status(ended.code(), absl::StrCat(ended.message(), " (", failure.message(), ")"));
  }
  // The attempt's own deadline, not the caller's: time is up.
  const bool cut = policy_.bounds_attempts && absl::IsDeadlineExceeded(failure);
  if (!cut && (!repeat_is_safe || !MayPass(failure))) return failure;

  const absl::Duration now = services_.clock->Monotonic();
  const absl::Duration wait = std::max(Backoff(), RetryAfter(failure));
  // The next attempt is taken to last as long as this one did, so that a peer that takes requests
  // and answers none is given up in time; one repeat is granted all the same.
  const absl::Duration next_end =
      now + wait + (attempts_ > 1 ? now - attempt_started_ : absl::ZeroDuration());
  const bool owed = attempts_ < policy_.attempts_min && wait < policy_.give_up_after;
  if (cut || (!owed && next_end >= GiveUpAt())) {
    return absl::UnavailableError(absl::StrCat(
        failure.message(), " (gave up after ", attempts_, " attempt", attempts_ == 1 ? "" : "s",
        " in ", absl::FormatDuration(absl::Trunc(now - started_, absl::Milliseconds(100))), ")"));
  }
  return wait;
}

}  // namespace cedana::base
