// JSON of the /v3 interface (docs/http.md), the service's side: bodies in, answers out. What a
// client sends is checked here; kInvalidArgument names the member that is wrong.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/json.h"
#include "core/transfer/catalog.h"
#include "storage/replica/org_catalog.h"

namespace cedana::api {

absl::StatusOr<transfer::BeginRequest> BeginFromJson(const base::Json& json,
                                                     const base::SaveId& save);
absl::StatusOr<transfer::CommitRequest> CommitFromJson(const base::Json& json,
                                                       const base::SaveId& save);
absl::StatusOr<std::vector<replica::WantedPack>> WantedPacksFromJson(const base::Json& json);
absl::StatusOr<std::vector<base::PackId>> PackIdsFromJson(const base::Json& json);
absl::StatusOr<base::LeaseId> LeaseFromJson(const base::Json& json);

base::Json ToJson(const format::OrganisationKeys& keys);
base::Json ToJson(const transfer::CheckpointInfo& info);
// What a client saw of the providers; absent is none.
absl::StatusOr<std::vector<std::pair<std::string, replica::ClientReport>>> ReportsFromJson(
    const base::Json& json);
// `origin` stands before the paths of grants that this service serves, and the requests under them
// are to name `request_id`; `reads` adds the objects' sizes.
base::Json ToJson(const std::vector<replica::PackGrant>& grants, const std::string& origin,
                  const std::string& request_id, bool reads);

}  // namespace cedana::api
