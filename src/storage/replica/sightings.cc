#include "storage/replica/sightings.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/replica/fan_out.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"

namespace cedana::replica {
namespace {

// A provider whose grants do not bind the checksum and that keeps none has its packs read back:
// that takes longer than a listing.
constexpr absl::Duration kReadBackPatience = absl::Seconds(25);

using OwnPacks = absl::flat_hash_map<base::PackId, size_t>;  // -> place in the request

// What one provider shows; written by one thread.
struct Sighting {
  std::vector<size_t> whole;  // places in the request
};

class Observer {
 public:
  Observer(const Vault& vault, const transfer::CommitRequest& request, OwnPacks own)
      : vault_(vault), request_(request), own_(std::move(own)) {}

  absl::Status Look(const base::Context& context, const Provider& provider, Sighting* sighting) {
    const std::string prefix = absl::StrCat(SavePrefix(request_.save), "p-");
    std::vector<size_t> unsure;
    const absl::Status listed =
        ListAll(context, *provider.store, prefix, [&](const objstore::ObjectInfo& object) {
          const auto id =
              base::PackId::FromHex(absl::string_view(object.key).substr(prefix.size()));
          const auto found = id.ok() ? own_.find(*id) : own_.end();
          if (found == own_.end()) return absl::OkStatus();
          const transfer::StoredPack& pack = request_.packs[found->second];
          const bool knows =
              object.crc32c.has_value() || provider.capabilities.grant_enforces_checksum;
          if (object.bytes != pack.bytes || object.crc32c.value_or(pack.crc32c) != pack.crc32c) {
            Complain(provider, pack.id, "is not what was granted");
          } else if (knows) {
            sighting->whole.push_back(found->second);
          } else {
            unsure.push_back(found->second);
          }
          return absl::OkStatus();
        });
    vault_.providers->health().Record(provider.name, listed);
    CEDANA_RETURN_IF_ERROR(listed);
    for (const size_t i : unsure) {
      const transfer::StoredPack& pack = request_.packs[i];
      const absl::Status checked = CheckObject(
          context, *provider.store, PackKey(request_.save, pack.id), {pack.bytes, pack.crc32c});
      if (checked.ok()) sighting->whole.push_back(i);
      if (absl::IsDataLoss(checked)) Complain(provider, pack.id, checked.message());
      CEDANA_RETURN_IF_ERROR(context.Check());
    }
    return absl::OkStatus();
  }

  const OwnPacks& own() const { return own_; }

 private:
  static void Complain(const Provider& provider, const base::PackId& pack, absl::string_view what) {
    base::LogWarn("a provider shows another pack than was uploaded",
                  {{"provider", provider.name}, {"pack", pack.ToHex()}, {"error", what}});
  }

  const Vault& vault_;
  const transfer::CommitRequest& request_;
  const OwnPacks own_;
};

bool Names(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Those worth asking: healthy ones, and whoever is said to have taken something. (What others may
// hold as well, after a reply that was lost, goes with the pack.)
std::vector<ProviderPtr> ToAsk(const Vault& vault, const transfer::CommitRequest& request) {
  std::vector<ProviderPtr> asked = vault.providers->All();
  std::erase_if(asked, [&](const ProviderPtr& provider) {
    return !vault.providers->health().Healthy(provider->name) &&
           std::none_of(request.packs.begin(), request.packs.end(),
                        [&](const transfer::StoredPack& pack) {
                          return pack.own && Names(pack.providers, provider->name);
                        });
  });
  return asked;
}

// Whether every own pack is whole in `ack` failure domains, by the sightings that are complete.
bool AllSeen(const OwnPacks& own, const std::vector<ProviderPtr>& asked,
             const std::vector<Sighting>& sightings, const FanOutResults& so_far, size_t ack) {
  absl::flat_hash_map<size_t, std::set<std::string>> domains;
  for (size_t p = 0; p < asked.size(); ++p) {
    if (!so_far[p].has_value() || !so_far[p]->ok()) continue;
    for (const size_t i : sightings[p].whole) domains[i].insert(asked[p]->domain);
  }
  return std::all_of(own.begin(), own.end(),
                     [&](const auto& entry) { return domains[entry.second].size() >= ack; });
}

absl::Status RequireAck(const Vault& vault, const metadata::CommittedPack& pack, size_t ack,
                        const absl::Status& last) {
  std::set<std::string> domains;
  for (const auto* names : {&pack.providers, &pack.acknowledged}) {
    for (const std::string& name : *names) {
      if (const ProviderPtr provider = vault.providers->Find(name))
        domains.insert(provider->domain);
    }
  }
  if (domains.size() >= ack) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "commit: pack ", pack.id.ToHex(), " is whole in ", domains.size(), " failure domains, ", ack,
      " are wanted", last.ok() ? "" : " (", last.message(), last.ok() ? "" : ")"));
}

}  // namespace

absl::Status SeeOwnPacks(const base::Context& context, const Vault& vault,
                         const transfer::CommitRequest& request, const metadata::Policy& policy,
                         std::vector<metadata::CommittedPack>* packs) {
  OwnPacks own;
  for (size_t i = 0; i < request.packs.size(); ++i) {
    if (request.packs[i].own) own[request.packs[i].id] = i;
  }
  if (own.empty()) return absl::OkStatus();
  const std::vector<ProviderPtr> asked = ToAsk(vault, request);
  std::vector<Sighting> sightings(asked.size());
  Observer observer(vault, request, own);
  Patience patience = vault.times.patience;
  const bool reads_back = std::any_of(asked.begin(), asked.end(), [](const ProviderPtr& provider) {
    return !provider->capabilities.grant_enforces_checksum &&
           !provider->capabilities.keeps_checksum;
  });
  if (reads_back) patience.healthy = std::max(patience.healthy, kReadBackPatience);
  const std::vector<absl::Status> statuses = FanOut(
      context, asked, vault.providers->health(), patience,
      [&](const base::Context& bounded, size_t p) {
        return observer.Look(bounded, *asked[p], &sightings[p]);
      },
      [&](const FanOutResults& so_far) {
        return AllSeen(own, asked, sightings, so_far, policy.ack);
      });
  CEDANA_RETURN_IF_ERROR(context.Check());
  absl::Status last;
  for (size_t p = 0; p < asked.size(); ++p) {
    for (const size_t i : sightings[p].whole) (*packs)[i].providers.push_back(asked[p]->name);
    if (statuses[p].ok()) continue;
    last = base::Annotate(statuses[p], absl::StrCat("provider ", asked[p]->name));
    // It cannot be listed now: what it acknowledged under grants that enforce size and checksum
    // counts. The client reports that, and can only harm its own organisation.
    if (!asked[p]->enforces()) continue;
    for (const auto& [id, i] : own) {
      if (Names(request.packs[i].providers, asked[p]->name) &&
          !Names((*packs)[i].providers, asked[p]->name)) {
        (*packs)[i].acknowledged.push_back(asked[p]->name);
      }
    }
  }
  for (const auto& [id, i] : own) {
    CEDANA_RETURN_IF_ERROR(RequireAck(vault, (*packs)[i], policy.ack, last));
  }
  return absl::OkStatus();
}

}  // namespace cedana::replica
