#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/http/client.h"
#include "storage/cli/commands.h"
#include "storage/cli/service_call.h"
#include "storage/metadata/tokens.h"

namespace cedana::cli {
namespace {

using base::Json;

constexpr absl::Duration kCollectTimeout = absl::Minutes(10);

std::string When(const Json& row) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S",
                          absl::FromUnixMillis(base::IntOr(row, "created_ms", 0)),
                          absl::LocalTimeZone());
}

}  // namespace

absl::Status CreateOrganisation(const AdminOptions& options, const std::string& name) {
  const Json body = {{"name", name}};
  CEDANA_ASSIGN_OR_RETURN(const Json made, CallService(options, "POST", "/v3/admin/orgs", &body));
  if (options.json) {
    PrintJson(made);
  } else {
    std::printf("%s  %s\n", base::StringOr(made, "organisation", "").c_str(), name.c_str());
  }
  return absl::OkStatus();
}

absl::Status ListOrganisations(const AdminOptions& options) {
  CEDANA_ASSIGN_OR_RETURN(const Json list,
                          ListFromService(options, "/v3/admin/orgs", "organisations"));
  if (options.json) {
    PrintJson(list);
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows = {{"ID", "NAME"}};
  for (const Json& row : list) {
    rows.push_back({base::StringOr(row, "organisation", ""), base::StringOr(row, "name", "")});
  }
  PrintTable(rows);
  return absl::OkStatus();
}

absl::Status CreateToken(const AdminOptions& options, const std::string& organisation) {
  const Json body = {{"organisation", organisation}};
  CEDANA_ASSIGN_OR_RETURN(const Json made, CallService(options, "POST", "/v3/admin/tokens", &body));
  if (options.json) {
    PrintJson(made);
  } else {
    // The token alone, so that it can be piped where it belongs; it is shown only now.
    std::printf("%s\n", base::StringOr(made, "token", "").c_str());
  }
  return absl::OkStatus();
}

absl::Status ListTokens(const AdminOptions& options, const std::string& organisation) {
  CEDANA_ASSIGN_OR_RETURN(const Json list,
                          ListFromService(options,
                                          absl::StrCat("/v3/admin/tokens?organisation=",
                                                       http::PercentEncode(organisation)),
                                          "tokens"));
  if (options.json) {
    PrintJson(list);
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows = {{"ID", "ORGANISATION", "CREATED", "STATE"}};
  for (const Json& row : list) {
    const bool is_operator = base::BoolOr(row, "operator", false);
    rows.push_back({base::StringOr(row, "id", ""),
                    is_operator ? "(operator)" : base::StringOr(row, "organisation", ""), When(row),
                    base::BoolOr(row, "revoked", false) ? "revoked" : "valid"});
  }
  PrintTable(rows);
  return absl::OkStatus();
}

absl::Status RevokeToken(const AdminOptions& options, const std::string& id_or_token) {
  const std::string id = metadata::TokenId(id_or_token);
  CEDANA_RETURN_IF_ERROR(CallService(options, "DELETE",
                                     absl::StrCat("/v3/admin/tokens/", http::PercentEncode(id)),
                                     nullptr)
                             .status());
  std::printf("revoked %s\n", id.c_str());
  return absl::OkStatus();
}

absl::Status Collect(const AdminOptions& options) {
  const Json body = Json::object();
  CEDANA_ASSIGN_OR_RETURN(
      const Json counts, CallService(options, "POST", "/v3/admin/collect", &body, kCollectTimeout));
  if (options.json) {
    PrintJson(counts);
    return absl::OkStatus();
  }
  std::string line;
  for (const auto& [name, value] : counts.items()) {
    absl::StrAppend(&line, line.empty() ? "" : " ", name, "=", base::DumpJson(value));
  }
  std::printf("%s\n", line.c_str());
  return absl::OkStatus();
}

}  // namespace cedana::cli
