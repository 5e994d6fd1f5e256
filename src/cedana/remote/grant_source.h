// transfer::PackSource that reads ranges of packs straight from the providers under grants of the
// service. Grants are kept until shortly before they expire; where several providers hold a pack,
// the next is asked when one fails.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "cedana/remote/http_api.h"
#include "cedana/remote/retry.h"
#include "cedana/remote/wire.h"
#include "core/http/client.h"
#include "core/transfer/pack_source.h"

namespace cedana::remote {

// Thread-safe; one for each hold. Borrows API and client.
class GrantSource : public transfer::PackSource {
 public:
  GrantSource(const base::LeaseId& lease, const HttpApi* api, http::Client* data_client,
              RetryPolicy policy, Services services)
      : lease_(lease), api_(api), data_client_(data_client), policy_(policy), services_(services) {}

  // Errors name the providers that were asked; the caller names the pack.
  absl::StatusOr<std::string> Read(const base::Context& context, const base::PackId& pack,
                                   uint64_t offset, std::span<uint8_t> out) override;

 private:
  // One round over all providers of the pack.
  absl::StatusOr<std::string> Attempt(const base::Context& context, const base::PackId& pack,
                                      uint64_t offset, std::span<uint8_t> out);
  absl::StatusOr<std::vector<Grant>> Grants(const base::Context& context, const base::PackId& pack);
  void Forget(const base::PackId& pack);
  absl::Status ReadFrom(const base::Context& context, const Grant& grant, uint64_t offset,
                        std::span<uint8_t> out);

  const base::LeaseId lease_;
  const HttpApi* const api_;
  http::Client* const data_client_;
  const RetryPolicy policy_;
  const Services services_;

  absl::Mutex mutex_;
  absl::flat_hash_map<base::PackId, std::vector<Grant>> grants_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::remote
