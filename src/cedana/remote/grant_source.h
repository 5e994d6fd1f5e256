// transfer::PackSource that reads ranges of packs straight from the providers under grants of the
// service: grants from read_grants.h, each range by the rules of pack_read.h, bad shards told by
// damage_reports.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cedana/remote/damage_reports.h"
#include "cedana/remote/http_api.h"
#include "cedana/remote/pack_read.h"
#include "cedana/remote/provider_health.h"
#include "cedana/remote/read_grants.h"
#include "cedana/remote/retry.h"
#include "core/http/client.h"
#include "core/transfer/pack_source.h"

namespace cedana::remote {

struct ReadPolicies {
  RetryPolicy read;    // gives up when for so long neither a read nor a neighbour has succeeded
  RetryPolicy report;  // of damage
};

// Thread-safe; one for each hold. Borrows API, client and health.
class GrantSource : public transfer::PackSource {
 public:
  // `data_client`'s stall timeout ends a read that makes no progress.
  GrantSource(const base::LeaseId& lease, const HttpApi* api, http::Client* data_client,
              ProviderHealth* health, const ReadPolicies& policies, Services services);

  // Errors name the providers that were asked; the caller names the pack.
  absl::StatusOr<std::string> Read(const base::Context& context, const base::PackId& pack,
                                   uint64_t offset, std::span<uint8_t> out,
                                   std::span<const std::string> avoid) override;
  void ReportDamage(const base::PackId& pack, const std::string& provider,
                    const absl::Status& what) override;
  void Expect(const std::vector<base::PackId>& packs) override { grants_.Expect(packs); }

  // For tests: how often progress is looked at, and when a read counts as stopped.
  void SetTimes(absl::Duration tick, absl::Duration stopped_after) {
    shared_.tick = tick;
    shared_.stopped_after = stopped_after;
  }

 private:
  struct Round {
    absl::StatusOr<std::string> provider;
    bool refused = false;  // a grant was
  };
  // Every provider of the pack once, at most.
  Round ReadOnce(const base::Context& context, const base::PackId& pack, uint64_t offset,
                 std::span<uint8_t> out, std::span<const std::string> avoid, ReadGrants::Need need);

  const RetryPolicy policy_;
  SecondReads second_reads_;
  ReadShared shared_;
  ReadGrants grants_;
  std::atomic<int64_t> last_success_ns_;  // Monotonic
  DamageReports damage_;
};

}  // namespace cedana::remote
