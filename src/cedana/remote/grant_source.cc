#include "cedana/remote/grant_source.h"

#include <algorithm>
#include <utility>

#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::remote {

GrantSource::GrantSource(const base::LeaseId& lease, const HttpApi* api, http::Client* data_client,
                         ProviderHealth* health, const ReadPolicies& policies, Services services)
    : policy_(policies.read),
      second_reads_(base::kSecondReadsBytesMax),
      grants_(lease, api, health, services),
      last_success_ns_(absl::ToInt64Nanoseconds(services.clock->Monotonic())),
      damage_(lease, api, policies.report, services) {
  shared_.data_client = data_client;
  shared_.health = health;
  shared_.second_reads = &second_reads_;
  shared_.services = services;
}

absl::StatusOr<std::string> GrantSource::Read(const base::Context& context,
                                              const base::PackId& pack, uint64_t offset,
                                              std::span<uint8_t> out,
                                              std::span<const std::string> avoid) {
  Retry retry(policy_, context, shared_.services, [this] {
    return absl::Nanoseconds(last_success_ns_.load(std::memory_order_relaxed));
  });
  ReadGrants::Need need = ReadGrants::Need::kAny;
  while (true) {
    Round round = ReadOnce(retry.AttemptContext(), pack, offset, out, avoid, need);
    if (round.provider.ok()) {
      last_success_ns_.store(absl::ToInt64Nanoseconds(shared_.services.clock->Monotonic()),
                             std::memory_order_relaxed);
      return round.provider;
    }
    // Refused grants are renewed, once in a row and without a pause.
    const bool renew = round.refused && need != ReadGrants::Need::kOthers;
    if (!renew) {
      const absl::Status final = retry.Wait(round.provider.status(), /*repeat_is_safe=*/true);
      if (!final.ok()) return final;
    }
    need = renew ? ReadGrants::Need::kOthers : ReadGrants::Need::kNewer;
  }
}

GrantSource::Round GrantSource::ReadOnce(const base::Context& context, const base::PackId& pack,
                                         uint64_t offset, std::span<uint8_t> out,
                                         std::span<const std::string> avoid,
                                         ReadGrants::Need need) {
  absl::StatusOr<std::vector<Grant>> grants = grants_.For(context, pack, need);
  if (!grants.ok()) return {grants.status()};
  std::erase_if(*grants, [&](const Grant& grant) {
    return std::find(avoid.begin(), avoid.end(), grant.provider) != avoid.end();
  });
  PackRead read(shared_, context, *std::move(grants), offset, out);
  Round round{read.Run()};
  for (const auto& [provider, failure] : read.failures()) {
    round.refused = round.refused || absl::IsPermissionDenied(failure);
    // Its shard is gone or too short, and the policy's number of copies with it.
    if (absl::IsNotFound(failure) || absl::IsDataLoss(failure)) {
      damage_.Add(pack, provider, failure);
    }
  }
  return round;
}

void GrantSource::ReportDamage(const base::PackId& pack, const std::string& provider,
                               const absl::Status& what) {
  shared_.health->Damaged(provider, what);
  damage_.Add(pack, provider, what);
}

}  // namespace cedana::remote
