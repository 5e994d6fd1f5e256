#include "core/base/retry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cedana::base {
namespace {

using testing::HasSubstr;

constexpr RetryPolicy kFast{.give_up_after = absl::Milliseconds(200),
                            .backoff_first = absl::Milliseconds(10),
                            .backoff_max = absl::Milliseconds(40)};

const absl::Status kDown = absl::UnavailableError("down");

TEST(Retry, GoesOnWhileTimeIsLeftAndSaysHowOftenItTried) {
  Retry retry(kFast, {}, {});
  const absl::Duration start = SystemClock().Monotonic();
  absl::Status status;
  while (status.ok()) {
    (void)retry.AttemptContext();
    status = retry.Wait(kDown, true);
  }
  const absl::Duration took = SystemClock().Monotonic() - start;
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("down (gave up after "));
  EXPECT_GE(retry.attempts(), 4);
  EXPECT_GE(took, absl::Milliseconds(120));
  EXPECT_LE(took, absl::Seconds(2));
}

TEST(Retry, AsksWhetherTheFailureMayPassAndWhetherARepeatIsSafe) {
  for (const absl::Status& failure : {absl::UnavailableError("x"), absl::UnknownError("x")}) {
    Retry retry(kFast, {}, {});
    (void)retry.AttemptContext();
    EXPECT_TRUE(retry.Wait(failure, true).ok());
    EXPECT_EQ(retry.Wait(failure, false), failure);
  }
  for (const absl::Status& failure :
       {absl::NotFoundError("x"), absl::PermissionDeniedError("x"), absl::InternalError("x"),
        absl::ResourceExhaustedError("x"), absl::DataLossError("x")}) {
    Retry retry(kFast, {}, {});
    (void)retry.AttemptContext();
    EXPECT_EQ(retry.Wait(failure, true), failure);
  }
}

TEST(Retry, HonoursRetryAfterAndGivesUpWhereItIsTooLong) {
  EXPECT_EQ(RetryAfter(WithRetryAfter(kDown, absl::Seconds(7))), absl::Seconds(7));
  EXPECT_EQ(RetryAfter(kDown), absl::ZeroDuration());
  Retry retry(kFast, {}, {});
  (void)retry.AttemptContext();
  const absl::Duration start = SystemClock().Monotonic();
  EXPECT_TRUE(retry.Wait(WithRetryAfter(kDown, absl::Milliseconds(100)), true).ok());
  EXPECT_GE(SystemClock().Monotonic() - start, absl::Milliseconds(100));
  (void)retry.AttemptContext();
  EXPECT_TRUE(absl::IsUnavailable(retry.Wait(WithRetryAfter(kDown, absl::Seconds(60)), true)));
  EXPECT_LE(SystemClock().Monotonic() - start, absl::Seconds(2));
}

TEST(Retry, EndsWithTheCallersContext) {
  Retry late(kFast, Context{.deadline = absl::InfinitePast()}, {});
  EXPECT_TRUE(absl::IsDeadlineExceeded(late.Wait(kDown, true)));
  Context context{.cancel = std::make_shared<CancelSource>()};
  Retry cancelled(kFast, context, {});
  context.cancel->Cancel(absl::CancelledError("stop"));
  const absl::Status status = cancelled.Wait(kDown, true);
  EXPECT_TRUE(absl::IsCancelled(status));
  EXPECT_EQ(status.message(), "stop (down)");
}

TEST(Retry, BoundsAttemptsByTheGiveUpTime) {
  Retry retry(kFast, {}, {});
  const Context context = retry.AttemptContext();
  EXPECT_LE(context.Remaining(), kFast.give_up_after);
  // An attempt that used it up is the last one.
  EXPECT_TRUE(absl::IsUnavailable(retry.Wait(absl::DeadlineExceededError("slow"), true)));
  RetryPolicy bulk = kFast;
  bulk.bounds_attempts = false;
  EXPECT_EQ(Retry(bulk, {}, {}).AttemptContext().Remaining(), absl::InfiniteDuration());
}

TEST(Retry, AnAttemptThatMovedForLongHasItsRepeat) {
  RetryPolicy bulk = kFast;
  bulk.bounds_attempts = false;
  bulk.attempts_min = 2;
  Retry retry(bulk, {}, {});
  (void)retry.AttemptContext();
  SystemClock().Sleep(bulk.give_up_after);
  EXPECT_TRUE(retry.Wait(kDown, true).ok());
  (void)retry.AttemptContext();
  EXPECT_TRUE(absl::IsUnavailable(retry.Wait(kDown, true)));
  // Who asks to be left alone for longer is not waited for.
  Retry told(bulk, {}, {});
  (void)told.AttemptContext();
  EXPECT_TRUE(absl::IsUnavailable(told.Wait(WithRetryAfter(kDown, absl::Seconds(60)), true)));
}

TEST(Retry, ANeighboursSuccessMovesTheEnd) {
  RetryPolicy policy = kFast;
  policy.give_up_after = absl::Milliseconds(30);
  absl::Duration last_success = SystemClock().Monotonic();
  Retry retry(policy, {}, {}, [&] { return last_success; });
  for (int i = 0; i < 10; ++i) {
    (void)retry.AttemptContext();
    last_success = SystemClock().Monotonic() + absl::Seconds(1);
    EXPECT_TRUE(retry.Wait(kDown, true).ok()) << i;
  }
}

}  // namespace
}  // namespace cedana::base
