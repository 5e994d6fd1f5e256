#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/api/handlers.h"
#include "storage/api/wire.h"
#include "storage/metadata/paths.h"

namespace cedana::api {
namespace {

using base::Json;

constexpr size_t kSmallBodyBytesMax = 1u << 20;

absl::string_view StateName(metadata::SaveState state) {
  switch (state) {
    case metadata::SaveState::kOpen:
      return "open";
    case metadata::SaveState::kCommitted:
      return "committed";
    case metadata::SaveState::kAborted:
      return "aborted";
    case metadata::SaveState::kUnknown:
      break;
  }
  return "unknown";
}

// A number in the query; absent is 0.
absl::StatusOr<uint64_t> NumberIn(const Call& call, const std::string& name) {
  const std::string text = call.Query(name);
  uint64_t value = 0;
  if (text.empty()) return value;
  if (!absl::SimpleAtoi(text, &value) || value > INT64_MAX) {
    return absl::InvalidArgumentError(absl::StrCat("query: ", name, " must be a number"));
  }
  return value;
}

}  // namespace

absl::Status BeginSave(Call& call, OrgCatalog& catalog) {
  CEDANA_ASSIGN_OR_RETURN(const auto save, call.IdAt<base::SaveId>(2));
  CEDANA_ASSIGN_OR_RETURN(const Json body, call.ReadJson(kSmallBodyBytesMax));
  CEDANA_ASSIGN_OR_RETURN(transfer::BeginRequest request, BeginFromJson(body, save));
  CEDANA_ASSIGN_OR_RETURN(request.path, metadata::NormalisePath(request.path));
  CEDANA_ASSIGN_OR_RETURN(const transfer::BegunSave begun, catalog.Begin(call.context(), request));
  return call.Send(200, {{"path", begun.path},
                         {"keys", ToJson(begun.keys)},
                         {"lease_ms", absl::ToInt64Milliseconds(begun.lease)},
                         {"heartbeat_ms", absl::ToInt64Milliseconds(begun.heartbeat)}});
}

absl::Status HeartbeatSave(Call& call, OrgCatalog& catalog) {
  CEDANA_ASSIGN_OR_RETURN(const auto save, call.IdAt<base::SaveId>(2));
  CEDANA_RETURN_IF_ERROR(catalog.Heartbeat(call.context(), save));
  return call.Send(200, {{"lease_ms", absl::ToInt64Milliseconds(catalog.vault().times.lease)}});
}

absl::Status GrantUploads(Call& call, OrgCatalog& catalog) {
  CEDANA_ASSIGN_OR_RETURN(const auto save, call.IdAt<base::SaveId>(2));
  CEDANA_ASSIGN_OR_RETURN(const Json body, call.ReadJson(kSmallBodyBytesMax));
  CEDANA_ASSIGN_OR_RETURN(const auto wanted, WantedPacksFromJson(body));
  CEDANA_ASSIGN_OR_RETURN(const auto reports, ReportsFromJson(body));
  CEDANA_ASSIGN_OR_RETURN(const metadata::Policy policy, catalog.Policy());
  CEDANA_ASSIGN_OR_RETURN(const auto grants, catalog.GrantUploads(save, wanted));
  // After the grants: only who has a living save is listened to.
  for (const auto& [provider, report] : reports) catalog.Report(provider, report);
  Json answer = ToJson(grants, call.Origin(), call.request_id(), /*reads=*/false);
  answer["copies"] = policy.copies;
  answer["ack"] = policy.ack;
  return call.Send(200, answer);
}

absl::Status CommitSave(Call& call, OrgCatalog& catalog) {
  CEDANA_ASSIGN_OR_RETURN(const auto save, call.IdAt<base::SaveId>(2));
  CEDANA_ASSIGN_OR_RETURN(const Json body, call.ReadJson(base::kJsonBodyBytesMax));
  CEDANA_ASSIGN_OR_RETURN(const transfer::CommitRequest request, CommitFromJson(body, save));
  CEDANA_ASSIGN_OR_RETURN(const transfer::CheckpointInfo info,
                          catalog.Commit(call.context(), request));
  base::LogInfo("checkpoint committed", {{"request", call.request_id()},
                                         {"organisation", catalog.organisation().ToHex()},
                                         {"path", info.path},
                                         {"sequence", info.sequence},
                                         {"new_bytes", info.new_bytes}});
  return call.Send(200, ToJson(info));
}

absl::Status AbortSave(Call& call, OrgCatalog& catalog) {
  CEDANA_ASSIGN_OR_RETURN(const auto save, call.IdAt<base::SaveId>(2));
  CEDANA_RETURN_IF_ERROR(catalog.Abort(call.context(), save));
  return call.Send(200, Json::object());
}

absl::Status GetSave(Call& call, OrgCatalog& catalog) {
  CEDANA_ASSIGN_OR_RETURN(const auto save, call.IdAt<base::SaveId>(2));
  CEDANA_ASSIGN_OR_RETURN(const metadata::Save found, catalog.FindSave(save));
  return call.Send(200, {{"state", std::string(StateName(found.state))}, {"path", found.path}});
}

absl::Status OpenCheckpoint(Call& call, OrgCatalog& catalog) {
  CEDANA_ASSIGN_OR_RETURN(const Json body, call.ReadJson(kSmallBodyBytesMax));
  CEDANA_ASSIGN_OR_RETURN(const std::string path, base::GetString(body, "path"));
  CEDANA_ASSIGN_OR_RETURN(const base::LeaseId lease, LeaseFromJson(body));
  CEDANA_ASSIGN_OR_RETURN(const transfer::OpenedCheckpoint opened,
                          catalog.Open(call.context(), path, lease));
  return call.Send(200, {{"checkpoint", ToJson(opened.info)},
                         {"keys", ToJson(opened.keys)},
                         {"manifest", base::Base64Encode(opened.manifest)},
                         {"lease_ms", absl::ToInt64Milliseconds(opened.lease)},
                         {"heartbeat_ms", absl::ToInt64Milliseconds(opened.heartbeat)}});
}

absl::Status HeartbeatLease(Call& call, OrgCatalog& catalog) {
  CEDANA_ASSIGN_OR_RETURN(const auto lease, call.IdAt<base::LeaseId>(2));
  CEDANA_RETURN_IF_ERROR(catalog.RenewHold(call.context(), lease));
  return call.Send(200, {{"lease_ms", absl::ToInt64Milliseconds(catalog.vault().times.lease)}});
}

absl::Status GrantReads(Call& call, OrgCatalog& catalog) {
  CEDANA_ASSIGN_OR_RETURN(const auto lease, call.IdAt<base::LeaseId>(2));
  CEDANA_ASSIGN_OR_RETURN(const Json body, call.ReadJson(kSmallBodyBytesMax));
  CEDANA_ASSIGN_OR_RETURN(const auto packs, PackIdsFromJson(body));
  CEDANA_ASSIGN_OR_RETURN(const auto reports, ReportsFromJson(body));
  CEDANA_ASSIGN_OR_RETURN(const auto grants, catalog.GrantReads(lease, packs));
  // After the grants: only who has a living hold is listened to.
  for (const auto& [provider, report] : reports) catalog.Report(provider, report);
  return call.Send(200, ToJson(grants, call.Origin(), call.request_id(), /*reads=*/true));
}

absl::Status ReportDamage(Call& call, OrgCatalog& catalog, replica::Repairer& repairer) {
  CEDANA_ASSIGN_OR_RETURN(const auto lease, call.IdAt<base::LeaseId>(2));
  CEDANA_ASSIGN_OR_RETURN(const Json body, call.ReadJson(kSmallBodyBytesMax));
  CEDANA_ASSIGN_OR_RETURN(const std::string hex, base::GetString(body, "pack"));
  CEDANA_ASSIGN_OR_RETURN(const auto pack, base::PackId::FromHex(hex));
  CEDANA_ASSIGN_OR_RETURN(const std::string provider, base::GetString(body, "provider"));
  CEDANA_RETURN_IF_ERROR(catalog.RequireHeld(lease, pack));
  CEDANA_ASSIGN_OR_RETURN(
      const replica::DamageVerdict verdict,
      repairer.Inspect(call.context(), metadata::ObjectRef::Pack(catalog.organisation(), pack),
                       provider));
  base::LogWarn("damage reported",
                {{"request", call.request_id()},
                 {"organisation", catalog.organisation().ToHex()},
                 {"pack", pack.ToHex()},
                 {"provider", provider.substr(0, 64)},
                 {"client_says", base::StringOr(body, "what", "").substr(0, 200)},
                 {"verdict", replica::DamageName(verdict)}});
  return call.Send(200, {{"verdict", replica::DamageName(verdict)}});
}

absl::Status CloseLease(Call& call, OrgCatalog& catalog) {
  CEDANA_ASSIGN_OR_RETURN(const auto lease, call.IdAt<base::LeaseId>(2));
  CEDANA_RETURN_IF_ERROR(catalog.Close(call.context(), lease));
  return call.Send(200, Json::object());
}

absl::Status ListCheckpoints(Call& call, OrgCatalog& catalog) {
  transfer::ListQuery query;
  query.prefix = call.Query("prefix");
  query.job_name = call.Query("job_name");
  query.job_id = call.Query("job_id");
  query.newest_per_job = call.Query("newest_per_job") == "1";
  CEDANA_ASSIGN_OR_RETURN(query.before_sequence, NumberIn(call, "before_sequence"));
  CEDANA_ASSIGN_OR_RETURN(const uint64_t limit, NumberIn(call, "limit"));
  query.limit =
      limit == 0 || limit > base::kListPageMax ? base::kListPageMax : static_cast<uint32_t>(limit);
  CEDANA_ASSIGN_OR_RETURN(const auto infos, catalog.List(call.context(), query));
  Json list = Json::array();
  for (const transfer::CheckpointInfo& info : infos) list.push_back(ToJson(info));
  return call.Send(200, {{"checkpoints", std::move(list)}});
}

absl::Status DeleteCheckpoint(Call& call, OrgCatalog& catalog) {
  const std::string path = call.Query("path");
  CEDANA_RETURN_IF_ERROR(catalog.Delete(call.context(), path));
  base::LogInfo("checkpoint deleted", {{"request", call.request_id()},
                                       {"organisation", catalog.organisation().ToHex()},
                                       {"path", path}});
  return call.Send(200, Json::object());
}

}  // namespace cedana::api
