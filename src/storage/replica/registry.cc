#include "storage/replica/registry.h"

#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/replica/owner.h"
#include "storage/replica/spread.h"

namespace cedana::replica {
namespace {

constexpr size_t kCredentialsBytesMax = 64u << 10;
constexpr absl::Duration kSpreadTimeout = absl::Seconds(10);
constexpr absl::Duration kClaimTimeout = absl::Seconds(5);

bool IsWithin(const std::string& place, const std::string& folder) {
  return place == folder || absl::StartsWith(place, absl::StrCat(folder, "/"));
}

// In place of one that cannot be used.
Provider Closed(const metadata::ProviderRow& row, const absl::Status& why) {
  base::LogError("a provider cannot be opened", {{"provider", row.name}, {"error", why.message()}});
  Provider closed{.name = row.name, .url = row.url};
  closed.store = MakeClosedStore(why);
  closed.opened = false;
  return closed;
}

}  // namespace

std::string ProviderRegistry::CredentialsFile(const std::string& name) const {
  return absl::StrCat(folder_, "/", name, ".json");
}

absl::Status ProviderRegistry::Keep(const ProviderSpec& spec) const {
  if (spec.credentials.empty()) return absl::OkStatus();
  if (spec.credentials.size() > kCredentialsBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("provider ", spec.name, ": credentials are too large"));
  }
  CEDANA_RETURN_IF_ERROR(base::MakeDirs(folder_, 0700));
  return base::WriteFileAtomic(CredentialsFile(spec.name), spec.credentials, 0600);
}

ProviderSpec ProviderRegistry::Kept(const metadata::ProviderRow& row) const {
  ProviderSpec spec{row.name, row.url, ""};
  if (absl::StatusOr<std::string> kept =
          base::ReadFile(CredentialsFile(row.name), kCredentialsBytesMax);
      kept.ok()) {
    spec.credentials = *std::move(kept);
  }
  return spec;
}

absl::Status ProviderRegistry::RequireOwnPlace(const ProviderSpec& spec) const {
  CEDANA_ASSIGN_OR_RETURN(const std::string place, PlaceOf(spec));
  CEDANA_ASSIGN_OR_RETURN(const auto rows, vault_.metadata->providers().All());
  for (const metadata::ProviderRow& row : rows) {
    if (row.name == spec.name || row.state == metadata::ProviderState::kLost) continue;
    const absl::StatusOr<std::string> taken = PlaceOf(Kept(row));
    if (!taken.ok() || (!IsWithin(place, *taken) && !IsWithin(*taken, place))) continue;
    return absl::AlreadyExistsError(
        absl::StrCat("provider ", spec.name, ": its place is that of provider ", row.name, " (",
                     row.url, "); one object must not count as two copies"));
  }
  return absl::OkStatus();
}

absl::Status ProviderRegistry::Register(const ProviderSpec& spec, bool must_answer) {
  // Opened before anything is kept: what is mistyped leaves nothing behind.
  CEDANA_ASSIGN_OR_RETURN(Provider provider, OpenProvider(spec));
  CEDANA_RETURN_IF_ERROR(RequireOwnPlace(spec));
  const absl::Status claimed =
      Claim(base::Context{}.WithTimeout(kClaimTimeout), vault_, *provider.store, spec.name);
  // One that cannot be asked now is asked before it is used (owner.h).
  if (must_answer || absl::IsAlreadyExists(claimed)) CEDANA_RETURN_IF_ERROR(claimed);
  // The secret before the row, which could not be opened without; where the catalog does not take
  // the row, what was there before comes back.
  const std::string file = CredentialsFile(spec.name);
  const absl::StatusOr<std::string> before = base::ReadFile(file, kCredentialsBytesMax);
  CEDANA_RETURN_IF_ERROR(Keep(spec));
  const absl::Status added =
      vault_.metadata->providers().Add(provider.name, provider.url, provider.domain);
  if (added.ok() || spec.credentials.empty()) return added;
  if (!before.ok()) {
    ::unlink(file.c_str());
  } else if (const absl::Status back = base::WriteFileAtomic(file, *before, 0600); !back.ok()) {
    base::LogError("credentials", {{"provider", spec.name}, {"error", back.message()}});
  }
  return added;
}

absl::Status ProviderRegistry::CheckDrain(const std::string& name) {
  std::set<std::string> domains;
  for (const ProviderPtr& one : vault_.providers->All()) {
    if (one->name != name && one->active()) domains.insert(one->domain);
  }
  CEDANA_ASSIGN_OR_RETURN(const auto organisations, vault_.metadata->identities().Organisations());
  for (const metadata::Organisation& organisation : organisations) {
    CEDANA_ASSIGN_OR_RETURN(const metadata::Policy policy,
                            vault_.metadata->providers().PolicyOf(organisation.id));
    if (!policy.chosen) continue;
    if (policy.ack > domains.size()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "provider ", name, ": without it there are ", domains.size(),
          " failure domains, and the policy of organisation ", organisation.name, " wants ack=",
          policy.ack, ": no dump would succeed; add another first, or change the policy"));
    }
    if (policy.copies > domains.size()) {
      base::LogWarn("a provider stays draining until there are as many failure domains as copies",
                    {{"provider", name},
                     {"organisation", organisation.name},
                     {"copies", policy.copies},
                     {"domains", domains.size()}});
    }
  }
  return absl::OkStatus();
}

void ProviderRegistry::Open(const metadata::ProviderRow& row) {
  const ProviderSpec spec = Kept(row);
  const absl::Status usable =
      spec.credentials.empty() ? absl::OkStatus() : base::CheckPrivate(CredentialsFile(row.name));
  absl::StatusOr<Provider> opened =
      usable.ok() ? OpenProvider(spec) : absl::StatusOr<Provider>(usable);
  if (opened.ok()) {
    auto owned = std::make_shared<OwnedStore>(&vault_, row.name, opened->store);
    opened->store = owned;
    // A cloud is asked at its first use. A directory is at hand, and takes uploads past its store.
    if (opened->directory != nullptr) {
      const absl::Status ours = owned->Check(base::Context{}.WithTimeout(kClaimTimeout));
      if (!ours.ok()) opened = ours;
    }
  }
  if (!opened.ok()) opened = Closed(row, opened.status());
  // The catalog's word: a URL that was changed must not move a provider to another domain.
  opened->domain = row.domain;
  opened->state = row.state;
  vault_.providers->Put(*std::move(opened));
}

absl::Status ProviderRegistry::Load(const std::vector<ProviderSpec>& given) {
  absl::MutexLock lock(&mutex_);
  if (given.size() > kProvidersMax) return absl::InvalidArgumentError("providers: too many");
  for (size_t i = 0; i < given.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (given[i].name == given[j].name) {
        return absl::InvalidArgumentError(
            absl::StrCat("provider ", given[i].name, ": given twice"));
      }
    }
  }
  CEDANA_ASSIGN_OR_RETURN(const auto known, vault_.metadata->providers().All());
  for (const ProviderSpec& spec : given) {
    const auto row = std::find_if(known.begin(), known.end(),
                                  [&](const auto& one) { return one.name == spec.name; });
    if (row != known.end() && row->url == spec.url && spec.credentials.empty()) continue;
    if (row != known.end() && row->state == metadata::ProviderState::kLost) {
      base::LogWarn("a provider was declared lost and is not used", {{"provider", spec.name}});
      continue;
    }
    CEDANA_RETURN_IF_ERROR(Register(spec, /*must_answer=*/false));
  }
  CEDANA_ASSIGN_OR_RETURN(const auto rows, vault_.metadata->providers().All());
  for (const metadata::ProviderRow& row : rows) {
    if (row.state != metadata::ProviderState::kLost) Open(row);
  }
  if (vault_.providers->All().empty()) return absl::InvalidArgumentError("providers: none");
  return absl::OkStatus();
}

absl::Status ProviderRegistry::Add(const ProviderSpec& spec,
                                   const std::optional<objstore::Capabilities>& found) {
  absl::MutexLock lock(&mutex_);
  if (vault_.providers->Find(spec.name) != nullptr) {
    return absl::AlreadyExistsError(absl::StrCat("provider ", spec.name, ": is there already"));
  }
  if (vault_.providers->All().size() >= kProvidersMax) {
    return absl::FailedPreconditionError(
        absl::StrCat("provider ", spec.name, ": there are ", kProvidersMax, " already"));
  }
  CEDANA_RETURN_IF_ERROR(Register(spec, /*must_answer=*/true));
  CEDANA_ASSIGN_OR_RETURN(const auto rows, vault_.metadata->providers().All());
  for (const metadata::ProviderRow& row : rows) {
    if (row.name == spec.name) Open(row);
  }
  const ProviderPtr added = vault_.providers->Find(spec.name);
  if (found.has_value() && added != nullptr) vault_.providers->Weaken(*added, *found);
  const absl::Status spread = SpreadKeys(base::Context{}.WithTimeout(kSpreadTimeout), vault_);
  if (!spread.ok()) {
    base::LogWarn("a provider lacks organisation keys", {{"error", spread.message()}});
  }
  return vault_.metadata->replication().MakeDue();
}

absl::Status ProviderRegistry::Remove(const std::string& name, bool lost) {
  absl::MutexLock lock(&mutex_);
  const ProviderPtr provider = vault_.providers->Find(name);
  if (provider == nullptr) return absl::NotFoundError(absl::StrCat("provider ", name, ": none"));
  size_t others = 0;
  for (const ProviderPtr& one : vault_.providers->All()) {
    others += one->name != name && one->active() ? 1 : 0;
  }
  if (others == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("provider ", name, ": is the last one; add another first"));
  }
  if (!lost) CEDANA_RETURN_IF_ERROR(CheckDrain(name));
  const auto state = lost ? metadata::ProviderState::kLost : metadata::ProviderState::kDraining;
  CEDANA_RETURN_IF_ERROR(vault_.metadata->providers().SetState(name, state));
  if (lost) {
    vault_.providers->Remove(name);
    ::unlink(CredentialsFile(name).c_str());
  } else {
    Provider draining = *provider;
    draining.state = state;
    vault_.providers->Put(std::move(draining));
  }
  return vault_.metadata->replication().MakeDue();
}

absl::Status ProviderRegistry::Forget(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  const ProviderPtr provider = vault_.providers->Find(name);
  CEDANA_RETURN_IF_ERROR(vault_.metadata->providers().Forget(name));
  vault_.providers->Remove(name);
  ::unlink(CredentialsFile(name).c_str());
  if (provider == nullptr) return absl::OkStatus();
  // Others may have the place now. (We could take it again with the mark in it, too.)
  const absl::Status left =
      Disclaim(base::Context{}.WithTimeout(kClaimTimeout), vault_, *provider->store, name);
  if (!left.ok()) {
    base::LogWarn("a provider keeps our mark", {{"provider", name}, {"error", left.message()}});
  }
  return absl::OkStatus();
}

void ProviderRegistry::Reopen() {
  for (const ProviderPtr& provider : vault_.providers->All()) {
    if (provider->opened) continue;
    absl::MutexLock lock(&mutex_);
    const absl::StatusOr<std::vector<metadata::ProviderRow>> rows =
        vault_.metadata->providers().All();
    if (!rows.ok()) return;
    for (const metadata::ProviderRow& row : *rows) {
      if (row.name == provider->name && row.state != metadata::ProviderState::kLost) Open(row);
    }
  }
}

}  // namespace cedana::replica
