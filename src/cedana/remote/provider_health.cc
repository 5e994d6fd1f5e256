#include "cedana/remote/provider_health.h"

#include <algorithm>

#include "core/base/status.h"

namespace cedana::remote {
namespace {

constexpr size_t kErrorBytesMax = 200;
// The order follows the last few transfers; single slow answers must not turn it.
constexpr size_t kOrderSamples = 16;
constexpr size_t kOrderSamplesMin = 3;
constexpr double kClearlyFaster = 0.7;  // of the other's time
constexpr double kColdBytesPerSecond = 16 << 20;
// A rate over less time is mostly that of buffers being filled.
constexpr absl::Duration kRateTimeMin = absl::Milliseconds(1);

}  // namespace

size_t ProviderHealth::SizeClass(uint64_t bytes) {
  if (bytes <= 64u << 10) return 0;
  if (bytes <= 1u << 20) return 1;
  return bytes <= 8u << 20 ? 2 : 3;
}

ProviderHealth::Provider& ProviderHealth::Get(const std::string& name) {
  return providers_.try_emplace(name, rules_.breaker).first->second;
}

std::unique_ptr<ProviderHealth::Transfer> ProviderHealth::Begin(const std::string& provider,
                                                                Direction direction,
                                                                uint64_t bytes) {
  std::unique_ptr<Transfer> transfer(new Transfer(*this, provider, direction, bytes));
  absl::MutexLock lock(&mutex_);
  Provider& home = Get(provider);
  const absl::Duration now = clock_.Monotonic();
  transfer->home_ = &home;
  transfer->started_ = transfer->moved_at_ = now;
  transfer->marks_.push_back({now, 0});
  transfer->probe_ = home.breaker.TakeProbe(now);
  home.under_way.push_back(transfer.get());
  return transfer;
}

// --- the order ----------------------------------------------------------------------------------

const ProviderHealth::Measured* ProviderHealth::Recent(const Provider& provider, size_t direction,
                                                       size_t size_class,
                                                       absl::Duration now) const {
  const Measured& measured = provider.measured[direction][size_class];
  if (measured.window.count() < kOrderSamplesMin) return nullptr;
  return now - measured.last <= rules_.recent ? &measured : nullptr;
}

bool ProviderHealth::ClearlyFaster(const Provider& one, const Provider& other, Direction direction,
                                   uint64_t bytes, absl::Duration now) const {
  const size_t wanted = static_cast<size_t>(direction);
  // Such transfers where both have made some, else what comes closest: other sizes, then the other
  // direction. A fresh restore knows the providers from the dump before it.
  for (const size_t way : {wanted, 1 - wanted}) {
    const size_t own_class = SizeClass(bytes);
    for (size_t i = 0; i < kSizeClasses; ++i) {
      const size_t size_class = (own_class + i) % kSizeClasses;
      const Measured* ours = Recent(one, way, size_class, now);
      const Measured* theirs = Recent(other, way, size_class, now);
      if (ours == nullptr || theirs == nullptr) continue;
      return ours->window.MedianOfLast(kOrderSamples) <
             kClearlyFaster * theirs->window.MedianOfLast(kOrderSamples);
    }
  }
  return false;
}

std::vector<ProviderHealth::Choice> ProviderHealth::Order(std::span<const std::string> providers,
                                                          Direction direction, uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  const absl::Duration now = clock_.Monotonic();
  std::vector<const Provider*> known;
  std::vector<Choice> order;
  for (size_t i = 0; i < providers.size(); ++i) {
    const Provider& provider = Get(providers[i]);
    known.push_back(&provider);
    Choice choice{i, Readiness::kReady};
    const BreakerState state = provider.breaker.State(now);
    if (state == BreakerState::kOpen ||
        (state == BreakerState::kHalfOpen && provider.breaker.probe_out())) {
      choice.readiness = Readiness::kOpen;
    } else if (provider.breaker.ThrottledFor(now) > absl::ZeroDuration()) {
      choice.readiness = Readiness::kThrottled;
    }
    // Each goes before its predecessors while it is clearly better than they.
    size_t place = order.size();
    while (place > 0) {
      const Choice& before = order[place - 1];
      const Provider& other = *known[before.index];
      bool better = choice.readiness < before.readiness;
      if (choice.readiness == before.readiness) {
        better = choice.readiness == Readiness::kReady
                     ? ClearlyFaster(provider, other, direction, bytes, now)
                 : choice.readiness == Readiness::kOpen
                     ? provider.breaker.retry_at() < other.breaker.retry_at()
                     : provider.breaker.ThrottledFor(now) < other.breaker.ThrottledFor(now);
      }
      if (!better) break;
      --place;
    }
    order.insert(order.begin() + static_cast<std::ptrdiff_t>(place), choice);
  }
  return order;
}

absl::Duration ProviderHealth::ThrottledFor(const std::string& provider) {
  absl::MutexLock lock(&mutex_);
  return Get(provider).breaker.ThrottledFor(clock_.Monotonic());
}

void ProviderHealth::Damaged(const std::string& provider, const absl::Status& what) {
  absl::MutexLock lock(&mutex_);
  Provider& home = Get(provider);
  home.breaker.Damage(clock_.Monotonic());
  ++home.report.failed;
  home.last_error = std::string(what.message().substr(0, kErrorBytesMax));
}

// --- hedging ------------------------------------------------------------------------------------

absl::Duration ProviderHealth::HedgeAfter(const std::string& provider, uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  const LatencyWindow& window =
      Get(provider).measured[static_cast<size_t>(Direction::kRead)][SizeClass(bytes)].window;
  if (window.count() < kHedgeSamplesMin) {
    return rules_.cold_hedge + absl::Seconds(static_cast<double>(bytes) / kColdBytesPerSecond);
  }
  return std::max(window.Quantile(95), 2 * window.Median());
}

void ProviderHealth::CountRead() {
  absl::MutexLock lock(&mutex_);
  hedges_.CountRead();
}

bool ProviderHealth::TakeHedge() {
  absl::MutexLock lock(&mutex_);
  const absl::Duration now = clock_.Monotonic();
  for (const auto& [name, provider] : providers_) {
    // Who throttles may do so because of us all: more requests are the last thing that helps.
    if (provider.breaker.ThrottledFor(now) > absl::ZeroDuration()) return false;
  }
  return hedges_.Take();
}

void ProviderHealth::GiveHedgeBack() {
  absl::MutexLock lock(&mutex_);
  hedges_.GiveBack();
}

// --- what is told -------------------------------------------------------------------------------

namespace {

double Last(const auto& measured_classes) {
  for (size_t i = std::size(measured_classes); i-- > 0;) {
    if (measured_classes[i].bytes_per_s.known) return measured_classes[i].bytes_per_s.value;
  }
  return 0;
}

}  // namespace

std::vector<ProviderReport> ProviderHealth::TakeReports() {
  absl::MutexLock lock(&mutex_);
  const absl::Duration now = clock_.Monotonic();
  std::vector<ProviderReport> reports;
  for (auto& [name, provider] : providers_) {
    // An open breaker lets nothing through that would have an outcome: it is told all the same, and
    // again each time, for the service forgets it after a while.
    const BreakerState breaker = provider.breaker.State(now);
    const bool news = breaker != BreakerState::kClosed || breaker != provider.told;
    if (provider.report.ok == 0 && provider.report.failed == 0 && !news) continue;
    ProviderReport report = std::exchange(provider.report, ProviderReport());
    report.provider = name;
    if (report.failed > 0) report.last_error = provider.last_error;
    report.latency = absl::Seconds(provider.latency.value);
    report.bytes_per_s = std::max(Last(provider.measured[0]), Last(provider.measured[1]));
    report.breaker = provider.told = breaker;
    reports.push_back(std::move(report));
  }
  return reports;
}

// --- transfers ----------------------------------------------------------------------------------

void ProviderHealth::Transfer::Progress(uint64_t moved_bytes) {
  absl::MutexLock lock(&health_.mutex_);
  if (ended_ || moved_bytes <= moved_) return;
  const absl::Duration now = health_.clock_.Monotonic();
  moved_ = moved_bytes;
  moved_at_ = home_->moved_at = now;
  if (now - marks_.back().time >= health_.rules_.stall / 8) marks_.push_back({now, moved_});
}

void ProviderHealth::Transfer::Answered() {
  absl::MutexLock lock(&health_.mutex_);
  if (ended_ || answered_ > absl::ZeroDuration()) return;
  answered_ = health_.clock_.Monotonic() - started_;
  home_->latency.Add(absl::ToDoubleSeconds(answered_));
}

bool ProviderHealth::Transfer::Lagging() {
  absl::MutexLock lock(&health_.mutex_);
  if (ended_ || lagging_) return lagging_;
  return health_.JudgeLag(*this, health_.clock_.Monotonic());
}

void ProviderHealth::Transfer::End(const absl::Status& status) {
  absl::MutexLock lock(&health_.mutex_);
  if (ended_) return;
  ended_ = true;
  const absl::Duration now = health_.clock_.Monotonic();
  std::erase(home_->under_way, this);
  Breaker& breaker = home_->breaker;
  if (status.ok()) {
    home_->moved_at = now;
    ++home_->report.ok;
    health_.Measure(*this, now);
    // One that came to its end only after it had lagged does not say that all is well again.
    if (!lagging_) breaker.Success(now);
    if (lagging_ && probe_) breaker.ForgetProbe();
    return;
  }
  if (absl::IsCancelled(status)) {
    health_.Measure(*this, now);
    if (probe_) breaker.ForgetProbe();
    return;
  }
  ++home_->report.failed;
  home_->report.full = absl::IsResourceExhausted(status);
  home_->last_error = std::string(status.message().substr(0, kErrorBytesMax));
  const absl::Duration retry_after = base::RetryAfter(status);
  if (retry_after > absl::ZeroDuration()) {
    breaker.Throttle(now, retry_after);
  } else {
    breaker.Failure(now);
  }
}

// Of a transfer that was cancelled only its lower bounds are known.
void ProviderHealth::Measure(Transfer& transfer, absl::Duration now) {
  Measured& measured =
      transfer.home_
          ->measured[static_cast<size_t>(transfer.direction_)][SizeClass(transfer.bytes_)];
  const absl::Duration took = now - transfer.started_;
  const bool whole = transfer.moved_ >= transfer.bytes_;
  // Where nothing is known a short bound says nothing, a long one that it is slow: a provider that
  // loses against every hedge must not seem unmeasured for ever.
  const bool read = transfer.direction_ == Direction::kRead;
  if (measured.window.count() == 0) {
    if (!whole && (!read || took < rules_.cold_hedge)) return;
  } else if (!whole && took < measured.window.Median()) {
    return;
  }
  measured.window.Add(took);
  measured.last = now;
  // The rate of one that was given up for a faster one is not what the provider reaches when it
  // works.
  const bool outrun = transfer.lagging_ || read;
  if (took < kRateTimeMin || (outrun && !whole)) return;
  const uint64_t moved = std::min(transfer.moved_, transfer.bytes_);
  measured.bytes_per_s.Add(static_cast<double>(moved) / absl::ToDoubleSeconds(took));
}

double ProviderHealth::EarlierRate(const Provider& provider, Direction direction, uint64_t bytes) {
  const auto& classes = provider.measured[static_cast<size_t>(direction)];
  const Ewma& own = classes[SizeClass(bytes)].bytes_per_s;
  return own.known ? own.value : Last(classes);
}

bool ProviderHealth::Transfer::Slow() {
  absl::MutexLock lock(&health_.mutex_);
  if (ended_ || lagging_) return lagging_;
  const absl::Duration now = health_.clock_.Monotonic();
  Trim(now - health_.rules_.stall);
  return health_.IsSlow(*this, now);
}

void ProviderHealth::Transfer::Trim(absl::Duration before) {
  while (marks_.size() > 1 && marks_[1].time <= before) marks_.pop_front();
}

double ProviderHealth::BestOfOthers(const Transfer& transfer) const {
  double best = 0;
  for (const auto& [name, other] : providers_) {
    if (&other == transfer.home_) continue;
    best = std::max(best, EarlierRate(other, transfer.direction_, transfer.bytes_));
  }
  return best;
}

absl::Duration ProviderHealth::UsualTime(const Transfer& transfer) const {
  const double earlier = EarlierRate(*transfer.home_, transfer.direction_, transfer.bytes_);
  const double rate = earlier > 0 ? earlier : BestOfOthers(transfer);
  return rate > 0 ? absl::Seconds(static_cast<double>(transfer.bytes_) / rate)
                  : absl::ZeroDuration();
}

bool ProviderHealth::IsSlow(const Transfer& transfer, absl::Duration now) const {
  const Transfer::Mark& from = transfer.marks_.front();
  if (now - from.time < rules_.stall) return false;
  const double rate =
      static_cast<double>(transfer.moved_ - from.moved) / absl::ToDoubleSeconds(now - from.time);
  const double best_other = BestOfOthers(transfer);
  const double earlier = EarlierRate(*transfer.home_, transfer.direction_, transfer.bytes_);
  if (earlier > 0) return rate < rules_.slow_fraction * earlier;
  return rate < rules_.unmeasured_slow_bytes_per_s && rate < rules_.slow_fraction * best_other;
}

bool ProviderHealth::OthersProgress(const Provider& home, absl::Duration now) const {
  return std::any_of(providers_.begin(), providers_.end(), [&](const auto& entry) {
    return &entry.second != &home && now - entry.second.moved_at <= rules_.stall;
  });
}

bool ProviderHealth::JudgeLag(Transfer& transfer, absl::Duration now) {
  transfer.Trim(now - rules_.stall);
  Provider& home = *transfer.home_;
  if (transfer.probe_) {
    transfer.lagging_ =
        now - transfer.started_ >= std::clamp(2 * UsualTime(transfer), rules_.probe_leash_min,
                                              std::max(rules_.probe_leash_min, rules_.stall));
  } else {
    // What was under way when the breaker opened is in the same trouble as what opened it. One that
    // began afterwards was sent here because no other was left.
    const bool overtaken = home.breaker.State(now) != BreakerState::kClosed &&
                           home.breaker.opened_at() >= transfer.started_;
    transfer.lagging_ = overtaken || now - transfer.moved_at_ >= rules_.stall ||
                        (OthersProgress(home, now) && IsSlow(transfer, now));
  }
  if (!transfer.lagging_) return false;
  const bool all_lag =
      std::all_of(home.under_way.begin(), home.under_way.end(), [&](const Transfer* other) {
        return other->lagging_ || now - other->moved_at_ >= rules_.stall;
      });
  // One lost request among many that go on is no reason to leave the provider alone.
  if (all_lag) home.breaker.Trip(now);
  return true;
}

}  // namespace cedana::remote
