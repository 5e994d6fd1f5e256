#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/api/handlers.h"
#include "storage/api/providers_json.h"
#include "storage/replica/examine.h"
#include "storage/replica/scrub.h"

namespace cedana::api {
namespace {

using base::Json;

constexpr size_t kBodyBytesMax = 256u << 10;  // credentials included
constexpr absl::Duration kExamineTimeout = absl::Seconds(40);
constexpr uint32_t kCopiesMax = 8;
// A call of repair begins nothing after this: nothing between client and service cuts it off.
constexpr absl::Duration kRepairAtOnce = absl::Seconds(20);

const char* StateName(metadata::ProviderState state) {
  switch (state) {
    case metadata::ProviderState::kActive:
      return "active";
    case metadata::ProviderState::kDraining:
      return "draining";
    case metadata::ProviderState::kLost:
      return "lost";
  }
  return "unknown";
}

const char* HealthName(const replica::ProviderHealth& health) {
  if (!health.probed) return "unknown";
  if (!health.healthy) return "dark";
  return health.full ? "full" : "healthy";
}

const char* BreakerName(replica::ClientBreaker breaker) {
  switch (breaker) {
    case replica::ClientBreaker::kUntold:
      return "";
    case replica::ClientBreaker::kClosed:
      return "closed";
    case replica::ClientBreaker::kHalfOpen:
      return "half open";
    case replica::ClientBreaker::kOpen:
      return "open";
  }
  return "";
}

Json PolicyJson(const std::string& organisation, const metadata::Policy& policy) {
  return {{"organisation", organisation},
          {"copies", policy.copies},
          {"ack", policy.ack},
          {"chosen", policy.chosen}};
}

absl::StatusOr<metadata::Organisation> OrganisationNamed(const replica::Vault& vault,
                                                         const std::string& name) {
  return vault.metadata->identities().FindOrganisation(name);
}

}  // namespace

absl::StatusOr<Json> ProvidersJson(const replica::Vault& vault) {
  CEDANA_ASSIGN_OR_RETURN(const auto rows, vault.metadata->providers().All());
  CEDANA_ASSIGN_OR_RETURN(const auto usages, vault.metadata->providers().Usage());
  std::map<std::string, metadata::ProviderUsage> usage;
  for (const metadata::ProviderUsage& row : usages) usage[row.provider] = row;
  Json list = Json::array();
  for (const metadata::ProviderRow& row : rows) {
    const replica::ProviderHealth health = vault.providers->health().Of(row.name);
    const replica::ProviderPtr provider = vault.providers->Find(row.name);
    const bool lost = row.state == metadata::ProviderState::kLost;
    list.push_back({{"name", row.name},
                    {"url", row.url},
                    {"domain", row.domain},
                    {"state", StateName(row.state)},
                    {"since_ms", row.since_ms},
                    {"opened", provider != nullptr && provider->opened},
                    {"health", lost ? "lost" : HealthName(health)},
                    {"breaker", BreakerName(vault.providers->health().BreakerOf(row.name))},
                    {"latency_ms", absl::ToDoubleMilliseconds(health.latency)},
                    {"error", health.last_error},
                    {"packs", usage[row.name].packs},
                    {"manifests", usage[row.name].manifests},
                    {"bytes", usage[row.name].bytes}});
  }
  return list;
}

absl::StatusOr<Json> DebtJson(const replica::Vault& vault) {
  CEDANA_ASSIGN_OR_RETURN(const metadata::DebtSummary debt,
                          vault.metadata->replication().Summary());
  return Json{{"packs", debt.packs},
              {"manifests", debt.manifests},
              {"bytes", debt.bytes},
              {"endangered", debt.endangered},
              {"lost", debt.lost},
              {"oldest_age_ms", debt.oldest_ms == 0 ? 0 : vault.NowMs() - debt.oldest_ms}};
}

Json RepairJson(const replica::RepairCounts& counts) {
  return {{"paid", counts.paid},
          {"postponed", counts.postponed},
          {"written_shards", counts.written_shards},
          {"written_bytes", counts.written_bytes},
          {"damaged_shards", counts.damaged_shards},
          {"missing_shards", counts.missing_shards}};
}

absl::Status ListProviders(Call& call, const ServiceParts& parts) {
  CEDANA_ASSIGN_OR_RETURN(Json list, ProvidersJson(*parts.vault));
  return call.Send(200, {{"providers", std::move(list)}});
}

absl::Status AddProvider(Call& call, const ServiceParts& parts) {
  CEDANA_ASSIGN_OR_RETURN(const Json body, call.ReadJson(kBodyBytesMax));
  CEDANA_ASSIGN_OR_RETURN(const std::string name, base::GetString(body, "name"));
  CEDANA_ASSIGN_OR_RETURN(const std::string url, base::GetString(body, "url"));
  CEDANA_ASSIGN_OR_RETURN(replica::ProviderSpec spec,
                          replica::ParseProvider(absl::StrCat(name, "=", url)));
  spec.credentials = base::StringOr(body, "credentials", "");
  // One that does not work now would only make debt.
  CEDANA_ASSIGN_OR_RETURN(const replica::Provider provider, replica::OpenProvider(spec));
  const replica::Examined examined =
      replica::ExamineProvider(call.context().WithTimeout(kExamineTimeout), *parts.vault, provider);
  for (const replica::ExamineItem& item : examined.items) {
    if (item.ok) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("provider ", name, ": ", item.what, ": ", item.detail));
  }
  CEDANA_RETURN_IF_ERROR(parts.registry->Add(spec, examined.capabilities));
  base::LogInfo("provider added",
                {{"request", call.request_id()}, {"provider", name}, {"domain", provider.domain}});
  return call.Send(200, {{"name", name}, {"domain", provider.domain}});
}

absl::Status TestProvider(Call& call, const ServiceParts& parts) {
  const std::string& name = call.segments()[3];
  const replica::ProviderPtr provider = parts.vault->providers->Find(name);
  if (provider == nullptr) return absl::NotFoundError(absl::StrCat("provider ", name, ": none"));
  Json items = Json::array();
  bool ok = true;
  const replica::Examined examined = replica::ExamineProvider(
      call.context().WithTimeout(kExamineTimeout), *parts.vault, *provider);
  parts.vault->providers->Weaken(*provider, examined.capabilities);
  for (const replica::ExamineItem& item : examined.items) {
    ok = ok && item.ok;
    items.push_back({{"what", item.what},
                     {"result", !item.ok       ? "failed"
                                : item.warning ? "warning"
                                               : "ok"},
                     {"detail", item.detail}});
  }
  const objstore::Capabilities& can = examined.capabilities;
  return call.Send(200, {{"name", name},
                         {"ok", ok},
                         {"items", std::move(items)},
                         {"grants_enforce",
                          {{"size", can.grant_enforces_size},
                           {"checksum", can.grant_enforces_checksum},
                           {"create_only", can.grant_enforces_create_only}}}});
}

absl::Status RemoveProvider(Call& call, const ServiceParts& parts) {
  const std::string& name = call.segments()[3];
  const bool lost = call.Query("lost") == "1";
  CEDANA_RETURN_IF_ERROR(parts.registry->Remove(name, lost));
  base::LogWarn(lost ? "provider declared lost" : "provider is drained",
                {{"request", call.request_id()}, {"provider", name}});
  return call.Send(200, {{"name", name}, {"state", lost ? "lost" : "draining"}});
}

absl::Status ShowPolicy(Call& call, const ServiceParts& parts) {
  const replica::Vault& vault = *parts.vault;
  const std::string wanted = call.Query("organisation");
  Json list = Json::array();
  CEDANA_ASSIGN_OR_RETURN(const auto organisations, vault.metadata->identities().Organisations());
  for (const metadata::Organisation& one : organisations) {
    if (!wanted.empty() && one.name != wanted) continue;
    CEDANA_ASSIGN_OR_RETURN(const metadata::Policy policy,
                            vault.metadata->providers().PolicyOf(one.id));
    list.push_back(PolicyJson(one.name, policy));
  }
  if (list.empty()) return absl::NotFoundError(absl::StrCat("organisation ", wanted, ": none"));
  return call.Send(200, {{"policies", std::move(list)}});
}

absl::Status SetPolicy(Call& call, const ServiceParts& parts) {
  const replica::Vault& vault = *parts.vault;
  CEDANA_ASSIGN_OR_RETURN(const Json body, call.ReadJson(kBodyBytesMax));
  CEDANA_ASSIGN_OR_RETURN(const std::string name, base::GetString(body, "organisation"));
  CEDANA_ASSIGN_OR_RETURN(const metadata::Organisation organisation,
                          OrganisationNamed(vault, name));
  std::optional<metadata::Policy> policy;
  if (!base::BoolOr(body, "default", false)) {
    const int64_t copies = base::IntOr(body, "copies", 0);
    const int64_t ack = base::IntOr(body, "ack", 0);
    if (copies < 1 || copies > kCopiesMax || ack < 1 || ack > copies) {
      return absl::InvalidArgumentError(absl::StrCat("policy: copies=N,ack=M is wanted, N at most ",
                                                     kCopiesMax, ", M from 1 to N"));
    }
    // Fewer domains than `ack` would let no dump succeed.
    std::vector<replica::ProviderPtr> active = vault.providers->All();
    std::erase_if(active, [](const auto& provider) { return !provider->active(); });
    const size_t domains = replica::CountDomains(active);
    if (static_cast<size_t>(copies) > domains) {
      return absl::FailedPreconditionError(
          absl::StrCat("policy: ", copies, " copies need as many failure domains; there are ",
                       domains, " (cedana-storage provider list)"));
    }
    policy = metadata::Policy{static_cast<uint32_t>(copies), static_cast<uint32_t>(ack), true};
  }
  CEDANA_RETURN_IF_ERROR(vault.metadata->providers().SetPolicy(organisation.id, policy));
  CEDANA_RETURN_IF_ERROR(vault.metadata->replication().MakeDue());
  CEDANA_ASSIGN_OR_RETURN(const metadata::Policy now,
                          vault.metadata->providers().PolicyOf(organisation.id));
  base::LogInfo("policy set", {{"request", call.request_id()},
                               {"organisation", name},
                               {"copies", now.copies},
                               {"ack", now.ack}});
  return call.Send(200, PolicyJson(name, now));
}

absl::Status GetStatus(Call& call, const ServiceParts& parts) {
  CEDANA_ASSIGN_OR_RETURN(Json providers, ProvidersJson(*parts.vault));
  CEDANA_ASSIGN_OR_RETURN(Json debt, DebtJson(*parts.vault));
  return call.Send(200, {{"providers", std::move(providers)},
                         {"debt", std::move(debt)},
                         {"repair", RepairJson(parts.repairer->counts())}});
}

absl::Status Repair(Call& call, const ServiceParts& parts) {
  CEDANA_ASSIGN_OR_RETURN(const Json body, call.ReadJson(kBodyBytesMax));
  Json scrubbed = Json::object();
  if (base::BoolOr(body, "scrub", false)) {
    for (const replica::ProviderPtr& provider : parts.vault->providers->All()) {
      const auto counts =
          replica::ScrubProvider(call.context(), *parts.vault, *provider, absl::ZeroDuration());
      if (!counts.ok()) {
        scrubbed[provider->name] = {{"error", std::string(counts.status().message())}};
        continue;
      }
      scrubbed[provider->name] = {{"shards", counts->shards}, {"missing", counts->missing},
                                  {"found", counts->found},   {"damaged", counts->damaged},
                                  {"strays", counts->strays}, {"spared", counts->spared}};
    }
  }
  if (!base::BoolOr(body, "go_on", false)) {
    CEDANA_RETURN_IF_ERROR(parts.vault->metadata->replication().MakeDue());
  }
  const absl::Duration started = parts.vault->clock->Monotonic();
  CEDANA_ASSIGN_OR_RETURN(const uint64_t paid,
                          parts.repairer->Round(call.context(), kRepairAtOnce));
  const bool more = parts.vault->clock->Monotonic() - started >= kRepairAtOnce;
  CEDANA_ASSIGN_OR_RETURN(Json debt, DebtJson(*parts.vault));
  return call.Send(200, {{"scrubbed", std::move(scrubbed)},
                         {"paid", paid},
                         {"more", more},
                         {"debt", std::move(debt)}});
}

}  // namespace cedana::api
