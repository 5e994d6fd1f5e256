#include "cedana/remote/breaker.h"

#include <gtest/gtest.h>

namespace cedana::remote {
namespace {

constexpr absl::Duration kStart = absl::Hours(1);

class BreakerTest : public testing::Test {
 protected:
  void FailTimes(int times) {
    for (int i = 0; i < times; ++i) breaker_.Failure(now_);
  }
  BreakerState State() const { return breaker_.State(now_); }

  absl::Duration now_ = kStart;
  const BreakerRules rules_;
  Breaker breaker_{rules_};
};

TEST_F(BreakerTest, OpensAfterFiveFailuresInARow) {
  FailTimes(4);
  EXPECT_EQ(State(), BreakerState::kClosed);
  breaker_.Success(now_);
  FailTimes(4);
  EXPECT_EQ(State(), BreakerState::kClosed);
  FailTimes(1);
  EXPECT_EQ(State(), BreakerState::kOpen);
}

TEST_F(BreakerTest, IsHalfOpenAfterThePauseAndLetsOneTryThrough) {
  FailTimes(5);
  EXPECT_FALSE(breaker_.TakeProbe(now_));
  now_ += rules_.pause_first - absl::Milliseconds(1);
  EXPECT_EQ(State(), BreakerState::kOpen);
  now_ += absl::Milliseconds(1);
  EXPECT_EQ(State(), BreakerState::kHalfOpen);
  EXPECT_TRUE(breaker_.TakeProbe(now_));
  EXPECT_FALSE(breaker_.TakeProbe(now_));
  breaker_.ForgetProbe();
  EXPECT_TRUE(breaker_.TakeProbe(now_));
  breaker_.Success(now_);
  EXPECT_EQ(State(), BreakerState::kClosed);
  EXPECT_FALSE(breaker_.TakeProbe(now_));
}

TEST_F(BreakerTest, EveryFailedProbeDoublesThePauseUpToItsBound) {
  FailTimes(5);
  absl::Duration expected = rules_.pause_first;
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(breaker_.retry_at() - now_, expected);
    now_ = breaker_.retry_at();
    ASSERT_TRUE(breaker_.TakeProbe(now_));
    breaker_.Failure(now_);
    EXPECT_EQ(State(), BreakerState::kOpen);
    expected = std::min(2 * expected, rules_.pause_max);
  }
  EXPECT_EQ(expected, rules_.pause_max);
}

TEST_F(BreakerTest, ThePauseStartsAnewOnlyAfterACalmTime) {
  FailTimes(5);
  now_ = breaker_.retry_at();
  breaker_.Success(now_);
  now_ += absl::Seconds(5);
  FailTimes(5);
  EXPECT_EQ(breaker_.retry_at() - now_, 2 * rules_.pause_first);
  now_ = breaker_.retry_at();
  breaker_.Success(now_);
  now_ += rules_.calm;
  FailTimes(5);
  EXPECT_EQ(breaker_.retry_at() - now_, rules_.pause_first);
}

TEST_F(BreakerTest, WhatEndsBadlyWhileOpenIsNotAnotherOpening) {
  breaker_.Trip(now_);
  const absl::Duration retry_at = breaker_.retry_at();
  FailTimes(20);
  breaker_.Trip(now_);
  EXPECT_EQ(breaker_.retry_at(), retry_at);
}

TEST_F(BreakerTest, ThrottlingIsNoFailureUntilItPersists) {
  for (int i = 0; i < 20; ++i) {
    breaker_.Throttle(now_, absl::Seconds(2));
    EXPECT_EQ(breaker_.ThrottledFor(now_), absl::Seconds(2));
    now_ += rules_.throttle_persists / 21;
  }
  EXPECT_EQ(State(), BreakerState::kClosed);
  EXPECT_EQ(breaker_.failures_in_row(), 0);
  now_ += absl::Seconds(1);
  for (int i = 0; i < 5; ++i) breaker_.Throttle(now_, absl::Seconds(2));
  EXPECT_EQ(State(), BreakerState::kOpen);
}

TEST_F(BreakerTest, ASuccessEndsThePersistence) {
  breaker_.Throttle(now_, absl::Seconds(1));
  now_ += rules_.throttle_persists;
  breaker_.Success(now_);
  for (int i = 0; i < 20; ++i) breaker_.Throttle(now_, absl::Seconds(1));
  EXPECT_EQ(State(), BreakerState::kClosed);
}

TEST_F(BreakerTest, WaitsForWhoThrottlesWithinBounds) {
  breaker_.Throttle(now_, absl::ZeroDuration());
  EXPECT_EQ(breaker_.ThrottledFor(now_), rules_.throttle_min);
  breaker_.Throttle(now_, absl::Hours(1));
  EXPECT_EQ(breaker_.ThrottledFor(now_), rules_.throttle_max);
  now_ += absl::Hours(1);
  EXPECT_EQ(breaker_.ThrottledFor(now_), absl::ZeroDuration());
}

TEST_F(BreakerTest, OpensAfterRepeatedDamageThoughEveryAnswerIsASuccess) {
  for (int i = 0; i < rules_.damages; ++i) {
    EXPECT_EQ(State(), BreakerState::kClosed);
    breaker_.Success(now_);
    breaker_.Damage(now_);
  }
  EXPECT_EQ(State(), BreakerState::kOpen);
}

TEST_F(BreakerTest, OldDamageIsForgotten) {
  for (int i = 0; i < 3 * rules_.damages; ++i) {
    breaker_.Damage(now_);
    now_ += rules_.damage_memory + absl::Seconds(1);
  }
  EXPECT_EQ(State(), BreakerState::kClosed);
}

}  // namespace
}  // namespace cedana::remote
