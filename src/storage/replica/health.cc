#include "storage/replica/health.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/status.h"

namespace cedana::replica {
namespace {

constexpr int kFailuresToUnhealthy = 3;
constexpr int kSuccessesToHealthy = 2;
constexpr double kSmoothing = 0.3;  // weight of the newest
// "Full" is believed for so long after it was last said; then a write may try again.
constexpr absl::Duration kFullFor = absl::Minutes(1);
// Hints about failures, and about latency, are forgotten after.
constexpr absl::Duration kFailingFor = absl::Minutes(1);
constexpr absl::Duration kLatencyFor = absl::Minutes(10);
constexpr double kFailingShare = 0.5;
// Latencies below count as equal, and above by powers of two: the order must not flap between
// providers that are equally good.
constexpr absl::Duration kLatencyFloor = absl::Milliseconds(4);

// Whoever asks for less is left alone for this long at least: probes come every few seconds.
constexpr absl::Duration kThrottledMin = absl::Seconds(1);

enum class Verdict { kGood, kThrottled, kBad, kNothing };

Verdict Judge(const absl::Status& status) {
  if (absl::IsUnavailable(status) && base::RetryAfter(status) > absl::ZeroDuration()) {
    return Verdict::kThrottled;
  }
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kResourceExhausted:
      return Verdict::kGood;
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kDataLoss:  // one object is bad
      return Verdict::kNothing;
    default:
      return Verdict::kBad;
  }
}

int LatencyClass(absl::Duration latency) {
  const double times = absl::FDivDuration(latency, kLatencyFloor);
  return times < 1 ? 0 : 1 + static_cast<int>(std::log2(times));
}

absl::Duration Smooth(absl::Duration before, absl::Duration now) {
  return before == absl::ZeroDuration() ? now : before * (1 - kSmoothing) + now * kSmoothing;
}

}  // namespace

void HealthBoard::Apply(const std::string& provider, const absl::Status& status) {
  const Verdict verdict = Judge(status);
  if (verdict == Verdict::kNothing) return;
  absl::MutexLock lock(&mutex_);
  Entry& entry = entries_[provider];
  entry.health.probed = true;
  if (verdict == Verdict::kThrottled) {
    // It is alive, which says nothing of what it can do.
    const absl::Duration wait = std::max(base::RetryAfter(status), kThrottledMin);
    entry.throttled_until = std::max(entry.throttled_until, clock_.Now() + wait);
    entry.health.last_error = std::string(status.message());
    return;
  }
  if (verdict == Verdict::kBad) {
    entry.successes = 0;
    ++entry.failures;
    entry.health.last_error = std::string(status.message());
    if (entry.health.healthy && entry.failures >= kFailuresToUnhealthy) {
      entry.health.healthy = false;
      entry.health.since = clock_.Now();
    }
    return;
  }
  entry.failures = 0;
  ++entry.successes;
  if (entry.health.healthy) {
    entry.health.last_error.clear();
    return;
  }
  if (entry.successes < kSuccessesToHealthy) return;
  entry.health.healthy = true;
  entry.health.last_error.clear();
  entry.health.since = clock_.Now();
}

void HealthBoard::RecordProbe(const std::string& provider, const absl::Status& status,
                              absl::Duration latency) {
  Apply(provider, status);
  if (Judge(status) != Verdict::kGood) return;
  absl::MutexLock lock(&mutex_);
  Entry& entry = entries_[provider];
  entry.health.latency = Smooth(entry.health.latency, latency);
}

void HealthBoard::Record(const std::string& provider, const absl::Status& status) {
  Apply(provider, status);
}

void HealthBoard::RecordWrite(const std::string& provider, const absl::Status& status) {
  Record(provider, status);
  if (!status.ok() && !absl::IsResourceExhausted(status)) return;
  absl::MutexLock lock(&mutex_);
  Entry& entry = entries_[provider];
  entry.health.full = !status.ok();
  entry.full_since = clock_.Now();
  if (!status.ok()) entry.health.last_error = std::string(status.message());
}

void HealthBoard::Hint(const base::OrgId& organisation, const std::string& provider,
                       const ClientReport& report) {
  const uint64_t total = report.ok + report.failed;
  absl::MutexLock lock(&mutex_);
  const auto known = entries_.find(provider);
  if (known == entries_.end()) return;  // no provider of ours
  Hints& hints = hints_[{organisation, provider}];
  if (report.breaker != ClientBreaker::kUntold) {
    hints.breaker = report.breaker;
    hints.breaker_at = clock_.Now();
  }
  if (total == 0) return;
  const double share = static_cast<double>(report.failed) / static_cast<double>(total);
  const bool stale = clock_.Now() - hints.at > kFailingFor;
  hints.failing = stale ? share : (hints.failing + share) / 2;
  if (report.latency > absl::ZeroDuration()) {
    hints.latency = stale ? report.latency : Smooth(hints.latency, report.latency);
  }
  hints.at = clock_.Now();
  alarm_ = alarm_ || share >= kFailingShare;
}

ClientBreaker HealthBoard::BreakerOf(const std::string& provider) const {
  absl::MutexLock lock(&mutex_);
  ClientBreaker worst = ClientBreaker::kUntold;
  for (const auto& [key, hints] : hints_) {
    if (key.second != provider || clock_.Now() - hints.breaker_at > kFailingFor) continue;
    worst = std::max(worst, hints.breaker);
  }
  return worst;
}

bool HealthBoard::TakeAlarm() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(alarm_, false);
}

void HealthBoard::Know(const std::string& provider) {
  absl::MutexLock lock(&mutex_);
  entries_.try_emplace(provider);
}

void HealthBoard::Forget(const std::string& provider) {
  absl::MutexLock lock(&mutex_);
  entries_.erase(provider);
  for (auto it = hints_.begin(); it != hints_.end();) {
    it = it->first.second == provider ? hints_.erase(it) : std::next(it);
  }
}

ProviderHealth HealthBoard::Of(const std::string& provider) const {
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(provider);
  if (found == entries_.end()) return {};
  ProviderHealth health = found->second.health;
  const absl::Time now = clock_.Now();
  health.full = health.full && now - found->second.full_since < kFullFor;
  health.throttled = std::max(found->second.throttled_until - now, absl::ZeroDuration());
  return health;
}

std::pair<int, int> HealthBoard::Rank(const base::OrgId& organisation, const std::string& provider,
                                      bool writing) const {
  const ProviderHealth health = Of(provider);
  absl::Duration latency = health.latency;
  bool failing = false;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = hints_.find({organisation, provider});
    if (found != hints_.end()) {
      const absl::Duration age = clock_.Now() - found->second.at;
      failing = age < kFailingFor && found->second.failing >= kFailingShare;
      // Where the client's own network is the slow part, its word is the better one.
      if (age < kLatencyFor) latency = std::max(latency, found->second.latency);
    }
  }
  const bool better_not = failing || health.throttled > absl::ZeroDuration();
  const int group = !health.healthy ? 3 : writing && health.full ? 2 : better_not ? 1 : 0;
  return {group, LatencyClass(latency)};
}

}  // namespace cedana::replica
