// One pack on its way to several providers at once: the rules by which GrantSink places it.
//
// - `copies` uploads to providers of different failure domains go on in parallel, from the same
//   bytes: the service's order, adjusted by what this client knows of each (provider_health.h).
// - One that fails, or lags (three seconds without progress, a tenth of the usual rate), is sent
//   elsewhere as well while it goes on; the first replies win, and the rest is cancelled.
// - Providers whose breaker is open are asked only where `ack` cannot be reached without them, the
//   least bad first. One that throttles is waited for where no other is left.
// - Done with `copies` acknowledged. With `ack` the pack is durable: the missing copies may then
//   take as long again as the first ones took (two seconds at least) while they move; nothing new
//   is begun for them unless a provider is ready. Longer would let a slow third provider set the
//   pace of a dump; what is missing is debt, which the service pays.
// - An error only where fewer than `ack` domains can be reached before the policy's give-up time.
// - Grants for all providers come in one answer and serve every further try, so that nothing here
//   waits for a service that is away, until a grant is refused or expires.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "cedana/remote/http_api.h"
#include "cedana/remote/provider_health.h"
#include "cedana/remote/retry.h"
#include "cedana/remote/wire.h"
#include "core/base/context.h"
#include "core/base/thread.h"
#include "core/http/client.h"

namespace cedana::remote {

// What all packs of a save share. Everything is borrowed.
struct UploadShared {
  // Asks the service for grants of the pack, once.
  std::function<absl::StatusOr<UploadGrants>(const base::Context&, const base::PackId&,
                                             uint64_t bytes, uint32_t crc32c)>
      ask;
  http::Client* data_client = nullptr;
  ProviderHealth* health = nullptr;
  RetryPolicy policy;
  Services services;
  std::atomic<uint64_t>* moved_bytes = nullptr;  // all uploads add what has left
  // When a pack of this save was last stored (Monotonic): moves the give-up time.
  std::function<absl::Duration()> last_success;
  absl::Duration tick = absl::Milliseconds(200);  // how often progress is looked at
  absl::Duration extra_copies_min = absl::Seconds(2);
};

// Run once, by one thread, which decides; each request has a thread of its own, and none is left
// when Run returns, for the bytes are borrowed. At most `copies` + kBesideMax uploads at a time.
class PackUpload {
 public:
  static constexpr size_t kBesideMax = 2;

  PackUpload(const UploadShared& shared, const base::Context& context, const base::PackId& pack,
             std::span<const uint8_t> bytes, uint32_t crc32c);
  ~PackUpload();

  // The providers that acknowledged the pack; at least `ack` failure domains.
  absl::StatusOr<std::vector<std::string>> Run();

 private:
  struct Place;
  struct Asking;
  enum class Verdict { kGoOn, kStored, kFailed };

  // The steps of the deciding thread, over and over.
  void TakeAnswer();
  void TakeEnded();
  void NoteLag();
  Verdict Judge();
  void AskWhereNeeded();
  void StartWhereNeeded();
  void WaitForEvent();

  void TakeGrants(UploadGrants answer);
  void PlanAsk(const absl::Status& failure);
  void TakeResult(Place& place, const absl::Status& status);
  Place* NextPlace(const std::set<std::string>& covered, bool for_ack);
  void Start(Place& place);
  void StopAll();

  bool answered() const { return !places_.empty(); }
  std::set<std::string> AcknowledgedDomains() const;
  // Acknowledged, or on the way there without lagging.
  std::set<std::string> CoveredDomains() const;
  bool CanReachAck() const;
  absl::Status Failure() const;
  absl::Duration Now() const { return shared_.services.clock->Monotonic(); }
  void Signal();

  const UploadShared& shared_;
  const base::Context context_;
  const base::PackId pack_;
  const std::span<const uint8_t> bytes_;
  const uint32_t crc32c_;
  const absl::Duration started_;

  // Of the deciding thread.
  int copies_ = 1;
  int ack_ = 1;
  std::vector<std::unique_ptr<Place>> places_;  // best first, as the service sees it
  std::unique_ptr<Asking> asking_;
  std::optional<Retry> ask_retry_;  // of the present row of failures
  absl::Duration ask_at_;           // not before
  absl::Duration asked_at_;
  absl::Status ask_failure_;   // the last one
  bool ask_is_final_ = false;  // it will not be asked again
  std::optional<absl::Duration> durable_at_;

  absl::Mutex mutex_;  // guards the results in places_ and asking_ as well
  absl::CondVar event_;
  bool happened_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace cedana::remote
