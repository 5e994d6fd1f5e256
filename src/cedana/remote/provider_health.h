// What this client knows of each provider: how fast it is, whether it works now, whether it asked
// to be left alone. One object for all saves and restores of a daemon with one service, because
// what one of them learns helps the others.
//
// Every upload and read under way is a Transfer, which reports its progress and its end:
//
//   std::unique_ptr<ProviderHealth::Transfer> transfer = health.Begin("aws-1", kUpload, bytes);
//   … transfer->Progress(moved); … if (transfer->Lagging()) send the pack elsewhere as well …
//   transfer->End(status);
//
// A transfer lags when for three seconds no byte of it moved, when it moved at less than a tenth of
// the provider's own earlier rate while another provider progresses, or when the provider's breaker
// has opened meanwhile. When all that a provider has under way lags, its breaker opens (breaker.h).
//
// Pure logic on an injected clock; no waiting, no network.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cedana/remote/breaker.h"
#include "cedana/remote/hedge_budget.h"
#include "cedana/remote/latency_window.h"
#include "core/base/clock.h"

namespace cedana::remote {

enum class Direction { kUpload, kRead };

struct HealthRules {
  BreakerRules breaker;
  absl::Duration stall = absl::Seconds(3);
  double slow_fraction = 0.1;  // of its own earlier rate
  // A provider that was never measured has no earlier rate: then it is slow at less than so many
  // bytes per second and the same fraction of what another provider reaches.
  double unmeasured_slow_bytes_per_s = 1 << 20;
  // The try that a half open breaker lets through lags much sooner: after twice the time that
  // such a transfer takes at the provider's own earlier rate, or at that of the others where it has
  // none, this at least, `stall` at most. Otherwise each probe of a dark provider would hold up a
  // pack for `stall`.
  absl::Duration probe_leash_min = absl::Milliseconds(500);
  // What was measured longer ago says nothing about the order any more, so that a provider that
  // was slow once is measured again.
  absl::Duration recent = absl::Minutes(2);
  // Hedging before a size class has kHedgeSamplesMin samples: after this, and the time that the
  // bytes take at 16 MB/s.
  absl::Duration cold_hedge = absl::Seconds(1);
};

// What is told to the service as a hint: since the last report; rates, latency and breaker as of
// now.
struct ProviderReport {
  std::string provider;
  int ok = 0;
  int failed = 0;
  std::string last_error;
  bool full = false;       // said the last failure
  absl::Duration latency;  // until the first byte of an answer; zero: not known
  double bytes_per_s = 0;  // zero: not known
  BreakerState breaker = BreakerState::kClosed;
};

// Thread-safe. Outlives its transfers.
class ProviderHealth {
 public:
  class Transfer;
  static constexpr size_t kHedgeSamplesMin = 8;

  explicit ProviderHealth(base::Clock* clock, const HealthRules& rules = {})
      : clock_(*clock), rules_(rules) {}

  // `bytes`: that will move.
  std::unique_ptr<Transfer> Begin(const std::string& provider, Direction direction, uint64_t bytes);

  // How ready a provider is, best first.
  enum class Readiness { kReady, kThrottled, kOpen };
  struct Choice {
    size_t index = 0;  // in what Order was given
    Readiness readiness = Readiness::kReady;
  };
  // The order in which to try `providers` (best first as the service sees it): those that work
  // before those that asked to be left alone, before those whose breaker is open, the least bad
  // first. Within the ready ones the given order, except that one that is clearly faster here goes
  // before one that is clearly slower: at such transfers, or at what was measured of both instead.
  std::vector<Choice> Order(std::span<const std::string> providers, Direction direction,
                            uint64_t bytes);
  absl::Duration ThrottledFor(const std::string& provider);
  // Bytes from there did not authenticate.
  void Damaged(const std::string& provider, const absl::Status& what);

  // When a read that has not ended is to be asked of another provider as well:
  // max(p95, 2 × median) of the provider and size class.
  absl::Duration HedgeAfter(const std::string& provider, uint64_t bytes);
  // Counts an ordinary read: it pays for a part of a hedge.
  void CountRead();
  // Whether a hedge may be made now: paid for, and no provider throttles.
  bool TakeHedge();
  void GiveHedgeBack();

  // Of the providers of which there is something to tell.
  std::vector<ProviderReport> TakeReports();

 private:
  // <= 64 KiB, <= 1 MiB, <= 8 MiB, more.
  static constexpr size_t kSizeClasses = 4;
  static size_t SizeClass(uint64_t bytes);

  struct Ewma {
    double value = 0;
    bool known = false;
    void Add(double sample) {
      value = known ? value + 0.2 * (sample - value) : sample;
      known = true;
    }
  };
  struct Measured {
    Ewma bytes_per_s;
    LatencyWindow window;
    absl::Duration last;  // when
  };
  struct Provider {
    explicit Provider(const BreakerRules& rules) : breaker(rules) {}
    Breaker breaker;
    Measured measured[2][kSizeClasses];
    Ewma latency;  // seconds until the first byte of an answer
    absl::Duration moved_at = -absl::InfiniteDuration();  // by any transfer
    std::vector<Transfer*> under_way;
    ProviderReport report;
    BreakerState told = BreakerState::kClosed;  // in the last report
    std::string last_error;
  };

  Provider& Get(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Measured* Recent(const Provider& provider, size_t direction, size_t size_class,
                         absl::Duration now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Zero: never measured.
  static double EarlierRate(const Provider& provider, Direction direction, uint64_t bytes);
  bool ClearlyFaster(const Provider& one, const Provider& other, Direction direction,
                     uint64_t bytes, absl::Duration now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Zero: nothing is known of them.
  double BestOfOthers(const Transfer& transfer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What it takes at the rate that the provider had while it was well, else at that of the others.
  absl::Duration UsualTime(const Transfer& transfer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Measure(Transfer& transfer, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool JudgeLag(Transfer& transfer, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsSlow(const Transfer& transfer, absl::Duration now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool OthersProgress(const Provider& home, absl::Duration now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  base::Clock& clock_;
  const HealthRules rules_;
  absl::Mutex mutex_;
  std::map<std::string, Provider> providers_ ABSL_GUARDED_BY(mutex_);
  HedgeBudget hedges_ ABSL_GUARDED_BY(mutex_);
};

// One upload or read under way. Thread-safe. Destroyed without End, it ended as cancelled.
class ProviderHealth::Transfer {
 public:
  ~Transfer() { End(absl::CancelledError("")); }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Bytes moved so far, the head of the request included; never goes back.
  void Progress(uint64_t moved_bytes);
  // The first byte of the answer's body is there.
  void Answered();
  // OK: ended well. kCancelled: its caller wanted it no more, which says nothing about the
  // provider, except how long it has taken at least. A throttling answer carries its delay
  // (base::RetryAfter) and is no failure. Only the first End counts.
  void End(const absl::Status& status);
  // See the head of this file. Once true it stays so.
  bool Lagging();
  // Lagging, or at less than a tenth of the usual rate for so long though no other provider moves
  // anything: where nobody else was asked, that says nothing about the client's own network.
  bool Slow();

  const std::string& provider() const { return name_; }

 private:
  friend class ProviderHealth;
  struct Mark {
    absl::Duration time;
    uint64_t moved;
  };
  Transfer(ProviderHealth& health, std::string name, Direction direction, uint64_t bytes)
      : health_(health), name_(std::move(name)), direction_(direction), bytes_(bytes) {}

  ProviderHealth& health_;
  const std::string name_;
  const Direction direction_;
  const uint64_t bytes_;
  // Drops the marks that are older, but for one.
  void Trim(absl::Duration before);

  // Guarded by the mutex of health_.
  Provider* home_ = nullptr;
  absl::Duration started_;
  absl::Duration moved_at_;
  absl::Duration answered_;  // after the start; zero: not yet
  uint64_t moved_ = 0;
  std::deque<Mark> marks_;  // over the last `stall`
  bool probe_ = false;
  bool lagging_ = false;
  bool ended_ = false;
};

}  // namespace cedana::remote
