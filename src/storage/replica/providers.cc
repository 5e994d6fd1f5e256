#include "storage/replica/providers.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "core/base/log.h"
#include "core/base/status.h"

namespace cedana::replica {
namespace {

constexpr absl::Duration kPingTimeout = absl::Seconds(2);

class ClosedStore : public objstore::ObjectStore {
 public:
  explicit ClosedStore(absl::Status why) : why_(std::move(why)) {}
  absl::Status Put(const base::Context&, const objstore::ObjectKey&, std::span<const uint8_t>,
                   const objstore::PutOptions&) override {
    return why_;
  }
  absl::Status Get(const base::Context&, const objstore::ObjectKey&, uint64_t,
                   std::optional<uint64_t>,
                   const std::function<absl::Status(std::span<const uint8_t>)>&) override {
    return why_;
  }
  absl::StatusOr<std::optional<objstore::ObjectInfo>> Head(const base::Context&,
                                                           const objstore::ObjectKey&) override {
    return why_;
  }
  absl::StatusOr<std::vector<objstore::ObjectInfo>> List(const base::Context&, const std::string&,
                                                         const std::string&, size_t) override {
    return why_;
  }
  absl::Status Delete(const base::Context&, const objstore::ObjectKey&) override { return why_; }
  objstore::Capabilities capabilities() const override { return {}; }

 private:
  const absl::Status why_;
};

}  // namespace

std::unique_ptr<objstore::ObjectStore> MakeClosedStore(const absl::Status& why) {
  // Whatever the reason, a later try may find it well.
  return std::make_unique<ClosedStore>(absl::UnavailableError(why.message()));
}

void ProviderSet::Put(Provider provider) {
  auto entry = std::make_shared<const Provider>(std::move(provider));
  health_.Know(entry->name);
  absl::MutexLock lock(&mutex_);
  for (ProviderPtr& known : providers_) {
    if (known->name != entry->name) continue;
    if (known->url != entry->url) compared_.erase(known->name);
    known = std::move(entry);
    return;
  }
  providers_.push_back(std::move(entry));
}

void ProviderSet::Weaken(const Provider& provider, const objstore::Capabilities& found) {
  absl::MutexLock lock(&mutex_);
  for (ProviderPtr& known : providers_) {
    if (known->name != provider.name || known->store != provider.store) continue;
    Provider weaker = *known;
    objstore::Capabilities& can = weaker.capabilities;
    can.grant_enforces_size = can.grant_enforces_size && found.grant_enforces_size;
    can.grant_enforces_checksum = can.grant_enforces_checksum && found.grant_enforces_checksum;
    can.keeps_checksum = can.keeps_checksum && found.keeps_checksum;
    const bool was_enforcing = known->enforces();
    known = std::make_shared<const Provider>(std::move(weaker));
    if (was_enforcing && !known->enforces()) {
      base::LogWarn("a provider's grants do not bind what they say: packs are verified by reading",
                    {{"provider", provider.name},
                     {"size", can.grant_enforces_size},
                     {"checksum", can.grant_enforces_checksum}});
    }
    return;
  }
}

void ProviderSet::Remove(const std::string& name) {
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(providers_, [&](const ProviderPtr& known) { return known->name == name; });
    compared_.erase(name);
  }
  health_.Forget(name);
  read_backs_.Forget(name);
}

bool ProviderSet::Compared(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  return compared_.contains(name);
}

void ProviderSet::SetCompared(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  compared_.insert(name);
}

std::vector<ProviderPtr> ProviderSet::All() const {
  absl::MutexLock lock(&mutex_);
  return providers_;
}

ProviderPtr ProviderSet::Find(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  for (const ProviderPtr& provider : providers_) {
    if (provider->name == name) return provider;
  }
  return nullptr;
}

std::vector<ProviderPtr> ProviderSet::Ranked(const base::OrgId& organisation, bool writing) const {
  struct Placed {
    std::pair<int, int> rank;
    ProviderPtr provider;
  };
  std::vector<Placed> placed;
  for (ProviderPtr& provider : All()) {
    if (writing && !provider->active()) continue;
    placed.push_back({health_.Rank(organisation, provider->name, writing), std::move(provider)});
  }
  std::stable_sort(placed.begin(), placed.end(),
                   [](const Placed& a, const Placed& b) { return a.rank < b.rank; });
  std::vector<ProviderPtr> ranked;
  ranked.reserve(placed.size());
  for (Placed& one : placed) ranked.push_back(std::move(one.provider));
  return ranked;
}

std::vector<ProviderPtr> ProviderSet::Healthy() const {
  std::vector<ProviderPtr> healthy = All();
  std::erase_if(healthy,
                [&](const ProviderPtr& provider) { return !health_.Healthy(provider->name); });
  return healthy;
}

std::vector<ProviderPtr> ProviderSet::Ready() const {
  std::vector<ProviderPtr> ready = All();
  std::erase_if(ready, [&](const ProviderPtr& provider) { return !health_.Ready(provider->name); });
  return ready;
}

absl::Status ProviderSet::Ping(const base::Context& context) const {
  absl::Status last = absl::UnavailableError("providers: none");
  CEDANA_ASSIGN_OR_RETURN(const auto key, objstore::ObjectKey::Parse("k/probe"));
  for (const ProviderPtr& provider : Ranked({}, /*writing=*/false)) {
    CEDANA_RETURN_IF_ERROR(context.Check());
    last = provider->store->Head(context.WithTimeout(kPingTimeout), key).status();
    if (last.ok()) return last;
  }
  return last;
}

size_t CountDomains(const std::vector<ProviderPtr>& providers) {
  std::set<std::string> domains;
  for (const ProviderPtr& provider : providers) domains.insert(provider->domain);
  return domains.size();
}

std::vector<ProviderPtr> FirstOfDomains(const std::vector<ProviderPtr>& ranked, size_t count) {
  std::set<std::string> domains;
  std::set<size_t> chosen;
  for (const bool second_ones : {false, true}) {
    for (size_t i = 0; i < ranked.size() && chosen.size() < count; ++i) {
      if (domains.insert(ranked[i]->domain).second || second_ones) chosen.insert(i);
    }
  }
  std::vector<ProviderPtr> best;
  best.reserve(chosen.size());
  for (const size_t i : chosen) best.push_back(ranked[i]);
  return best;
}

}  // namespace cedana::replica
