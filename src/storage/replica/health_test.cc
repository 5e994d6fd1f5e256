// What the service believes of its providers, and for how long.
#include "storage/replica/health.h"

#include <gtest/gtest.h>

#include "core/base/ids.h"
#include "core/base/status.h"
#include "storage/metadata/testing/fake_catalog.h"

namespace cedana::replica {
namespace {

class HealthTest : public ::testing::Test {
 protected:
  void Probe(const std::string& provider, const absl::Status& status,
             absl::Duration latency = absl::Milliseconds(5)) {
    board_.RecordProbe(provider, status, latency);
  }
  metadata::FakeClock clock_;
  HealthBoard board_{&clock_};
};

TEST_F(HealthTest, ThreeFailuresDarkenAndTwoSuccessesBringBack) {
  const absl::Status dark = absl::UnavailableError("no route");
  EXPECT_TRUE(board_.Healthy("a"));
  Probe("a", dark);
  Probe("a", dark);
  Probe("a", absl::OkStatus());
  Probe("a", dark);
  Probe("a", dark);
  EXPECT_TRUE(board_.Healthy("a"));
  Probe("a", dark);
  EXPECT_FALSE(board_.Healthy("a"));
  EXPECT_EQ(board_.Of("a").last_error, "no route");
  Probe("a", absl::OkStatus());
  EXPECT_FALSE(board_.Healthy("a"));
  board_.Record("a", absl::AlreadyExistsError("an answer"));
  EXPECT_TRUE(board_.Healthy("a"));
  EXPECT_EQ(board_.Of("a").last_error, "");
  // What was our own doing, or one bad object, says nothing.
  for (int i = 0; i < 5; ++i) board_.Record("a", absl::CancelledError(""));
  for (int i = 0; i < 5; ++i) board_.Record("a", absl::DataLossError(""));
  EXPECT_TRUE(board_.Healthy("a"));
}

TEST_F(HealthTest, AFullProviderIsWrittenToLastForAWhile) {
  const base::OrgId org;
  Probe("a", absl::OkStatus());
  Probe("b", absl::OkStatus(), absl::Milliseconds(100));
  EXPECT_LT(board_.Rank(org, "a", true), board_.Rank(org, "b", true));
  board_.RecordWrite("a", absl::ResourceExhaustedError("full"));
  EXPECT_GT(board_.Rank(org, "a", true), board_.Rank(org, "b", true));
  EXPECT_LT(board_.Rank(org, "a", false), board_.Rank(org, "b", false));
  EXPECT_TRUE(board_.Of("a").full);
  clock_.Advance(absl::Minutes(1));
  EXPECT_LT(board_.Rank(org, "a", true), board_.Rank(org, "b", true));
}

TEST_F(HealthTest, WhoAsksToSlowDownIsAliveAndLeftAlone) {
  const base::OrgId org;
  const auto slow_down = [](absl::Duration after) {
    return base::WithRetryAfter(absl::UnavailableError("SlowDown"), after);
  };
  Probe("a", absl::OkStatus());
  Probe("b", absl::OkStatus());
  for (int i = 0; i < 5; ++i) board_.Record("a", slow_down(absl::Seconds(30)));
  EXPECT_TRUE(board_.Healthy("a"));
  EXPECT_FALSE(board_.Ready("a"));
  EXPECT_EQ(board_.Of("a").throttled, absl::Seconds(30));
  EXPECT_EQ(board_.Of("a").last_error, "SlowDown");
  for (const bool writing : {false, true}) {
    EXPECT_GT(board_.Rank(org, "a", writing), board_.Rank(org, "b", writing));
  }
  // A later word does not shorten it.
  board_.Record("a", slow_down(absl::Milliseconds(100)));
  clock_.Advance(absl::Seconds(29));
  EXPECT_FALSE(board_.Ready("a"));
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(board_.Ready("a"));
  EXPECT_EQ(board_.Rank(org, "a", true), board_.Rank(org, "b", true));
  // Failures in a row are counted past it.
  const absl::Status dark = absl::UnavailableError("no route");
  for (int i = 0; i < 2; ++i) Probe("a", dark);
  board_.Record("a", slow_down(absl::Seconds(1)));
  Probe("a", dark);
  EXPECT_FALSE(board_.Healthy("a"));
}

TEST_F(HealthTest, AClientsHintsOrderForItsOrganisationOnly) {
  const base::OrgId mine = base::DrawId<base::OrgId>(base::SystemRandom());
  const base::OrgId other = base::DrawId<base::OrgId>(base::SystemRandom());
  for (const char* name : {"a", "b"}) Probe(name, absl::OkStatus());
  board_.Hint(mine, "a", {.ok = 1, .failed = 9});
  board_.Hint(mine, "nobody", {.ok = 1, .failed = 9});
  EXPECT_GT(board_.Rank(mine, "a", true), board_.Rank(mine, "b", true));
  EXPECT_EQ(board_.Rank(other, "a", true), board_.Rank(other, "b", true));
  EXPECT_TRUE(board_.Healthy("a"));  // a hint, no verdict
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(board_.Rank(mine, "a", true), board_.Rank(mine, "b", true));
  board_.Hint(mine, "b", {.ok = 10, .latency = absl::Milliseconds(300)});
  EXPECT_LT(board_.Rank(mine, "a", true), board_.Rank(mine, "b", true));
}

TEST_F(HealthTest, TheWorstBreakerThatClientsHaveToldIsShownForAMinute) {
  const base::OrgId one = base::DrawId<base::OrgId>(base::SystemRandom());
  const base::OrgId other = base::DrawId<base::OrgId>(base::SystemRandom());
  for (const char* name : {"a", "b"}) Probe(name, absl::OkStatus());
  EXPECT_EQ(board_.BreakerOf("a"), ClientBreaker::kUntold);
  board_.Hint(one, "a", {.breaker = ClientBreaker::kOpen});  // nothing else to tell
  board_.Hint(other, "a", {.ok = 1, .breaker = ClientBreaker::kClosed});
  board_.Hint(other, "b", {.ok = 1, .breaker = ClientBreaker::kHalfOpen});
  EXPECT_EQ(board_.BreakerOf("a"), ClientBreaker::kOpen);
  EXPECT_EQ(board_.BreakerOf("b"), ClientBreaker::kHalfOpen);
  board_.Hint(one, "a", {.ok = 1});  // a client that does not speak of it
  EXPECT_EQ(board_.BreakerOf("a"), ClientBreaker::kOpen);
  board_.Hint(one, "a", {.ok = 1, .breaker = ClientBreaker::kClosed});
  EXPECT_EQ(board_.BreakerOf("a"), ClientBreaker::kClosed);
  clock_.Advance(absl::Minutes(2));
  EXPECT_EQ(board_.BreakerOf("a"), ClientBreaker::kUntold);
}

}  // namespace
}  // namespace cedana::replica
