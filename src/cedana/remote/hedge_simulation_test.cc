// The policy of hedged reads on simulated time: the same ProviderHealth that GrantSource asks,
// providers that answer with seeded latencies.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "cedana/remote/provider_health.h"
#include "cedana/remote/testing/fake_clock.h"

namespace cedana::remote {
namespace {

constexpr uint64_t kBytes = 256u << 10;

struct SimulatedProvider {
  std::string name;
  absl::Duration latency;
};

struct Outcome {
  std::vector<absl::Duration> latencies;
  int reads = 0;
  int extra = 0;
  absl::Duration Quantile(double q) {
    std::sort(latencies.begin(), latencies.end());
    return latencies[static_cast<size_t>(q * static_cast<double>(latencies.size() - 1))];
  }
};

class Simulation {
 public:
  Simulation(std::vector<SimulatedProvider> providers, double slow_part, uint32_t seed)
      : providers_(std::move(providers)), slow_part_(slow_part), random_(seed) {}

  Outcome Run(int reads) {
    Outcome outcome;
    for (int i = 0; i < reads; ++i) outcome.latencies.push_back(Read(outcome));
    return outcome;
  }

 private:
  // Within 20 % around the latency, and the slow tail, independent per request.
  absl::Duration Draw(const SimulatedProvider& provider) {
    std::uniform_real_distribution<double> unit(0, 1);
    if (unit(random_) < slow_part_) return absl::Seconds(2);
    return provider.latency * (0.9 + 0.2 * unit(random_));
  }
  absl::Duration Read(Outcome& outcome) {
    std::vector<std::string> names;
    for (const SimulatedProvider& provider : providers_) names.push_back(provider.name);
    const auto order = health_.Order(names, Direction::kRead, kBytes);
    const SimulatedProvider& first = providers_[order[0].index];
    const SimulatedProvider& second = providers_[order[1].index];
    health_.CountRead();
    ++outcome.reads;
    auto primary = health_.Begin(first.name, Direction::kRead, kBytes);
    const absl::Duration alone = Draw(first);
    const absl::Duration threshold = health_.HedgeAfter(first.name, kBytes);
    if (alone <= threshold || !health_.TakeHedge()) return End(*primary, alone);
    ++outcome.extra;
    clock_.Sleep(threshold);
    auto hedge = health_.Begin(second.name, Direction::kRead, kBytes);
    const absl::Duration after = Draw(second);
    ProviderHealth::Transfer& winner = alone <= threshold + after ? *primary : *hedge;
    return threshold + End(winner, std::min(alone - threshold, after));
  }
  // The other one is dropped by its caller.
  absl::Duration End(ProviderHealth::Transfer& transfer, absl::Duration after) {
    clock_.Sleep(after);
    transfer.Progress(kBytes);
    transfer.End(absl::OkStatus());
    return after;
  }

  const std::vector<SimulatedProvider> providers_;
  const double slow_part_;
  std::mt19937 random_;
  FakeClock clock_;
  ProviderHealth health_{&clock_};
};

const std::vector<SimulatedProvider> kThree = {{"far", absl::Milliseconds(120)},
                                               {"near", absl::Milliseconds(5)},
                                               {"mid", absl::Milliseconds(40)}};

TEST(HedgeSimulation, CutsTheSlowTailForFivePercentMoreRequests) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    // Best first, as the service gives them.
    Outcome outcome = Simulation({kThree[1], kThree[2], kThree[0]}, 0.02, seed).Run(5000);
    EXPECT_LE(outcome.Quantile(0.99), 2 * absl::Milliseconds(40));
    EXPECT_LE(outcome.Quantile(0.5), absl::Milliseconds(6));
    EXPECT_LE(outcome.extra, outcome.reads * 5 / 100);
    // Without hedges the tail would be all there is at 99 %.
    EXPECT_GT(outcome.extra, outcome.reads * 1 / 100);
  }
}

TEST(HedgeSimulation, SlowProvidersEverywhereCostNoMoreThanTheBudget) {
  for (uint32_t seed = 1; seed <= 5; ++seed) {
    Outcome outcome = Simulation(kThree, 0.3, seed).Run(2000);
    EXPECT_LE(outcome.extra, outcome.reads * 5 / 100 + 8);
  }
}

TEST(HedgeSimulation, AnEvenStoreIsSeldomAskedTwice) {
  Outcome outcome = Simulation({kThree[1], kThree[2]}, 0, 7).Run(5000);
  EXPECT_EQ(outcome.extra, 0);
}

}  // namespace
}  // namespace cedana::remote
