#include "cedana/remote/grant_sink.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::remote {

using base::Json;

GrantSink::GrantSink(const base::SaveId& save, const HttpApi* api, http::Client* data_client,
                     ProviderHealth* health, RetryPolicy policy, Services services)
    : save_(save),
      api_(api),
      last_success_ns_(absl::ToInt64Nanoseconds(services.clock->Monotonic())) {
  shared_.ask = [this](const base::Context& context, const base::PackId& pack, uint64_t bytes,
                       uint32_t crc32c) { return Ask(context, pack, bytes, crc32c); };
  shared_.data_client = data_client;
  shared_.health = health;
  shared_.policy = policy;
  shared_.services = services;
  shared_.moved_bytes = &moved_bytes_;
  shared_.last_success = [this] {
    // Who gives up so long after the last success is patient for longer when that seems later.
    return absl::Nanoseconds(last_success_ns_.load(std::memory_order_relaxed) +
                             more_patience_ns_.load(std::memory_order_relaxed));
  };
}

absl::StatusOr<std::vector<std::string>> GrantSink::Put(const base::Context& context,
                                                        const base::PackId& pack,
                                                        std::span<const uint8_t> bytes,
                                                        uint32_t crc32c) {
  absl::StatusOr<std::vector<std::string>> providers =
      PackUpload(shared_, context, pack, bytes, crc32c).Run();
  if (providers.ok()) {
    last_success_ns_.store(absl::ToInt64Nanoseconds(shared_.services.clock->Monotonic()),
                           std::memory_order_relaxed);
  }
  return providers;
}

void GrantSink::SetPatience(absl::Duration patience) {
  more_patience_ns_ = absl::ToInt64Nanoseconds(patience - shared_.policy.give_up_after);
}

absl::StatusOr<UploadGrants> GrantSink::Ask(const base::Context& context, const base::PackId& pack,
                                            uint64_t bytes, uint32_t crc32c) {
  Json body = {
      {"packs", Json::array({{{"pack", pack.ToHex()}, {"bytes", bytes}, {"crc32c", crc32c}}})}};
  // Hints; those of a request that is lost are lost with it.
  Json reports = ToJson(shared_.health->TakeReports());
  if (!reports.empty()) body["reports"] = std::move(reports);
  CEDANA_ASSIGN_OR_RETURN(
      const Json answer,
      api_->Call(context, "POST", absl::StrCat("/v3/saves/", save_.ToHex(), "/grants"), &body));
  absl::StatusOr<UploadGrants> grants = UploadGrantsFromJson(answer, api_->origin());
  if (!grants.ok()) return base::Annotate(grants.status(), "the storage service's grants");
  return grants;
}

}  // namespace cedana::remote
