// The calls of docs/http.md, one function each. An error that is returned becomes the answer,
// unless one was sent already.
#pragma once

#include "absl/status/status.h"
#include "storage/api/call.h"
#include "storage/api/service_parts.h"
#include "storage/replica/org_catalog.h"
#include "storage/replica/vault.h"

namespace cedana::api {

using replica::OrgCatalog;
class BulkSlots;

// native.cc: /v3 with an organisation's token.
absl::Status BeginSave(Call& call, OrgCatalog& catalog);
absl::Status HeartbeatSave(Call& call, OrgCatalog& catalog);
absl::Status GrantUploads(Call& call, OrgCatalog& catalog);
absl::Status CommitSave(Call& call, OrgCatalog& catalog);
absl::Status AbortSave(Call& call, OrgCatalog& catalog);
absl::Status GetSave(Call& call, OrgCatalog& catalog);
absl::Status OpenCheckpoint(Call& call, OrgCatalog& catalog);
absl::Status HeartbeatLease(Call& call, OrgCatalog& catalog);
absl::Status GrantReads(Call& call, OrgCatalog& catalog);
absl::Status ReportDamage(Call& call, OrgCatalog& catalog, replica::Repairer& repairer);
absl::Status CloseLease(Call& call, OrgCatalog& catalog);
absl::Status ListCheckpoints(Call& call, OrgCatalog& catalog);
absl::Status DeleteCheckpoint(Call& call, OrgCatalog& catalog);

// files.cc: /v2 with a token, and deletion of files.
absl::Status GetUser(Call& call, OrgCatalog& catalog);
absl::Status GetFile(Call& call, OrgCatalog& catalog);
absl::Status PutFile(Call& call, OrgCatalog& catalog);
absl::Status ListFolder(Call& call, OrgCatalog& catalog);
absl::Status DeleteFile(Call& call, OrgCatalog& catalog);

// data.cc and upload.cc: /v2/data, by grant.
absl::Status GetData(Call& call, const replica::Vault& vault, BulkSlots& slots);
absl::Status PutData(Call& call, const replica::Vault& vault, BulkSlots& slots);
// Is there an archive view of this suffix (".tar.gz")?
bool IsViewSuffix(absl::string_view suffix);
// The entity tag of an uploaded file: each version has an id of its own.
std::string FileTag(const base::CheckpointId& id);

// objects.cc: a directory provider's objects, by grant.
absl::Status PutObject(Call& call, const replica::Vault& vault);
absl::Status GetObject(Call& call, const replica::Vault& vault);

// admin.cc: /v3/admin with an operator's token.
absl::Status CreateOrganisation(Call& call, const replica::Vault& vault);
absl::Status ListOrganisations(Call& call, const replica::Vault& vault);
absl::Status CreateToken(Call& call, const replica::Vault& vault);
absl::Status ListTokens(Call& call, const replica::Vault& vault);
absl::Status RevokeToken(Call& call, const replica::Vault& vault);
absl::Status Collect(Call& call, const ServiceParts& parts);

// providers.cc and metrics.cc: as above.
absl::Status ListProviders(Call& call, const ServiceParts& parts);
absl::Status AddProvider(Call& call, const ServiceParts& parts);
absl::Status TestProvider(Call& call, const ServiceParts& parts);
absl::Status RemoveProvider(Call& call, const ServiceParts& parts);
absl::Status ShowPolicy(Call& call, const ServiceParts& parts);
absl::Status SetPolicy(Call& call, const ServiceParts& parts);
absl::Status GetStatus(Call& call, const ServiceParts& parts);
absl::Status Repair(Call& call, const ServiceParts& parts);
absl::Status GetMetrics(Call& call, const ServiceParts& parts);

}  // namespace cedana::api
