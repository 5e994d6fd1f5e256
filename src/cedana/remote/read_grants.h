// The read grants of one hold. Asked for in batches along the order in which packs will be read,
// kept, and renewed before they end. While they last, nothing here needs the service: one that is
// away stops no read for which a grant is held.
#pragma once

#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cedana/remote/http_api.h"
#include "cedana/remote/provider_health.h"
#include "cedana/remote/retry.h"
#include "cedana/remote/wire.h"
#include "core/base/context.h"

namespace cedana::remote {

// Thread-safe. Borrows API and health.
class ReadGrants {
 public:
  ReadGrants(const base::LeaseId& lease, const HttpApi* api, ProviderHealth* health,
             Services services)
      : lease_(lease), api_(api), health_(health), services_(services) {}

  // The packs that will be read, roughly in order. Once, before the first For.
  void Expect(const std::vector<base::PackId>& packs);

  enum class Need {
    kAny,     // those that are kept, unless they end soon
    kNewer,   // the shards may have moved: others, or the same when the service is away
    kOthers,  // those that are kept were refused
  };
  // One for each provider that has the pack, best first as the service sees it. One request at
  // most; kUnavailable where another may help.
  absl::StatusOr<std::vector<Grant>> For(const base::Context& context, const base::PackId& pack,
                                         Need need);

 private:
  struct Kept {
    std::vector<Grant> grants;
    absl::Time expires;  // of the first that ends
  };

  const Kept* Good(const base::PackId& pack, absl::Duration left) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  std::optional<size_t> PlaceOf(const base::PackId& pack) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // `pack`, and those that follow it and have no grants.
  std::vector<base::PackId> BatchFrom(const base::PackId& pack) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Where those ahead of `pack` run out.
  std::optional<base::PackId> Ahead(const base::PackId& pack) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Waits for the turn to ask.
  absl::Status TakeTurn(const base::Context& context) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Ask(const base::Context& context, const std::vector<base::PackId>& packs);
  absl::Status AskBatch(const base::Context& context, const std::vector<base::PackId>& packs);

  const base::LeaseId lease_;
  const HttpApi* const api_;
  ProviderHealth* const health_;
  const Services services_;

  absl::Mutex mutex_;
  absl::CondVar asked_;
  bool asking_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration not_before_ ABSL_GUARDED_BY(mutex_);  // of requests that are not urgent
  std::vector<base::PackId> expected_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<base::PackId, size_t> places_ ABSL_GUARDED_BY(mutex_);  // in expected_
  absl::flat_hash_map<base::PackId, Kept> kept_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::remote
