// What the calls of the service work on besides the vault; the node owns it all.
#pragma once

#include "storage/api/request_counts.h"
#include "storage/replica/collector.h"
#include "storage/replica/registry.h"
#include "storage/replica/repair.h"
#include "storage/replica/vault.h"

namespace cedana::api {

struct ServiceParts {
  const replica::Vault* vault = nullptr;
  replica::Collector* collector = nullptr;
  replica::Repairer* repairer = nullptr;
  replica::ProviderRegistry* registry = nullptr;
  RequestCounts* requests = nullptr;  // the service's own
};

}  // namespace cedana::api
