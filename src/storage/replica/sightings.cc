#include "storage/replica/sightings.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/base/thread.h"
#include "storage/replica/fan_out.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"
#include "storage/replica/spare_copies.h"

namespace cedana::replica {
namespace {

// Packs of one provider that are read back at once. They are read as a stream: no memory to speak
// of.
constexpr size_t kReadBacksAtOnce = 8;

using OwnPacks = absl::flat_hash_map<base::PackId, size_t>;  // -> place in the request

// What one provider shows: places in the request. Written by the threads of one Look.
struct Sighting {
  std::vector<size_t> whole;
  std::map<size_t, std::string> wrong;  // something else is there: what
  std::set<size_t> unread;              // listed, not read back (yet)
  size_t read_back = 0;                 // by this look
};

class Observer {
 public:
  Observer(const Vault& vault, const transfer::CommitRequest& request, OwnPacks own)
      : vault_(vault), request_(request), own_(std::move(own)) {}

  absl::Status Look(const base::Context& context, const Provider& provider, Sighting* sighting) {
    const std::string prefix = absl::StrCat(SavePrefix(request_.save), "p-");
    std::vector<size_t> to_read;
    const absl::Status listed =
        ListAll(context, *provider.store, prefix, [&](const objstore::ObjectInfo& object) {
          const auto id =
              base::PackId::FromHex(absl::string_view(object.key).substr(prefix.size()));
          const auto found = id.ok() ? own_.find(*id) : own_.end();
          if (found == own_.end()) return absl::OkStatus();
          const transfer::StoredPack& pack = request_.packs[found->second];
          if (object.bytes != pack.bytes || object.crc32c.value_or(pack.crc32c) != pack.crc32c) {
            Complain(provider, found->second, "is not what was granted", sighting);
          } else if (provider.capabilities.grant_enforces_checksum ||
                     (provider.capabilities.keeps_checksum && object.crc32c.has_value())) {
            sighting->whole.push_back(found->second);
          } else {
            to_read.push_back(found->second);
            sighting->unread.insert(found->second);
          }
          return absl::OkStatus();
        });
    vault_.providers->health().Record(provider.name, listed);
    CEDANA_RETURN_IF_ERROR(listed);
    return ReadBack(context, provider, to_read, sighting);
  }

  const OwnPacks& own() const { return own_; }

 private:
  // Several at once; those that the context does not last for stay unread.
  absl::Status ReadBack(const base::Context& context, const Provider& provider,
                        const std::vector<size_t>& places, Sighting* sighting) {
    absl::Mutex mutex;
    size_t next = 0;
    absl::Status last;
    const auto take = [&]() -> std::optional<size_t> {
      absl::MutexLock lock(&mutex);
      if (next == places.size() || !context.Check().ok()) return std::nullopt;
      return places[next++];
    };
    const auto read = [&] {
      while (const std::optional<size_t> i = take()) {
        const bool read_before = WasRead(provider, request_.packs[*i]);
        const absl::Status status = ReadBackOne(context, provider, request_.packs[*i]);
        absl::MutexLock lock(&mutex);
        if (status.ok() && !read_before) ++sighting->read_back;
        Judge(provider, *i, status, sighting);
        if (!status.ok() && !absl::IsDataLoss(status)) last = status;
      }
    };
    {
      std::vector<base::Thread> threads;
      const size_t count = std::min(places.size(), kReadBacksAtOnce);
      for (size_t t = 0; t < count; ++t) threads.emplace_back("read-back", read);
    }
    CEDANA_RETURN_IF_ERROR(context.Check());
    return last;
  }

  bool WasRead(const Provider& provider, const transfer::StoredPack& pack) {
    return vault_.providers->read_backs().Matches(provider.name, PackKey(request_.save, pack.id),
                                                  {pack.bytes, pack.crc32c});
  }

  absl::Status ReadBackOne(const base::Context& context, const Provider& provider,
                           const transfer::StoredPack& pack) {
    const std::string key = PackKey(request_.save, pack.id);
    // Where it keeps checksums, and lists none, asking is cheaper than reading.
    if (provider.capabilities.keeps_checksum) {
      return CheckObject(context, *provider.store, key, {pack.bytes, pack.crc32c});
    }
    return vault_.providers->read_backs().Check(context, provider.name, *provider.store, key,
                                                {pack.bytes, pack.crc32c});
  }

  void Judge(const Provider& provider, size_t i, const absl::Status& status, Sighting* sighting) {
    const bool final = absl::IsDataLoss(status) || absl::IsNotFound(status) ||
                       absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status);
    if (status.ok() || final) sighting->unread.erase(i);
    if (status.ok()) sighting->whole.push_back(i);
    if (final) Complain(provider, i, status.message(), sighting);
  }

  void Complain(const Provider& provider, size_t i, absl::string_view what, Sighting* sighting) {
    const std::string pack = request_.packs[i].id.ToHex();
    sighting->wrong[i] = absl::StrCat("provider ", provider.name, ": ", what);
    base::LogWarn("a provider shows another pack than was uploaded",
                  {{"provider", provider.name}, {"pack", pack}, {"error", what}});
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

// Why a pack is not where it should be, as far as it is known.
struct Doubts {
  std::set<std::string> unread;   // domains in which it may be whole
  std::set<std::string> stuck;    // of these, those from which nothing comes
  std::set<std::string> awaited;  // providers that took it, and cannot be asked now
  bool copying = false;           // the service has not got to it, or a target may recover
  std::string why;
};
using AllDoubts = std::map<size_t, Doubts>;  // by place in the request

void AddDomains(const Vault& vault, const std::vector<std::string>& names,
                std::set<std::string>* domains) {
  for (const std::string& name : names) {
    if (const ProviderPtr provider = vault.providers->Find(name)) domains->insert(provider->domain);
  }
}

std::set<std::string> DomainsOf(const Vault& vault, const metadata::CommittedPack& pack) {
  std::set<std::string> domains;
  AddDomains(vault, pack.providers, &domains);
  AddDomains(vault, pack.acknowledged, &domains);
  return domains;
}

absl::Status RequireAck(const Vault& vault, const metadata::CommittedPack& pack, size_t ack,
                        const Doubts& doubts) {
  std::set<std::string> domains = DomainsOf(vault, pack);
  if (domains.size() >= ack) return absl::OkStatus();
  const std::string text = absl::StrCat("commit: pack ", pack.id.ToHex(), " is whole in ",
                                        domains.size(), " failure domains, ", ack, " are wanted");
  const std::string why = doubts.why.empty() ? "" : absl::StrCat(" (", doubts.why, ")");
  domains.insert(doubts.unread.begin(), doubts.unread.end());
  AddDomains(vault, {doubts.awaited.begin(), doubts.awaited.end()}, &domains);
  if (doubts.copying && doubts.awaited.empty()) {
    return absl::UnavailableError(absl::StrCat(text, "; it is being copied to another", why));
  }
  if (domains.size() < ack) return absl::FailedPreconditionError(absl::StrCat(text, why));
  if (doubts.awaited.empty()) {
    return absl::UnavailableError(absl::StrCat(text, "; it is still being read back", why));
  }
  return absl::UnavailableError(absl::StrCat(
      text, "; provider ", absl::StrJoin(doubts.awaited, ", "), " has to show it", why));
}

// An operator has to do something first: waiting helps no commit.
bool IsPassing(const absl::Status& status) {
  return base::IsTransient(status) || absl::IsUnknown(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsCancelled(status);
}

// What a provider that could not be asked to the end is believed to have all the same.
void BelieveAbsent(const Vault& vault, const transfer::CommitRequest& request, const OwnPacks& own,
                   const Provider& provider, const absl::Status& status, const Sighting& sighting,
                   std::vector<metadata::CommittedPack>* packs, AllDoubts* doubts) {
  for (const auto& [id, i] : own) {
    const transfer::StoredPack& pack = request.packs[i];
    if (!Names(pack.providers, provider.name) || Names((*packs)[i].providers, provider.name) ||
        sighting.wrong.contains(i) || sighting.unread.contains(i)) {
      continue;
    }
    // Acknowledged under a grant that enforces size and checksum (the client reports that, and can
    // only harm its own organisation), or read by the service before.
    if (provider.enforces() ||
        vault.providers->read_backs().Matches(provider.name, PackKey(request.save, pack.id),
                                              {pack.bytes, pack.crc32c})) {
      (*packs)[i].acknowledged.push_back(provider.name);
    } else if (IsPassing(status)) {
      (*doubts)[i].awaited.insert(provider.name);
      (*doubts)[i].why = absl::StrCat("provider ", provider.name, ": ", status.message());
    }
  }
}

// Whether a copy of it is worth making: seen whole somewhere, in too few domains, and not merely
// still being read back in others, pack by pack.
bool IsShort(const Vault& vault, const metadata::CommittedPack& pack, size_t ack,
             const Doubts& doubt) {
  std::set<std::string> domains = DomainsOf(vault, pack);
  if (pack.providers.empty() || domains.size() >= ack) return false;
  for (const std::string& domain : doubt.unread) {
    if (!doubt.stuck.contains(domain)) domains.insert(domain);
  }
  return domains.size() < ack || !doubt.awaited.empty();
}

// Where a provider that took packs has gone away or become slow before the service could look at
// them, or has lost them since (an emptied bucket, a provider declared lost, other bytes), another
// gets a copy: the dump need neither wait nor fail.
absl::Status CopyWhatIsShort(const base::Context& context, const Vault& vault,
                             const transfer::CommitRequest& request, const OwnPacks& own,
                             size_t ack, const std::set<std::string>& silent, AllDoubts& doubts,
                             std::vector<metadata::CommittedPack>* packs) {
  const base::Context bounded = context.WithTimeout(vault.times.patience.read_back);
  for (const auto& [id, i] : own) {
    metadata::CommittedPack& pack = (*packs)[i];
    while (IsShort(vault, pack, ack, doubts[i])) {
      const absl::StatusOr<std::string> copied =
          SpareCopy(bounded, vault, request.save, pack, {DomainsOf(vault, pack), silent});
      CEDANA_RETURN_IF_ERROR(context.Check());
      if (copied.ok()) {
        pack.providers.push_back(*copied);
        continue;
      }
      // With time up the next commit goes on from here.
      doubts[i].copying = IsPassing(copied.status());
      if (!doubts[i].copying) doubts[i].why = std::string(copied.status().message());
      break;
    }
  }
  return absl::OkStatus();
}

// A pack that is not there outweighs any number of those that are not known yet.
absl::Status Verdict(const Vault& vault, const OwnPacks& own, size_t ack,
                     const std::vector<metadata::CommittedPack>& packs, AllDoubts& doubts) {
  absl::Status unread;
  for (const auto& [id, i] : own) {
    const absl::Status status = RequireAck(vault, packs[i], ack, doubts[i]);
    if (!status.ok() && !absl::IsUnavailable(status)) return status;
    unread.Update(status);
  }
  return unread;
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
    return !provider->vouches_for_checksums();
  });
  if (reads_back) patience.healthy = std::max(patience.healthy, patience.read_back);
  const std::vector<absl::Status> statuses = FanOut(
      context, asked, vault.providers->health(), patience,
      [&](const base::Context& bounded, size_t p) {
        return observer.Look(bounded, *asked[p], &sightings[p]);
      },
      [&](const FanOutResults& so_far) {
        return AllSeen(own, asked, sightings, so_far, policy.ack);
      });
  CEDANA_RETURN_IF_ERROR(context.Check());
  std::string last;
  std::set<std::string> silent;
  AllDoubts doubts;
  for (size_t p = 0; p < asked.size(); ++p) {
    for (const size_t i : sightings[p].whole) (*packs)[i].providers.push_back(asked[p]->name);
    for (const size_t i : sightings[p].unread) doubts[i].unread.insert(asked[p]->domain);
    for (const auto& [i, what] : sightings[p].wrong) doubts[i].why = what;
    if (statuses[p].ok()) continue;
    if (IsPassing(statuses[p])) {
      silent.insert(asked[p]->name);
      // Not one pack within the time: it may take hours, and a frozen process waits.
      const bool stuck = sightings[p].read_back == 0;
      for (const size_t i : sightings[p].unread) {
        if (stuck) doubts[i].stuck.insert(asked[p]->domain);
      }
    }
    last = absl::StrCat("provider ", asked[p]->name, ": ", statuses[p].message());
    BelieveAbsent(vault, request, own, *asked[p], statuses[p], sightings[p], packs, &doubts);
  }
  for (const auto& [id, i] : own) {
    if (doubts[i].why.empty()) doubts[i].why = last;
  }
  const absl::Status verdict = Verdict(vault, own, policy.ack, *packs, doubts);
  const bool hopeless = std::any_of(own.begin(), own.end(), [&](const auto& entry) {
    const Doubts& doubt = doubts[entry.second];
    return DomainsOf(vault, (*packs)[entry.second]).empty() && doubt.unread.empty() &&
           doubt.awaited.empty();
  });
  if (verdict.ok() || hopeless) return verdict;
  CEDANA_RETURN_IF_ERROR(
      CopyWhatIsShort(context, vault, request, own, policy.ack, silent, doubts, packs));
  return Verdict(vault, own, policy.ack, *packs, doubts);
}

}  // namespace cedana::replica
