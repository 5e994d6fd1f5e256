// What the service knows about its providers' health: its own probes and operations decide, what
// clients report are hints about the order, each organisation's for itself.
//
// Healthy and unhealthy change with hysteresis: three failures in a row, then two successes in a
// row. A provider that says it is full is healthy (it reads and deletes), but written to last. One
// that asks to slow down (kUnavailable with base::RetryAfter) is healthy too, and left alone for as
// long as it says: ranked behind others, and nothing of the service's own work is begun there.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/ids.h"

namespace cedana::replica {

struct ProviderHealth {
  bool probed = false;  // false: nothing is known yet, which counts as healthy
  bool healthy = true;
  bool full = false;
  absl::Duration throttled;  // so long from now it wants to be left alone
  absl::Duration latency;    // of probes, smoothed; zero: none yet
  absl::Time since;          // of the last change between healthy and unhealthy
  std::string last_error;    // empty while all is well
};

// A client's breaker for a provider: whether it leaves it alone (cedana/remote/breaker.h).
enum class ClientBreaker { kUntold, kClosed, kHalfOpen, kOpen };

// What one client saw of a provider since it told last.
struct ClientReport {
  uint64_t ok = 0;
  uint64_t failed = 0;
  bool full = false;  // the last failure said so
  absl::Duration latency;
  double bytes_per_s = 0;
  ClientBreaker breaker = ClientBreaker::kUntold;  // as of now
};

// Thread-safe.
class HealthBoard {
 public:
  // Borrows the clock.
  explicit HealthBoard(base::Clock* clock) : clock_(*clock) {}

  // A probe, or any operation of the service at a provider, has ended so. `latency` is taken from
  // probes only: other operations take as long as their bytes. Outcomes that say nothing about the
  // provider (cancelled by us, one bad object) do not count, refusals that show it alive (exists,
  // full) count as success. kNotFound means that the bucket itself is gone: do not tell it of a
  // read of one object.
  void RecordProbe(const std::string& provider, const absl::Status& status, absl::Duration latency);
  void Record(const std::string& provider, const absl::Status& status);
  // The same for a write, which also tells whether it is full.
  void RecordWrite(const std::string& provider, const absl::Status& status);
  void Hint(const base::OrgId& organisation, const std::string& provider,
            const ClientReport& report);
  // Whether a client has reported a provider as failing since this was last asked: time for a look.
  bool TakeAlarm();
  // A provider is there (hints about others are ignored), or not any more.
  void Know(const std::string& provider);
  void Forget(const std::string& provider);

  ProviderHealth Of(const std::string& provider) const;
  bool Healthy(const std::string& provider) const { return Of(provider).healthy; }
  // The worst that clients have told within the last minute. For people.
  ClientBreaker BreakerOf(const std::string& provider) const;
  // Healthy, and not to be left alone.
  bool Ready(const std::string& provider) const {
    const ProviderHealth health = Of(provider);
    return health.healthy && health.throttled == absl::ZeroDuration();
  }
  // For the order of placement: less is better. `organisation`: whose hints count.
  std::pair<int, int> Rank(const base::OrgId& organisation, const std::string& provider,
                           bool writing) const;

 private:
  struct Entry {
    ProviderHealth health;
    int failures = 0;   // in a row
    int successes = 0;  // in a row
    absl::Time full_since;
    absl::Time throttled_until;
  };
  struct Hints {
    double failing = 0;  // smoothed share of requests that failed
    absl::Duration latency;
    absl::Time at;
    ClientBreaker breaker = ClientBreaker::kUntold;
    absl::Time breaker_at;
  };
  void Apply(const std::string& provider, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);

  base::Clock& clock_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  // Bounded by organisations times providers.
  std::map<std::pair<base::OrgId, std::string>, Hints> hints_ ABSL_GUARDED_BY(mutex_);
  bool alarm_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace cedana::replica
