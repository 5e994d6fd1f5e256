// transfer::PackSink that puts packs straight to the providers under grants of the service.
//
// For each pack: ask for grants (one per copy that the placement policy wants), upload to each that
// has not acknowledged yet, until all have. A grant that was refused is asked for again; "exists
// already" with the same size and checksum is the answer to an upload whose own answer was lost.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cedana/remote/http_api.h"
#include "cedana/remote/retry.h"
#include "cedana/remote/wire.h"
#include "core/http/client.h"
#include "core/transfer/pack_sink.h"

namespace cedana::remote {

// Thread-safe; one for each save. Borrows API and client.
class GrantSink : public transfer::PackSink {
 public:
  // A Put gives up when for `policy.give_up_after` neither it nor a neighbour has succeeded.
  // `data_client`'s stall timeout ends an upload that makes no progress.
  GrantSink(const base::SaveId& save, const HttpApi* api, http::Client* data_client,
            RetryPolicy policy, Services services);

  // kResourceExhausted: a provider is full. kAlreadyExists: other bytes lie there.
  // kFailedPrecondition: the save's lease has ended. kUnavailable: gave up. Texts name the
  // provider; the caller names the pack.
  absl::StatusOr<std::vector<std::string>> Put(const base::Context& context,
                                               const base::PackId& pack,
                                               std::span<const uint8_t> bytes,
                                               uint32_t crc32c) override;

 private:
  struct Upload;
  // Moves `upload` on: new grants when needed, then each provider that is still missing.
  absl::Status Attempt(const base::Context& context, Upload& upload);
  absl::StatusOr<std::vector<Grant>> AskForGrants(const base::Context& context,
                                                  const Upload& upload);
  absl::Status PutTo(const base::Context& context, const Grant& grant, const Upload& upload);

  const base::SaveId save_;
  const HttpApi* const api_;
  http::Client* const data_client_;
  const RetryPolicy policy_;
  const Services services_;
  std::atomic<int64_t> last_success_ns_;  // Monotonic
};

}  // namespace cedana::remote
