#include "storage/replica/prober.h"

#include <algorithm>

#include "core/base/log.h"
#include "storage/replica/fan_out.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/registry.h"
#include "storage/replica/repair.h"

namespace cedana::replica {
namespace {

constexpr char kProbeKey[] = "k/probe";  // where there is no organisation yet
constexpr absl::Duration kProbeTimeout = absl::Seconds(2);
// Those that could not be opened are tried again in every n-th round.
constexpr int kReopenRounds = 10;
// However much clients report, so far apart are the rounds that they cause.
constexpr absl::Duration kAlarmInterval = absl::Milliseconds(500);

void LogChange(const Provider& provider, const ProviderHealth& before,
               const ProviderHealth& after) {
  if (before.healthy == after.healthy) return;
  if (after.healthy) {
    base::LogInfo("a provider is back", {{"provider", provider.name}});
  } else {
    base::LogWarn("a provider is dark", {{"provider", provider.name}, {"error", after.last_error}});
  }
}

}  // namespace

std::vector<std::string> ProbeAll(const base::Context& context, const Vault& vault) {
  HealthBoard& health = vault.providers->health();
  const std::vector<ProviderPtr> providers = vault.providers->All();
  const auto organisations = vault.metadata->identities().Organisations();
  const std::string key_text = organisations.ok() && !organisations->empty()
                                   ? OrganisationKeyKey(organisations->front().id)
                                   : kProbeKey;
  const auto key = objstore::ObjectKey::Parse(key_text);
  std::vector<char> lacking(providers.size(), 0);
  const Patience patience{.healthy = kProbeTimeout, .unhealthy = kProbeTimeout};
  FanOut(context, providers, health, patience, [&](const base::Context& bounded, size_t i) {
    const Provider& provider = *providers[i];
    const ProviderHealth before = health.Of(provider.name);
    if (before.throttled > absl::ZeroDuration()) return absl::OkStatus();
    const absl::Duration started = vault.clock->Monotonic();
    const auto info = provider.store->Head(bounded, *key);
    const absl::Duration latency = vault.clock->Monotonic() - started;
    absl::Status status = info.status();
    if (info.ok() && !info->has_value()) {
      // A bucket that is gone answers the same; a listing tells.
      status = provider.store->List(bounded, "k/", "", 1).status();
      lacking[i] = status.ok() ? 1 : 0;
    }
    if (context.Check().ok()) health.RecordProbe(provider.name, status, latency);
    LogChange(provider, before, health.Of(provider.name));
    return status;
  });
  std::vector<std::string> names;
  for (size_t i = 0; i < providers.size(); ++i) {
    if (lacking[i] != 0) names.push_back(providers[i]->name);
  }
  return names;
}

Prober::Prober(const Vault* vault, ProviderRegistry* registry, Repairer* repairer)
    : vault_(*vault),
      registry_(*registry),
      repairer_(*repairer),
      cancel_(std::make_shared<base::CancelSource>()),
      thread_("probe", [this] { Run(); }) {}

Prober::~Prober() {
  cancel_->Cancel(absl::CancelledError("the service stops"));
  thread_.Join();
}

void Prober::Run() {
  const base::Context context{.cancel = cancel_};
  int round = 0;
  do {
    if (++round % kReopenRounds == 0) registry_.Reopen();
    for (const std::string& lacking : ProbeAll(context, vault_)) repairer_.Suspect(lacking);
  } while (WaitForRound());
}

bool Prober::WaitForRound() {
  absl::Duration left = vault_.times.probe_interval;
  while (left > absl::ZeroDuration()) {
    const absl::Duration step = std::min(left, kAlarmInterval);
    if (cancel_->WaitFor(step)) return false;
    left -= step;
    if (vault_.providers->health().TakeAlarm()) return true;
  }
  return true;
}

}  // namespace cedana::replica
