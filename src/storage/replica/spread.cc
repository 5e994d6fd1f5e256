#include "storage/replica/spread.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/status.h"
#include "core/base/thread.h"
#include "storage/replica/fan_out.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"

namespace cedana::replica {
namespace {

absl::Status TooFew(const absl::Status& last, size_t have, size_t needed) {
  const std::string what =
      absl::StrCat("taken in ", have, " failure domains, ", needed, " are wanted");
  if (last.ok()) return absl::UnavailableError(what);
  return base::Annotate(last, what);
}

// Which candidates to try next: in domains that have neither a copy nor one under way; those that
// were too slow once more when all have been tried.
class CopyPlan {
 public:
  CopyPlan(std::vector<ProviderPtr> candidates, size_t copies)
      : candidates_(std::move(candidates)),
        copies_(copies),
        has_spares_(CountDomains(candidates_) > copies) {}

  struct Try {
    ProviderPtr provider;  // null: there is nothing to do, or nobody left
    bool patiently = false;
  };
  // Call again after a failure.
  Try Next() {
    absl::MutexLock lock(&mutex_);
    if (ProviderPtr fresh = NextFresh()) return {std::move(fresh), !has_spares_};
    return {NextOf(&slow_), true};
  }
  void Done(const Try& tried, const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (status.ok()) {
      holders_.insert(tried.provider->name);
      return;
    }
    busy_.erase(tried.provider->domain);
    last_ = status;
    if (absl::IsDeadlineExceeded(status) && !tried.patiently) slow_.push_back(tried.provider);
  }
  // In the order of the candidates.
  std::vector<std::string> holders() {
    absl::MutexLock lock(&mutex_);
    std::vector<std::string> names;
    for (const ProviderPtr& candidate : candidates_) {
      if (holders_.contains(candidate->name)) names.push_back(candidate->name);
    }
    return names;
  }
  absl::Status last() {
    absl::MutexLock lock(&mutex_);
    return last_;
  }

 private:
  ProviderPtr NextFresh() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (busy_.size() >= copies_) return nullptr;
    for (; next_ < candidates_.size(); ++next_) {
      const ProviderPtr& candidate = candidates_[next_];
      if (busy_.contains(candidate->domain)) {
        later_.push_back(candidate);  // of use when the one in its domain fails
        continue;
      }
      busy_.insert(candidate->domain);
      return candidates_[next_++];
    }
    return NextOf(&later_);
  }
  ProviderPtr NextOf(std::vector<ProviderPtr>* list) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (busy_.size() >= copies_) return nullptr;
    for (auto it = list->begin(); it != list->end(); ++it) {
      if (busy_.contains((*it)->domain)) continue;
      ProviderPtr found = *it;
      list->erase(it);
      busy_.insert(found->domain);
      return found;
    }
    return nullptr;
  }

  absl::Mutex mutex_;
  const std::vector<ProviderPtr> candidates_;
  const size_t copies_;
  const bool has_spares_;  // more domains than copies
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<ProviderPtr> later_ ABSL_GUARDED_BY(mutex_);
  std::vector<ProviderPtr> slow_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> busy_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> holders_ ABSL_GUARDED_BY(mutex_);
  absl::Status last_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::vector<std::string>> PutCopies(const base::Context& context, const Vault& vault,
                                                   const base::OrgId& organisation,
                                                   const std::string& key, absl::string_view bytes,
                                                   uint32_t crc32c, const CopiesWanted& wanted) {
  CopyPlan plan(vault.providers->Ranked(organisation, /*writing=*/true), wanted.copies);
  const auto write = [&] {
    for (CopyPlan::Try next = plan.Next(); next.provider != nullptr; next = plan.Next()) {
      const ProviderPtr& provider = next.provider;
      const absl::Duration timeout =
          next.patiently ? TransferTime(bytes.size()) : vault.times.slow_put;
      const absl::Status status = PutOnce(context.WithTimeout(timeout), *provider,
                                          vault.providers->health(), key, bytes, crc32c);
      if (status.ok() && !provider->capabilities.grant_enforces_checksum) {
        // Our own hand: a commit need not read it back.
        vault.providers->read_backs().Note(provider->name, key, {bytes.size(), crc32c});
      }
      plan.Done(next, status);
      if (status.ok() || !context.Check().ok()) return;
    }
  };
  {
    std::vector<base::Thread> threads;
    for (size_t copy = 1; copy < wanted.copies; ++copy) threads.emplace_back("put", write);
    write();
  }
  std::vector<std::string> holders = plan.holders();
  // Every holder is in a domain of its own.
  if (holders.size() < wanted.needed) return TooFew(plan.last(), holders.size(), wanted.needed);
  return holders;
}

absl::StatusOr<std::vector<std::string>> PutManifest(const base::Context& context,
                                                     const Vault& vault, const std::string& key,
                                                     absl::string_view bytes,
                                                     const CopiesWanted& wanted) {
  HealthBoard& health = vault.providers->health();
  const std::vector<ProviderPtr> providers = vault.providers->Ranked({}, /*writing=*/true);
  const auto holders = [&](const auto& statuses) {
    std::vector<ProviderPtr> found;
    for (size_t i = 0; i < providers.size(); ++i) {
      if (statuses(i)) found.push_back(providers[i]);
    }
    return found;
  };
  const std::vector<absl::Status> statuses = FanOut(
      context, providers, health, vault.times.patience,
      [&](const base::Context& bounded, size_t i) {
        return PutOnce(bounded, *providers[i], health, key, bytes);
      },
      [&](const FanOutResults& so_far) {
        return CountDomains(holders([&](size_t i) {
                 return so_far[i].has_value() && so_far[i]->ok();
               })) >= wanted.needed;
      });
  const std::vector<ProviderPtr> found = holders([&](size_t i) { return statuses[i].ok(); });
  if (CountDomains(found) < wanted.needed) {
    absl::Status last;
    for (const absl::Status& status : statuses) {
      if (!status.ok()) last = status;
    }
    return TooFew(last, CountDomains(found), wanted.needed);
  }
  std::vector<std::string> names;
  names.reserve(found.size());
  for (const ProviderPtr& provider : found) names.push_back(provider->name);
  return names;
}

std::vector<Missed> PutEverywhere(const base::Context& context, const Vault& vault,
                                  const std::string& key, absl::string_view bytes) {
  HealthBoard& health = vault.providers->health();
  const std::vector<ProviderPtr> providers = vault.providers->Ranked({}, /*writing=*/true);
  const std::vector<absl::Status> statuses =
      FanOut(context, providers, health, vault.times.patience,
             [&](const base::Context& bounded, size_t i) {
               // The unhealthy are not waited for: there is one of these per commit.
               if (!health.Ready(providers[i]->name)) {
                 return absl::UnavailableError(absl::StrCat("provider ", providers[i]->name,
                                                            ": is unhealthy, or to be left alone"));
               }
               return PutOnce(bounded, *providers[i], health, key, bytes);
             });
  std::vector<Missed> missed;
  for (size_t i = 0; i < providers.size(); ++i) {
    if (!statuses[i].ok()) missed.push_back({providers[i]->name, statuses[i]});
  }
  return missed;
}

absl::Status DeleteEverywhere(const base::Context& context, const Vault& vault,
                              const std::string& key) {
  HealthBoard& health = vault.providers->health();
  const std::vector<ProviderPtr> providers = vault.providers->All();
  const std::vector<absl::Status> statuses =
      FanOut(context, providers, health, vault.times.patience,
             [&](const base::Context& bounded, size_t i) {
               if (!health.Ready(providers[i]->name)) {
                 return absl::UnavailableError("unhealthy, or to be left alone");
               }
               return DeleteOnce(bounded, *providers[i], health, key);
             });
  CEDANA_RETURN_IF_ERROR(context.Check());
  std::vector<metadata::Chore> chores;
  for (size_t i = 0; i < providers.size(); ++i) {
    if (!statuses[i].ok()) {
      chores.push_back({providers[i]->name, key, metadata::ChoreKind::kDelete, 0});
    }
  }
  return vault.metadata->chores().Add(chores);
}

absl::Status SpreadKeys(const base::Context& context, const Vault& vault) {
  CEDANA_ASSIGN_OR_RETURN(const auto organisations, vault.metadata->identities().Organisations());
  absl::Status first;
  for (const metadata::Organisation& organisation : organisations) {
    for (const Missed& missed : PutEverywhere(context, vault, OrganisationKeyKey(organisation.id),
                                              organisation.wrapped_key)) {
      first.Update(missed.status);
    }
  }
  return first;
}

}  // namespace cedana::replica
