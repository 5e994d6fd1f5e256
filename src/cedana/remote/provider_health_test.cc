#include "cedana/remote/provider_health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cedana/remote/testing/fake_clock.h"
#include "core/base/status.h"

namespace cedana::remote {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Readiness = ProviderHealth::Readiness;
using Transfer = std::unique_ptr<ProviderHealth::Transfer>;

constexpr uint64_t kPack = 32u << 20;
constexpr uint64_t kRange = 4u << 20;

class ProviderHealthTest : public testing::Test {
 protected:
  void Wait(absl::Duration duration) { clock_.Sleep(duration); }
  void Move(const std::string& provider, Direction direction, uint64_t bytes, absl::Duration took) {
    const Transfer transfer = health_.Begin(provider, direction, bytes);
    Wait(took);
    transfer->Progress(bytes);
    transfer->End(absl::OkStatus());
  }
  void Fail(const std::string& provider, const absl::Status& status, int times = 1) {
    for (int i = 0; i < times; ++i) health_.Begin(provider, Direction::kUpload, kPack)->End(status);
  }
  // Moves `bytes_per_s` for `time`, in steps. True: it lags at the end.
  bool Run(ProviderHealth::Transfer& transfer, uint64_t* moved, double bytes_per_s,
           absl::Duration time, ProviderHealth::Transfer* other = nullptr) {
    constexpr absl::Duration kStep = absl::Milliseconds(100);
    static uint64_t other_moved = 0;
    for (absl::Duration t; t < time; t += kStep) {
      Wait(kStep);
      *moved += static_cast<uint64_t>(bytes_per_s * absl::ToDoubleSeconds(kStep));
      transfer.Progress(*moved);
      if (other != nullptr) other->Progress(other_moved += 1000);
      if (transfer.Lagging()) return true;
    }
    return transfer.Lagging();
  }
  std::vector<std::string> OrderOf(const std::vector<std::string>& names,
                                   Direction direction = Direction::kUpload,
                                   uint64_t bytes = kPack) {
    std::vector<std::string> result;
    for (const auto& choice : health_.Order(names, direction, bytes)) {
      result.push_back(names[choice.index]);
    }
    return result;
  }
  Readiness ReadinessOf(const std::string& name) {
    return health_.Order(std::vector<std::string>{name}, Direction::kUpload, kPack)[0].readiness;
  }

  FakeClock clock_;
  ProviderHealth health_{&clock_};
  const absl::Status kDown = absl::UnavailableError("down");
};

// --- the breaker ---

TEST_F(ProviderHealthTest, FiveFailuresInARowOpen) {
  Fail("p", kDown, 4);
  EXPECT_EQ(ReadinessOf("p"), Readiness::kReady);
  Fail("p", kDown);
  EXPECT_EQ(ReadinessOf("p"), Readiness::kOpen);
}

TEST_F(ProviderHealthTest, WhatItsCallerCancelledSaysNothing) {
  Fail("p", absl::CancelledError("another was first"), 50);
  EXPECT_EQ(ReadinessOf("p"), Readiness::kReady);
  EXPECT_THAT(health_.TakeReports(), IsEmpty());
}

TEST_F(ProviderHealthTest, ThreeSecondsWithoutProgressLagAndOpen) {
  const Transfer transfer = health_.Begin("p", Direction::kUpload, kPack);
  transfer->Progress(100);
  Wait(absl::Seconds(3) - absl::Milliseconds(1));
  EXPECT_FALSE(transfer->Lagging());
  EXPECT_EQ(ReadinessOf("p"), Readiness::kReady);
  Wait(absl::Milliseconds(1));
  EXPECT_TRUE(transfer->Lagging());
  EXPECT_EQ(ReadinessOf("p"), Readiness::kOpen);
  transfer->Progress(200);
  EXPECT_TRUE(transfer->Lagging());  // once sent elsewhere it stays so
}

TEST_F(ProviderHealthTest, SteadyProgressIsNoLagHoweverSlowWhereNobodyIsFaster) {
  const Transfer transfer = health_.Begin("p", Direction::kUpload, kPack);
  uint64_t moved = 0;
  EXPECT_FALSE(Run(*transfer, &moved, 1000, absl::Minutes(5)));
}

TEST_F(ProviderHealthTest, WhatIsUnderWayWhenTheBreakerOpensLags) {
  const Transfer before = health_.Begin("p", Direction::kUpload, kPack);
  Fail("p", kDown, 4);
  before->Progress(100);
  EXPECT_FALSE(before->Lagging());
  Fail("p", kDown, 1);
  EXPECT_TRUE(before->Lagging());
  // Sent there all the same, because all others are open as well.
  Wait(absl::Milliseconds(100));
  const Transfer after = health_.Begin("p", Direction::kUpload, kPack);
  EXPECT_FALSE(after->Lagging());
}

TEST_F(ProviderHealthTest, OneHungTransferAmongMovingOnesLagsAloneAndOpensNothing) {
  const Transfer hung = health_.Begin("p", Direction::kUpload, kPack);
  const Transfer moving = health_.Begin("p", Direction::kUpload, kPack);
  uint64_t moved = 0;
  EXPECT_FALSE(Run(*moving, &moved, 1e6, absl::Seconds(4)));
  EXPECT_TRUE(hung->Lagging());
  EXPECT_EQ(ReadinessOf("p"), Readiness::kReady);
}

TEST_F(ProviderHealthTest, ATenthOfItsOwnEarlierRateLagsWhileAnotherProgresses) {
  Move("p", Direction::kUpload, kPack, absl::Seconds(1));  // 32 MiB/s
  const Transfer other = health_.Begin("q", Direction::kUpload, kPack);
  const Transfer fine = health_.Begin("p", Direction::kUpload, kPack);
  uint64_t moved = 0;
  EXPECT_FALSE(Run(*fine, &moved, 4e6, absl::Seconds(6), other.get()));
  fine->End(absl::CancelledError(""));
  const Transfer slow = health_.Begin("p", Direction::kUpload, kPack);
  moved = 0;
  EXPECT_FALSE(Run(*slow, &moved, 2e6, absl::Seconds(2), other.get()));
  EXPECT_TRUE(Run(*slow, &moved, 2e6, absl::Seconds(2), other.get()));
  EXPECT_EQ(ReadinessOf("p"), Readiness::kOpen);
}

TEST_F(ProviderHealthTest, ASlowProviderIsKeptWhileNoOtherProgresses) {
  Move("p", Direction::kUpload, kPack, absl::Seconds(1));
  Move("q", Direction::kUpload, kPack, absl::Seconds(1));
  Wait(absl::Seconds(10));
  const Transfer slow = health_.Begin("p", Direction::kUpload, kPack);
  uint64_t moved = 0;
  EXPECT_FALSE(Run(*slow, &moved, 1e5, absl::Seconds(10)));  // the own network may be the slow part
}

TEST_F(ProviderHealthTest, FastAtFirstAndThenSlowIsSlow) {
  Move("p", Direction::kUpload, kPack, absl::Seconds(1));
  const Transfer other = health_.Begin("q", Direction::kUpload, kPack);
  const Transfer slow = health_.Begin("p", Direction::kUpload, kPack);
  uint64_t moved = 0;
  EXPECT_FALSE(Run(*slow, &moved, 2e7, absl::Seconds(1), other.get()));  // buffers on the way
  EXPECT_TRUE(Run(*slow, &moved, 1e5, absl::Seconds(4), other.get()));
}

TEST_F(ProviderHealthTest, AProviderNeverMeasuredIsSlowWhereAnotherIsTenTimesFaster) {
  Move("q", Direction::kUpload, kPack, absl::Seconds(1));
  const Transfer other = health_.Begin("q", Direction::kUpload, kPack);
  uint64_t moved = 0;
  const Transfer slow = health_.Begin("p", Direction::kUpload, kPack);
  EXPECT_TRUE(Run(*slow, &moved, 1e5, absl::Seconds(4), other.get()));
  // A provider of another continent, not a broken one.
  const Transfer far = health_.Begin("r", Direction::kUpload, kPack);
  moved = 0;
  EXPECT_FALSE(Run(*far, &moved, 1.5e6, absl::Seconds(10), other.get()));
}

TEST_F(ProviderHealthTest, AProbeLagsSoonAndReopensForLonger) {
  Fail("p", kDown, 5);
  Wait(absl::Seconds(1));
  EXPECT_EQ(ReadinessOf("p"), Readiness::kReady);
  const Transfer probe = health_.Begin("p", Direction::kUpload, kPack);
  EXPECT_EQ(ReadinessOf("p"), Readiness::kOpen);  // one is out
  Wait(absl::Milliseconds(499));
  EXPECT_FALSE(probe->Lagging());
  Wait(absl::Milliseconds(1));
  EXPECT_TRUE(probe->Lagging());
  Wait(absl::Milliseconds(1999));
  EXPECT_EQ(ReadinessOf("p"), Readiness::kOpen);
  Wait(absl::Milliseconds(1));
  EXPECT_EQ(ReadinessOf("p"), Readiness::kReady);
}

TEST_F(ProviderHealthTest, AProbeHasTwiceTheUsualTime) {
  for (int i = 0; i < 3; ++i) Move("p", Direction::kUpload, kPack, absl::Seconds(1));
  Fail("p", kDown, 5);
  Wait(absl::Seconds(1));
  const Transfer probe = health_.Begin("p", Direction::kUpload, kPack);
  Wait(absl::Milliseconds(1999));
  EXPECT_FALSE(probe->Lagging());
  Wait(absl::Milliseconds(1));
  EXPECT_TRUE(probe->Lagging());
}

TEST_F(ProviderHealthTest, WhatASlowProviderTookBeforeDoesNotLengthenItsProbes) {
  for (int i = 0; i < 3; ++i) Move("fast", Direction::kUpload, kPack, absl::Milliseconds(400));
  // It was slow from the start, each try outrun by another provider.
  for (int i = 0; i < 3; ++i) {
    const Transfer outrun = health_.Begin("slow", Direction::kUpload, kPack);
    Wait(absl::Seconds(3));
    EXPECT_TRUE(outrun->Lagging());
    outrun->End(absl::CancelledError("another reply was first"));
    Wait(absl::Seconds(30));
  }
  const Transfer probe = health_.Begin("slow", Direction::kUpload, kPack);
  Wait(absl::Milliseconds(799));
  EXPECT_FALSE(probe->Lagging());
  Wait(absl::Milliseconds(1));
  EXPECT_TRUE(probe->Lagging());
}

TEST_F(ProviderHealthTest, AProbeThatSucceedsClosesAndOneThatIsDroppedMayBeRepeated) {
  Fail("p", kDown, 5);
  Wait(absl::Seconds(1));
  health_.Begin("p", Direction::kUpload, kPack).reset();
  EXPECT_EQ(ReadinessOf("p"), Readiness::kReady);
  Move("p", Direction::kUpload, kPack, absl::Milliseconds(100));
  Fail("p", kDown, 4);
  EXPECT_EQ(ReadinessOf("p"), Readiness::kReady);
}

TEST_F(ProviderHealthTest, ASuccessThatLaggedDoesNotClose) {
  const Transfer transfer = health_.Begin("p", Direction::kUpload, kPack);
  Wait(absl::Seconds(3));
  ASSERT_TRUE(transfer->Lagging());
  transfer->Progress(kPack);
  transfer->End(absl::OkStatus());
  EXPECT_EQ(ReadinessOf("p"), Readiness::kOpen);
}

TEST_F(ProviderHealthTest, ThrottlingPutsAProviderBackButOpensNothing) {
  Fail("p", base::WithRetryAfter(kDown, absl::Seconds(2)), 10);
  EXPECT_EQ(ReadinessOf("p"), Readiness::kThrottled);
  EXPECT_EQ(health_.ThrottledFor("p"), absl::Seconds(2));
  EXPECT_THAT(OrderOf({"p", "q"}), ElementsAre("q", "p"));
  Wait(absl::Seconds(2));
  EXPECT_EQ(ReadinessOf("p"), Readiness::kReady);
}

TEST_F(ProviderHealthTest, LyingProvidersAreLeftAlone) {
  for (int i = 0; i < 5; ++i) {
    Move("p", Direction::kRead, kRange, absl::Milliseconds(5));
    health_.Damaged("p", absl::DataLossError("block 7"));
  }
  EXPECT_EQ(ReadinessOf("p"), Readiness::kOpen);
}

// --- the order ---

TEST_F(ProviderHealthTest, WithoutMeasurementsTheGivenOrderStays) {
  EXPECT_THAT(OrderOf({"c", "a", "b"}), ElementsAre("c", "a", "b"));
}

TEST_F(ProviderHealthTest, TheLeastBadOfOpenOnesIsFirst) {
  Fail("p", kDown, 5);
  Wait(absl::Milliseconds(100));
  Fail("q", kDown, 5);
  EXPECT_THAT(OrderOf({"q", "p"}), ElementsAre("p", "q"));
  EXPECT_THAT(OrderOf({"q", "p", "r"}), ElementsAre("r", "p", "q"));
}

TEST_F(ProviderHealthTest, ThrottledOnesComeBeforeOpenOnes) {
  Fail("p", kDown, 5);
  Fail("q", base::WithRetryAfter(kDown, absl::Seconds(5)));
  Fail("r", base::WithRetryAfter(kDown, absl::Seconds(2)));
  EXPECT_THAT(OrderOf({"p", "q", "r", "s"}), ElementsAre("s", "r", "q", "p"));
}

TEST_F(ProviderHealthTest, ClearlyFasterOnesGoFirstBySizeAndDirection) {
  for (int i = 0; i < 3; ++i) {
    Move("slow", Direction::kRead, kRange, absl::Milliseconds(120));
    Move("fast", Direction::kRead, kRange, absl::Milliseconds(5));
    Move("close", Direction::kRead, kRange, absl::Milliseconds(4));
  }
  EXPECT_THAT(OrderOf({"slow", "fast", "close"}, Direction::kRead, kRange),
              ElementsAre("fast", "close", "slow"));
  // What was measured of other transfers decides where nothing else is known, and only there.
  EXPECT_THAT(OrderOf({"slow", "fast"}, Direction::kRead, 1000), ElementsAre("fast", "slow"));
  EXPECT_THAT(OrderOf({"slow", "fast"}, Direction::kUpload, kRange), ElementsAre("fast", "slow"));
  for (int i = 0; i < 3; ++i) {
    Move("slow", Direction::kUpload, kRange, absl::Milliseconds(5));
    Move("fast", Direction::kUpload, kRange, absl::Milliseconds(5));
  }
  EXPECT_THAT(OrderOf({"slow", "fast"}, Direction::kUpload, kRange), ElementsAre("slow", "fast"));
  EXPECT_THAT(OrderOf({"slow", "fast"}, Direction::kUpload, 1000), ElementsAre("slow", "fast"));
  EXPECT_THAT(OrderOf({"slow", "fast"}, Direction::kRead, kRange), ElementsAre("fast", "slow"));
}

TEST_F(ProviderHealthTest, OneThatLosesAgainstEveryHedgeGoesLast) {
  for (int i = 0; i < 3; ++i) {
    Move("fast", Direction::kRead, kRange, absl::Milliseconds(20));
    auto creeping = health_.Begin("creeping", Direction::kRead, kRange);
    Wait(absl::Milliseconds(1500));
    creeping->Progress(1000);
    creeping->End(absl::CancelledError("another answer was first"));
    // Dropped at once, for other reasons: says nothing.
    health_.Begin("unknown", Direction::kRead, kRange)->End(absl::CancelledError("ended"));
  }
  EXPECT_THAT(OrderOf({"creeping", "fast", "unknown"}, Direction::kRead, kRange),
              ElementsAre("fast", "creeping", "unknown"));
}

TEST_F(ProviderHealthTest, AFewSlowAnswersDoNotTurnTheOrder) {
  for (int i = 0; i < 20; ++i) {
    Move("fast", Direction::kRead, kRange, absl::Milliseconds(i % 5 == 0 ? 2000 : 5));
    Move("slow", Direction::kRead, kRange, absl::Milliseconds(40));
  }
  EXPECT_THAT(OrderOf({"slow", "fast"}, Direction::kRead, kRange), ElementsAre("fast", "slow"));
}

TEST_F(ProviderHealthTest, OldMeasurementsNoLongerDecide) {
  for (int i = 0; i < 3; ++i) {
    Move("slow", Direction::kRead, kRange, absl::Milliseconds(120));
    Move("fast", Direction::kRead, kRange, absl::Milliseconds(5));
  }
  Wait(absl::Minutes(3));
  EXPECT_THAT(OrderOf({"slow", "fast"}, Direction::kRead, kRange), ElementsAre("slow", "fast"));
}

TEST_F(ProviderHealthTest, ACancelledTransferCountsAsAtLeastAsSlow) {
  for (int i = 0; i < 3; ++i) {
    Move("p", Direction::kUpload, kPack, absl::Seconds(1));
    Move("q", Direction::kUpload, kPack, absl::Seconds(2));
  }
  for (int i = 0; i < 16; ++i) {
    const Transfer transfer = health_.Begin("p", Direction::kUpload, kPack);
    Wait(absl::Seconds(4));
    transfer->End(absl::CancelledError("another was first"));
    Move("q", Direction::kUpload, kPack, absl::Seconds(2));
  }
  EXPECT_THAT(OrderOf({"p", "q"}), ElementsAre("q", "p"));
}

// --- hedging ---

TEST_F(ProviderHealthTest, HedgesAfterP95OrTwiceTheMedian) {
  EXPECT_EQ(health_.HedgeAfter("p", 16 << 20), absl::Seconds(2));  // not measured yet
  for (int i = 0; i < 20; ++i) Move("p", Direction::kRead, kRange, absl::Milliseconds(10));
  EXPECT_EQ(health_.HedgeAfter("p", kRange), absl::Milliseconds(20));
  EXPECT_GT(health_.HedgeAfter("p", 1000), absl::Milliseconds(900));  // another size class
  for (int i = 0; i < 3; ++i) Move("p", Direction::kRead, kRange, absl::Milliseconds(70));
  EXPECT_EQ(health_.HedgeAfter("p", kRange), absl::Milliseconds(70));
}

TEST_F(ProviderHealthTest, HedgesAreFivePercentOfTheReadsAndABurstOfEight) {
  int hedges = 0;
  while (health_.TakeHedge()) ++hedges;
  EXPECT_EQ(hedges, 8);
  for (int i = 0; i < 1000; ++i) {
    health_.CountRead();
    if (health_.TakeHedge()) ++hedges;
  }
  EXPECT_LE(hedges, 58);
  EXPECT_GE(hedges, 57);
  for (int i = 0; i < 1000; ++i) health_.CountRead();
  hedges = 0;
  while (health_.TakeHedge()) ++hedges;
  EXPECT_EQ(hedges, 8);
}

TEST_F(ProviderHealthTest, NoHedgesWhileAProviderThrottles) {
  Fail("p", base::WithRetryAfter(kDown, absl::Seconds(2)));
  EXPECT_FALSE(health_.TakeHedge());
  Wait(absl::Seconds(2));
  EXPECT_TRUE(health_.TakeHedge());
}

// --- what is told ---

TEST_F(ProviderHealthTest, ReportsSayWhatHappenedSinceTheLastOne) {
  Move("p", Direction::kUpload, kPack, absl::Seconds(1));
  Fail("q", absl::UnavailableError(std::string(1000, 'x')), 2);
  std::vector<ProviderReport> reports = health_.TakeReports();
  ASSERT_THAT(reports, SizeIs(2));
  EXPECT_EQ(reports[0].provider, "p");
  EXPECT_EQ(reports[0].ok, 1);
  EXPECT_EQ(reports[0].last_error, "");
  EXPECT_NEAR(reports[0].bytes_per_s, kPack, 1000);
  EXPECT_EQ(reports[1].failed, 2);
  EXPECT_EQ(reports[1].last_error, std::string(200, 'x'));
  EXPECT_THAT(health_.TakeReports(), IsEmpty());
}

TEST_F(ProviderHealthTest, AnOpenBreakerIsToldEachTimeAndItsEndOnce) {
  Fail("q", kDown, 5);
  std::vector<ProviderReport> reports = health_.TakeReports();
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_EQ(reports[0].breaker, BreakerState::kOpen);
  reports = health_.TakeReports();  // nothing more was tried there
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_EQ(reports[0].breaker, BreakerState::kOpen);
  EXPECT_EQ(reports[0].failed, 0);
  Wait(absl::Seconds(1));
  EXPECT_EQ(health_.TakeReports().at(0).breaker, BreakerState::kHalfOpen);
  Move("q", Direction::kUpload, kPack, absl::Milliseconds(100));
  EXPECT_EQ(health_.TakeReports().at(0).breaker, BreakerState::kClosed);
  EXPECT_THAT(health_.TakeReports(), IsEmpty());
}

TEST_F(ProviderHealthTest, ReportsTellTheTimeUntilTheFirstByte) {
  const Transfer transfer = health_.Begin("p", Direction::kRead, kRange);
  Wait(absl::Milliseconds(40));
  transfer->Answered();
  Wait(absl::Milliseconds(60));
  transfer->Progress(kRange);
  transfer->End(absl::OkStatus());
  const std::vector<ProviderReport> reports = health_.TakeReports();
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_EQ(reports[0].latency, absl::Milliseconds(40));
  EXPECT_NEAR(reports[0].bytes_per_s, kRange * 10.0, 1000);
}

}  // namespace
}  // namespace cedana::remote
