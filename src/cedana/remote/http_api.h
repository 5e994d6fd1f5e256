// One JSON call to the service, and what its answers mean (docs/http.md). Tries nothing twice.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/context.h"
#include "core/base/json.h"
#include "core/base/random.h"
#include "core/http/client.h"

namespace cedana::remote {

// The error that an answer outside 2xx stands for: by the `code` of its body, else by its status.
// Retry-After is carried along (retry.h). `what` names the other side.
absl::Status ErrorOf(absl::string_view what, const http::ClientResponse& response);

// Thread-safe.
class HttpApi {
 public:
  // `origin`: as ParseServiceUrl gives it. `operation`: of which all calls are part; may be empty.
  // Borrows the client.
  HttpApi(std::string origin, std::string token, http::Client* client, std::string operation = "",
          base::Random* random = &base::SystemRandom())
      : origin_(std::move(origin)),
        token_(std::move(token)),
        client_(client),
        operation_(std::move(operation)),
        random_(random) {}

  // `target`: "/v3/…", percent-encoded; `body`: null for none. Errors: those of http::Client and of
  // ErrorOf; kUnknown when an answer came that cannot be understood or was cut: what it said is not
  // known. Every request carries an X-Request-Id of its own, "<operation>-<count>", under which the
  // service logs it; the text of an error that is the service's, or whose answer was lost, names
  // it.
  absl::StatusOr<base::Json> Call(const base::Context& context, absl::string_view method,
                                  absl::string_view target, const base::Json* body = nullptr) const;
  // The plain text of a 200 answer.
  absl::StatusOr<std::string> CallText(const base::Context& context, absl::string_view method,
                                       absl::string_view target) const;

  const std::string& origin() const { return origin_; }

 private:
  absl::StatusOr<std::string> Do(const base::Context& context, absl::string_view method,
                                 absl::string_view target, const base::Json* body) const;
  std::string NewRequestId() const;

  const std::string origin_;
  const std::string token_;
  http::Client* const client_;
  const std::string operation_;
  base::Random* const random_;
  mutable std::atomic<uint64_t> requests_{0};
};

}  // namespace cedana::remote
