#include "storage/replica/repair_worker.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/replica/grant_trial.h"
#include "storage/replica/scrub.h"

namespace cedana::replica {
namespace {

// One indexed query on a table that is empty most of the time.
constexpr absl::Duration kInterval = absl::Seconds(1);
// Between two looks at a provider that is under suspicion.
constexpr absl::Duration kSuspicion = absl::Seconds(20);
constexpr absl::Duration kTrialTimeout = absl::Seconds(20);

}  // namespace

RepairWorker::RepairWorker(const Vault* vault, Repairer* repairer, ProviderRegistry* registry)
    : vault_(*vault),
      repairer_(*repairer),
      registry_(registry),
      cancel_(std::make_shared<base::CancelSource>()),
      repair_thread_("repair", [this] { Repair(); }),
      scrub_thread_("scrub", [this] { Scrub(); }) {}

RepairWorker::~RepairWorker() {
  cancel_->Cancel(absl::CancelledError("the service stops"));
  repair_thread_.Join();
  scrub_thread_.Join();
}

void RepairWorker::Repair() {
  const base::Context context{.cancel = cancel_};
  std::set<std::string> healthy_before;
  while (!cancel_->WaitFor(kInterval)) {
    std::set<std::string> healthy;
    bool came_back = false;
    for (const ProviderPtr& provider : vault_.providers->Healthy()) {
      healthy.insert(provider->name);
      came_back = came_back || !healthy_before.contains(provider->name);
    }
    healthy_before = std::move(healthy);
    absl::Status status = came_back ? vault_.metadata->replication().MakeDue() : absl::OkStatus();
    if (status.ok()) {
      const absl::StatusOr<uint64_t> paid = repairer_.Round(context);
      status = paid.status();
      if (paid.ok() && *paid > 0) base::LogInfo("debts paid", {{"objects", *paid}});
    }
    if (status.ok()) status = repairer_.Drain(context, registry_);
    if (!status.ok() && !absl::IsCancelled(status)) {
      base::LogWarn("repair is late", {{"error", status.message()}});
    }
  }
}

void RepairWorker::TryGrantsWhereDue(const base::Context& context,
                                     std::map<std::string, absl::Duration>* due) {
  for (const ProviderPtr& provider : vault_.providers->Ready()) {
    absl::Duration& next = (*due)[provider->name];
    const objstore::Capabilities& can = provider->capabilities;
    if (!can.grant_enforces_size && !can.grant_enforces_checksum) continue;
    if (!provider->opened || vault_.clock->Monotonic() < next) continue;
    const auto found = TryGrants(context.WithTimeout(kTrialTimeout), vault_, *provider);
    if (found.ok()) vault_.providers->Weaken(*provider, *found);
    next = vault_.clock->Monotonic() + (found.ok() ? vault_.times.grant_trial : kSuspicion);
    if (cancel_->cancelled()) return;
  }
}

void RepairWorker::Scrub() {
  const base::Context context{.cancel = cancel_};
  std::map<std::string, absl::Duration> due;  // by the monotonic clock
  std::map<std::string, absl::Duration> looked;
  std::map<std::string, absl::Duration> trials;
  while (!cancel_->WaitFor(kInterval)) {
    if (vault_.times.grant_trial < absl::InfiniteDuration()) TryGrantsWhereDue(context, &trials);
    if (cancel_->cancelled()) return;
    const absl::Duration now = vault_.clock->Monotonic();
    for (const std::string& suspect : repairer_.TakeSuspects()) {
      const auto before = looked.find(suspect);
      due[suspect] = before == looked.end() ? now : std::max(now, before->second + kSuspicion);
    }
    for (const ProviderPtr& provider : vault_.providers->Ready()) {
      const auto [entry, fresh] =
          due.try_emplace(provider->name, now + repairer_.options().scrub_interval);
      if (entry->second > now) continue;
      entry->second = now + repairer_.options().scrub_interval;
      const auto counts =
          ScrubProvider(context, vault_, *provider, repairer_.options().scrub_pause);
      if (!counts.ok() && !absl::IsCancelled(counts.status())) {
        base::LogWarn("scrub is late", {{"error", counts.status().message()}});
      }
      looked[provider->name] = vault_.clock->Monotonic();
      if (cancel_->cancelled()) return;
    }
  }
}

}  // namespace cedana::replica
