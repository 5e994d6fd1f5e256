// When a failed call is made again (I6). Each path has one layer that uses it (the ports of
// cedana/remote and of cedana/direct); the layers above and below never try again.
//
//   Retry retry(policy, context, services);
//   while (true) {
//     absl::StatusOr<Answer> answer = Attempt(retry.AttemptContext());
//     if (answer.ok()) return answer;
//     CEDANA_RETURN_IF_ERROR(retry.Wait(answer.status(), /*repeat_is_safe=*/true));
//   }
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/context.h"
#include "core/base/random.h"
#include "core/base/status.h"

namespace cedana::base {

struct RetryPolicy {
  absl::Duration give_up_after = absl::Seconds(10);  // without any success
  absl::Duration backoff_first = absl::Milliseconds(100);
  absl::Duration backoff_max = absl::Seconds(2);
  // The give-up time cuts an attempt in the middle. Not for bulk data, where an attempt that makes
  // progress may take long; there the client's stall timeout ends one that does not.
  bool bounds_attempts = true;
  // So many attempts are made however long they took, unless the peer asks to be left alone for
  // longer. For bulk data: one that moved for longer than the give-up time and is cut then has its
  // repeat.
  int attempts_min = 1;
};

// Time and chance, injected (I7). Both outlive whoever holds this.
struct Services {
  Clock* clock = &SystemClock();
  Random* random = &SystemRandom();
};

// Question one: may a later try succeed? kUnavailable, kAborted, and kUnknown (the answer was
// lost). Question two, whether a repeat is safe, is the caller's to answer.
bool MayPass(const absl::Status& failure);

// One operation's attempts. Used by one thread.
class Retry {
 public:
  // `last_success`: when a neighbour of this operation last succeeded (Monotonic); moves the
  // give-up time. May be absent.
  Retry(const RetryPolicy& policy, const Context& context, const Services& services,
        std::function<absl::Duration()> last_success = nullptr);

  // To be asked for before each attempt.
  Context AttemptContext();

  // After a failed attempt. OK: waited, try again. Else the error for the caller: the failure
  // itself when a repeat cannot help or is not safe; the context's end; or kUnavailable with the
  // number of attempts when time is up.
  absl::Status Wait(const absl::Status& failure, bool repeat_is_safe);
  // The same for who has other things to do meanwhile: how long to wait before the next attempt.
  absl::StatusOr<absl::Duration> Plan(const absl::Status& failure, bool repeat_is_safe);

  int attempts() const { return attempts_; }

 private:
  absl::Duration GiveUpAt() const;
  absl::Duration Backoff();

  const RetryPolicy policy_;
  const Context context_;
  const Services services_;
  const std::function<absl::Duration()> last_success_;
  const absl::Duration started_;
  absl::Duration attempt_started_;
  int attempts_ = 0;
};

}  // namespace cedana::base
