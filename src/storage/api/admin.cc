#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/api/handlers.h"
#include "storage/api/organisations.h"
#include "storage/metadata/tokens.h"
#include "storage/replica/collector.h"

namespace cedana::api {
namespace {

using base::Json;

constexpr size_t kBodyBytesMax = 64u << 10;

Json ToJson(const metadata::Organisation& organisation) {
  return {{"organisation", organisation.id.ToHex()}, {"name", organisation.name}};
}

}  // namespace

absl::Status CreateOrganisation(Call& call, const replica::Vault& vault) {
  CEDANA_ASSIGN_OR_RETURN(const Json body, call.ReadJson(kBodyBytesMax));
  CEDANA_ASSIGN_OR_RETURN(const std::string name, base::GetString(body, "name"));
  CEDANA_ASSIGN_OR_RETURN(const metadata::Organisation made, MakeOrganisation(vault, name));
  base::LogInfo("organisation created", {{"request", call.request_id()}, {"name", name}});
  return call.Send(200, ToJson(made));
}

absl::Status ListOrganisations(Call& call, const replica::Vault& vault) {
  CEDANA_ASSIGN_OR_RETURN(const auto rows, vault.metadata->identities().Organisations());
  Json list = Json::array();
  for (const metadata::Organisation& row : rows) list.push_back(ToJson(row));
  return call.Send(200, {{"organisations", std::move(list)}});
}

absl::Status CreateToken(Call& call, const replica::Vault& vault) {
  CEDANA_ASSIGN_OR_RETURN(const Json body, call.ReadJson(kBodyBytesMax));
  CEDANA_ASSIGN_OR_RETURN(const std::string name, base::GetString(body, "organisation"));
  CEDANA_ASSIGN_OR_RETURN(const metadata::Organisation organisation,
                          vault.metadata->identities().FindOrganisation(name));
  const metadata::DrawnToken drawn = metadata::DrawToken(*vault.random, organisation.id);
  CEDANA_RETURN_IF_ERROR(vault.metadata->identities().AddToken(drawn.row));
  base::LogInfo(
      "token created",
      {{"request", call.request_id()}, {"organisation", name}, {"token_id", drawn.row.id}});
  return call.Send(200, {{"id", drawn.row.id}, {"token", drawn.text}});
}

absl::Status ListTokens(Call& call, const replica::Vault& vault) {
  CEDANA_ASSIGN_OR_RETURN(const auto rows,
                          vault.metadata->identities().Tokens(call.Query("organisation")));
  Json list = Json::array();
  for (const metadata::Token& row : rows) {
    list.push_back({{"id", row.id},
                    {"organisation", row.organisation_name},
                    {"operator", !row.organisation.has_value()},
                    {"created_ms", row.created_ms},
                    {"revoked", row.revoked}});
  }
  return call.Send(200, {{"tokens", std::move(list)}});
}

absl::Status RevokeToken(Call& call, const replica::Vault& vault) {
  const std::string id = metadata::TokenId(call.segments()[3]);
  CEDANA_RETURN_IF_ERROR(vault.metadata->identities().RevokeToken(id));
  base::LogInfo("token revoked", {{"request", call.request_id()}, {"token_id", id}});
  return call.Send(200, Json::object());
}

absl::Status Collect(Call& call, const ServiceParts& parts) {
  CEDANA_ASSIGN_OR_RETURN(const replica::CollectionCounts counts,
                          parts.collector->Round(call.context()));
  return call.Send(200, {{"swept_saves", counts.swept_saves},
                         {"swept_objects", counts.swept_objects},
                         {"deleted_checkpoints", counts.deleted_checkpoints},
                         {"condemned", counts.condemned_packs},
                         {"deleted_packs", counts.deleted_packs},
                         {"deleted_bytes", counts.deleted_bytes},
                         {"chores_done", counts.chores_done},
                         {"chores_left", counts.chores_left}});
}

}  // namespace cedana::api
