// JSON of the /v3 interface (docs/http.md) and the structures of core/transfer. Whatever the other
// side sends is checked: kInvalidArgument names the member that is wrong.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cedana/remote/provider_health.h"
#include "core/base/json.h"
#include "core/http/client.h"
#include "core/objstore/dialect.h"
#include "core/transfer/catalog.h"

namespace cedana::remote {

// What allows one upload or any reads of one shard.
struct Grant {
  base::PackId pack;
  std::string provider;
  std::string domain;  // of failure: what fails together
  objstore::Dialect dialect = objstore::Dialect::kDirectory;
  std::string method;
  std::string url;  // its query is an authorisation: in no text
  http::Headers headers;
  absl::Time expires;
};

base::Json ToJson(const transfer::BeginRequest& request);
base::Json ToJson(const transfer::CommitRequest& request);
// The query of GET /v3/checkpoints, with its '?' unless empty.
std::string ToQuery(const transfer::ListQuery& query);

absl::StatusOr<transfer::BegunSave> BegunSaveFromJson(const base::Json& json);
absl::StatusOr<transfer::CheckpointInfo> CheckpointFromJson(const base::Json& json);
absl::StatusOr<transfer::OpenedCheckpoint> OpenedFromJson(const base::Json& json);
absl::StatusOr<std::vector<transfer::CheckpointInfo>> CheckpointsFromJson(const base::Json& json);
absl::StatusOr<transfer::SaveOutcome> OutcomeFromJson(const base::Json& json);
absl::StatusOr<format::OrganisationKeys> KeysFromJson(const base::Json& json);
// `origin` completes URLs that are paths.
absl::StatusOr<std::vector<Grant>> GrantsFromJson(const base::Json& json,
                                                  const std::string& origin);

// Grants for the upload of packs: for every provider that can be used, best first.
struct UploadGrants {
  int copies = 0;  // in different failure domains; zero: one under each grant, all are needed
  int ack = 0;     // so many make the pack durable
  std::vector<Grant> grants;
};
absl::StatusOr<UploadGrants> UploadGrantsFromJson(const base::Json& json,
                                                  const std::string& origin);

// {"aws-1": {"ok": 3, "failed": 0, …}, …}
base::Json ToJson(const std::vector<ProviderReport>& reports);

}  // namespace cedana::remote
