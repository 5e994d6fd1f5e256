// transfer::Catalog over the service's /v3 interface.
//
// Every call of the interface may be repeated with the same ids, so all are retried here, with two
// exceptions: Commit makes a single attempt, because transfer::Save decides between asking for the
// outcome and trying again while it watches the commit's own deadline; and a repeated Delete or
// Close that finds nothing after a lost answer counts as done.
#pragma once

#include <string>
#include <vector>

#include "cedana/remote/http_api.h"
#include "cedana/remote/retry.h"
#include "core/transfer/catalog.h"

namespace cedana::remote {

// Thread-safe. Borrows the API.
class HttpCatalog : public transfer::Catalog {
 public:
  HttpCatalog(const HttpApi* api, RetryPolicy policy, Services services)
      : api_(api), policy_(policy), services_(services) {}

  absl::StatusOr<transfer::BegunSave> Begin(const base::Context& context,
                                            const transfer::BeginRequest& request) override;
  absl::Status Heartbeat(const base::Context& context, const base::SaveId& save) override;
  // One attempt. kUnknown also when `context` ended, or the service failed, after the request may
  // have been sent.
  absl::StatusOr<transfer::CheckpointInfo> Commit(const base::Context& context,
                                                  const transfer::CommitRequest& request) override;
  absl::Status Abort(const base::Context& context, const base::SaveId& save) override;
  absl::StatusOr<transfer::SaveOutcome> Outcome(const base::Context& context,
                                                const base::SaveId& save) override;
  absl::StatusOr<transfer::OpenedCheckpoint> Open(const base::Context& context,
                                                  const std::string& path,
                                                  const base::LeaseId& lease) override;
  absl::Status RenewHold(const base::Context& context, const base::LeaseId& lease) override;
  absl::Status Close(const base::Context& context, const base::LeaseId& lease) override;
  absl::StatusOr<std::vector<transfer::CheckpointInfo>> List(
      const base::Context& context, const transfer::ListQuery& query) override;
  absl::Status Delete(const base::Context& context, const std::string& path) override;

 private:
  // `what` is put before an error's text: "begin my-checkpoints/a".
  absl::StatusOr<base::Json> Call(const base::Context& context, absl::string_view what,
                                  absl::string_view method, const std::string& target,
                                  const base::Json* body = nullptr);
  absl::Status DeleteCall(const base::Context& context, absl::string_view what,
                          const std::string& target);

  const HttpApi* const api_;
  const RetryPolicy policy_;
  const Services services_;
};

}  // namespace cedana::remote
