// transfer::PackSink that puts packs straight to the providers under grants of the service. For
// each pack it asks for grants and hands it to a PackUpload, which has the rules (pack_upload.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cedana/remote/http_api.h"
#include "cedana/remote/pack_upload.h"
#include "cedana/remote/provider_health.h"
#include "cedana/remote/retry.h"
#include "cedana/remote/wire.h"
#include "core/http/client.h"
#include "core/transfer/pack_sink.h"

namespace cedana::remote {

// Thread-safe; one for each save. Borrows API, client and health.
class GrantSink : public transfer::PackSink {
 public:
  // A Put gives up when for `policy.give_up_after` neither it nor a neighbour has succeeded.
  // `data_client`'s stall timeout ends an upload that makes no progress.
  GrantSink(const base::SaveId& save, const HttpApi* api, http::Client* data_client,
            ProviderHealth* health, RetryPolicy policy, Services services);

  // OK with at least `ack` failure domains of the policy. Else, where several providers failed,
  // what may pass outweighs the rest: kUnavailable. kResourceExhausted: a provider is full.
  // kAlreadyExists: other bytes lie there. kFailedPrecondition: the save's lease has ended. Texts
  // name every provider that was asked; the caller names the pack.
  absl::StatusOr<std::vector<std::string>> Put(const base::Context& context,
                                               const base::PackId& pack,
                                               std::span<const uint8_t> bytes,
                                               uint32_t crc32c) override;

  void SetPatience(absl::Duration patience) override;
  uint64_t moved_bytes() const override { return moved_bytes_; }

  // For tests: how often progress is looked at, and the least chance of copies beyond `ack`.
  void SetTimes(absl::Duration tick, absl::Duration extra_copies_min) {
    shared_.tick = tick;
    shared_.extra_copies_min = extra_copies_min;
  }

 private:
  absl::StatusOr<UploadGrants> Ask(const base::Context& context, const base::PackId& pack,
                                   uint64_t bytes, uint32_t crc32c);

  const base::SaveId save_;
  const HttpApi* const api_;
  UploadShared shared_;
  std::atomic<uint64_t> moved_bytes_{0};
  std::atomic<int64_t> last_success_ns_;      // Monotonic
  std::atomic<int64_t> more_patience_ns_{0};  // than the policy's
};

}  // namespace cedana::remote
