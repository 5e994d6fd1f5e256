#include "storage/replica/prober.h"

#include "core/base/log.h"
#include "storage/replica/fan_out.h"
#include "storage/replica/registry.h"

namespace cedana::replica {
namespace {

constexpr char kProbeKey[] = "k/probe";
constexpr absl::Duration kProbeTimeout = absl::Seconds(2);
// Those that could not be opened are tried again in every n-th round.
constexpr int kReopenRounds = 10;

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

void ProbeAll(const base::Context& context, const Vault& vault) {
  HealthBoard& health = vault.providers->health();
  const std::vector<ProviderPtr> providers = vault.providers->All();
  const Patience patience{.healthy = kProbeTimeout, .unhealthy = kProbeTimeout};
  FanOut(context, providers, health, patience, [&](const base::Context& bounded, size_t i) {
    const Provider& provider = *providers[i];
    const auto key = objstore::ObjectKey::Parse(kProbeKey);
    const ProviderHealth before = health.Of(provider.name);
    const absl::Duration started = vault.clock->Monotonic();
    const absl::Status status = provider.store->Head(bounded, *key).status();
    if (context.Check().ok()) {
      health.RecordProbe(provider.name, status, vault.clock->Monotonic() - started);
    }
    LogChange(provider, before, health.Of(provider.name));
    return status;
  });
}

Prober::Prober(const Vault* vault, ProviderRegistry* registry)
    : vault_(*vault),
      registry_(registry),
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
    if (registry_ != nullptr && ++round % kReopenRounds == 0) registry_->Reopen();
    ProbeAll(context, vault_);
  } while (!cancel_->WaitFor(vault_.times.probe_interval));
}

}  // namespace cedana::replica
