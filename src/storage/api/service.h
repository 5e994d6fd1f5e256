// The service behind the HTTP server: finds the call, judges the token, runs the handler, logs one
// line per request. No token, grant or key ends in a log.
#pragma once

#include "core/base/context.h"
#include "core/http/server.h"
#include "storage/api/bulk_slots.h"
#include "storage/api/call.h"
#include "storage/replica/collector.h"
#include "storage/replica/vault.h"

namespace cedana::api {

// Thread-safe. `vault` and `collector` outlive it.
class Service {
 public:
  Service(const replica::Vault* vault, replica::Collector* collector)
      : vault_(*vault), collector_(*collector) {}

  void Handle(http::Exchange& exchange);

 private:
  absl::Status Dispatch(Call& call);
  absl::Status DispatchPublic(Call& call, bool* found);

  const replica::Vault& vault_;
  replica::Collector& collector_;
  BulkSlots bulk_slots_;
};

}  // namespace cedana::api
