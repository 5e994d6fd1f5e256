// What `status` and the metrics say about providers and debt (docs/http.md).
#pragma once

#include "absl/status/statusor.h"
#include "core/base/json.h"
#include "storage/replica/vault.h"

namespace cedana::api {

absl::StatusOr<base::Json> ProvidersJson(const replica::Vault& vault);
absl::StatusOr<base::Json> DebtJson(const replica::Vault& vault);

}  // namespace cedana::api
