// The service behind the HTTP server: finds the call, judges the token, runs the handler, logs one
// line per request. No token, grant or key ends in a log.
#pragma once

#include "core/base/context.h"
#include "core/http/server.h"
#include "storage/api/bulk_slots.h"
#include "storage/api/call.h"
#include "storage/api/service_parts.h"

namespace cedana::api {

// Thread-safe. The parts outlive it.
class Service {
 public:
  explicit Service(const ServiceParts& parts, const BulkLimits& bulk = {})
      : parts_(parts), vault_(*parts.vault), bulk_slots_(vault_.clock, bulk) {
    parts_.requests = &requests_;
  }

  void Handle(http::Exchange& exchange);

 private:
  absl::Status Dispatch(Call& call);
  absl::Status DispatchPublic(Call& call, bool* found);

  RequestCounts requests_;
  ServiceParts parts_;
  const replica::Vault& vault_;
  BulkSlots bulk_slots_;
};

}  // namespace cedana::api
