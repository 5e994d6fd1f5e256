#include "storage/replica/repair.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/base/thread.h"
#include "core/codec/crc32c.h"
#include "storage/replica/crypto.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"
#include "storage/replica/registry.h"

namespace cedana::replica {
namespace {

using metadata::ObjectKind;
using metadata::ShardState;

// Of a request that moves no object; and of a look that somebody waits for.
constexpr absl::Duration kRequestTimeout = absl::Seconds(60);
constexpr int kDrainBatch = 200;
constexpr absl::Duration kLookedFor = absl::Minutes(1);
constexpr size_t kLookedMax = 1000;
// Between two looks at a shard that is marked as damaged and may be the last copy.
constexpr absl::Duration kDamagedFor = absl::Minutes(10);

std::string KeyOf(const metadata::ReplicatedObject& object) {
  return object.ref.kind == ObjectKind::kPack ? PackKey(object.save, object.ref.pack())
                                              : ManifestKey(object.save, object.ref.checkpoint());
}

// Its bytes, read whole and checked.
absl::StatusOr<std::string> ReadWhole(const base::Context& context, const Provider& provider,
                                      const metadata::ReplicatedObject& object) {
  const std::string key = KeyOf(object);
  if (object.ref.kind == ObjectKind::kPack) {
    return ReadChecked(context, *provider.store, key, {object.bytes, object.crc32c.value_or(0)});
  }
  absl::StatusOr<std::string> bytes =
      ReadObject(context, *provider.store, key, base::kManifestBytesMax);
  if (absl::IsResourceExhausted(bytes.status()) ||
      (bytes.ok() && Sha256(*bytes) != object.sha256)) {
    return absl::DataLossError(absl::StrCat(key, ": is not what was committed"));
  }
  return bytes;
}

DamageVerdict VerdictOf(const absl::Status& seen) {
  if (seen.ok()) return DamageVerdict::kSound;
  if (absl::IsDataLoss(seen)) return DamageVerdict::kDamaged;
  return absl::IsNotFound(seen) ? DamageVerdict::kMissing : DamageVerdict::kUnreachable;
}

}  // namespace

const char* DamageName(DamageVerdict verdict) {
  switch (verdict) {
    case DamageVerdict::kSound:
      return "sound";
    case DamageVerdict::kDamaged:
      return "damaged";
    case DamageVerdict::kMissing:
      return "missing";
    case DamageVerdict::kUnreachable:
      break;
  }
  return "unreachable";
}

struct Repairer::Work {
  metadata::ReplicatedObject object;
  std::string key;

  std::optional<ShardState> StateAt(const std::string& provider) const {
    for (const metadata::Shard& shard : object.shards) {
      if (shard.provider == provider) return shard.state;
    }
    return std::nullopt;
  }
  void Set(const std::string& provider, std::optional<ShardState> state) {
    std::erase_if(object.shards, [&](const auto& shard) { return shard.provider == provider; });
    if (state.has_value()) object.shards.push_back({provider, *state});
  }
  // Failure domains that count for the policy.
  std::set<std::string> SoundDomains(const ProviderSet& providers) const {
    std::set<std::string> domains;
    for (const metadata::Shard& shard : object.shards) {
      const ProviderPtr provider = providers.Find(shard.provider);
      if (provider != nullptr && provider->active() && shard.state == ShardState::kLive) {
        domains.insert(provider->domain);
      }
    }
    return domains;
  }
};

Repairer::Repairer(const Vault* vault, const RepairOptions& options)
    : vault_(*vault),
      options_(options),
      worker_(absl::StrCat(absl::Hex(vault->random->Next64()))),
      read_pace_(vault->clock, options.bytes_per_s),
      write_pace_(vault->clock, options.bytes_per_s) {}

RepairCounts Repairer::counts() const {
  const Findings& findings = vault_.providers->findings();
  absl::MutexLock lock(&mutex_);
  RepairCounts counts = counts_;
  counts.damaged_shards = findings.damaged();
  counts.missing_shards = findings.missing();
  return counts;
}

void Repairer::Suspect(const std::string& provider) {
  absl::MutexLock lock(&mutex_);
  suspects_.insert(provider);
}

std::set<std::string> Repairer::TakeSuspects() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(suspects_, {});
}

std::optional<DamageVerdict> Repairer::Remembered(const ShardName& shard,
                                                  absl::Duration age) const {
  absl::MutexLock lock(&mutex_);
  const auto found = looked_.find(shard);
  if (found == looked_.end() || vault_.clock->Monotonic() - found->second.first >= age) {
    return std::nullopt;
  }
  return found->second.second;
}

void Repairer::Remember(const ShardName& shard, DamageVerdict verdict) {
  absl::MutexLock lock(&mutex_);
  if (looked_.size() >= kLookedMax) looked_.clear();
  looked_[shard] = {vault_.clock->Monotonic(), verdict};
}

absl::Status Repairer::Note(const metadata::ObjectRef& ref, const std::string& provider,
                            const absl::Status& seen) {
  metadata::Replication& catalog = vault_.metadata->replication();
  if (seen.ok()) return catalog.SetShard(ref, provider, ShardState::kLive);
  const bool missing = absl::IsNotFound(seen);
  if (!missing && !absl::IsDataLoss(seen)) {
    vault_.providers->health().Record(provider, seen);
    return absl::OkStatus();  // nobody knows
  }
  base::LogWarn(missing ? "a shard is missing" : "a shard is damaged",
                {{"provider", provider},
                 {"kind", ref.kind == ObjectKind::kPack ? "pack" : "manifest"},
                 {"id", ref.id.ToHex()},
                 {"error", seen.message()}});
  if (missing) {
    vault_.providers->findings().Missing();
    Suspect(provider);
  } else {
    vault_.providers->findings().Damaged();
  }
  return missing ? catalog.DropShard(ref, provider)
                 : catalog.SetShard(ref, provider, ShardState::kDamaged);
}

absl::StatusOr<uint64_t> Repairer::Round(const base::Context& context, absl::Duration at_most) {
  const absl::Duration started = vault_.clock->Monotonic();
  uint64_t paid = 0;
  while (true) {
    if (vault_.clock->Monotonic() - started >= at_most) return paid;
    CEDANA_RETURN_IF_ERROR(context.Check());
    CEDANA_ASSIGN_OR_RETURN(
        const std::vector<metadata::Debt> debts,
        vault_.metadata->replication().Claim(worker_, options_.parallel, options_.claim));
    if (debts.empty()) return paid;
    const std::vector<absl::Status> outcomes = PayAll(context, debts);
    for (size_t i = 0; i < debts.size(); ++i) {
      if (outcomes[i].ok()) {
        ++paid;
        continue;
      }
      const uint32_t doublings = std::min<uint32_t>(debts[i].tries, 10);
      const absl::Duration wait = std::max(
          std::min(options_.retry * static_cast<double>(1u << doublings), options_.retry_max),
          base::RetryAfter(outcomes[i]));
      CEDANA_RETURN_IF_ERROR(vault_.metadata->replication().Postpone(debts[i], wait));
      absl::MutexLock lock(&mutex_);
      ++counts_.postponed;
    }
  }
}

std::vector<absl::Status> Repairer::PayAll(const base::Context& context,
                                           const std::vector<metadata::Debt>& debts) {
  std::vector<absl::Status> outcomes(debts.size());
  absl::Mutex mutex;
  size_t ended = 0;
  const auto all_ended = [&] { return ended == debts.size(); };
  std::vector<base::Thread> threads;
  for (size_t i = 0; i < debts.size(); ++i) {
    threads.emplace_back("repair", [&, i] {
      outcomes[i] = Pay(context, debts[i].ref);
      absl::MutexLock lock(&mutex);
      ++ended;
    });
  }
  // However slow the providers are, nobody else begins with the same.
  absl::MutexLock lock(&mutex);
  while (!mutex.AwaitWithTimeout(absl::Condition(&all_ended), options_.claim / 3)) {
    for (const metadata::Debt& debt : debts) {
      const absl::Status renewed =
          vault_.metadata->replication().Renew(worker_, debt, options_.claim);
      if (!renewed.ok()) base::LogWarn("a claim is not renewed", {{"error", renewed.message()}});
    }
  }
  return outcomes;
}

absl::Status Repairer::Pay(const base::Context& context, const metadata::ObjectRef& ref) {
  absl::StatusOr<metadata::ReplicatedObject> object = vault_.metadata->replication().Find(ref);
  if (absl::IsNotFound(object.status())) return vault_.metadata->replication().Settle(ref);
  CEDANA_RETURN_IF_ERROR(object.status());
  Work work{*std::move(object), ""};
  work.key = KeyOf(work.object);
  absl::Status status = CheckAcknowledged(context, work);
  if (status.ok()) status = WriteMissing(context, work);
  if (status.ok()) status = RemoveDamaged(context, work);
  // kNotFound is the catalog's word: the object is not wanted any more.
  if (!absl::IsNotFound(status)) CEDANA_RETURN_IF_ERROR(status);
  CEDANA_RETURN_IF_ERROR(vault_.metadata->replication().Settle(ref));
  absl::MutexLock lock(&mutex_);
  ++counts_.paid;
  return absl::OkStatus();
}

absl::Status Repairer::CheckAcknowledged(const base::Context& context, Work& work) {
  const std::vector<metadata::Shard> shards = work.object.shards;
  for (const metadata::Shard& shard : shards) {
    const ProviderPtr provider = vault_.providers->Find(shard.provider);
    if (provider == nullptr) {
      // No provider of ours (any more).
      CEDANA_RETURN_IF_ERROR(
          vault_.metadata->replication().DropShard(work.object.ref, shard.provider));
      work.Set(shard.provider, std::nullopt);
      continue;
    }
    if (shard.state != ShardState::kAcknowledged ||
        !vault_.providers->health().Ready(shard.provider)) {
      continue;
    }
    const absl::Status seen = Look(context, *provider, work.object);
    CEDANA_RETURN_IF_ERROR(context.Check());
    CEDANA_RETURN_IF_ERROR(Note(work.object.ref, shard.provider, seen));
    if (seen.ok()) work.Set(shard.provider, ShardState::kLive);
    if (absl::IsNotFound(seen)) work.Set(shard.provider, std::nullopt);
    if (absl::IsDataLoss(seen)) work.Set(shard.provider, ShardState::kDamaged);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Repairer::Read(const base::Context& context, const Provider& provider,
                                           const metadata::ReplicatedObject& object) {
  CEDANA_RETURN_IF_ERROR(read_pace_.Take(context, object.bytes));
  return ReadWhole(context.WithTimeout(TransferTime(object.bytes)), provider, object);
}

absl::Status Repairer::Look(const base::Context& context, const Provider& provider,
                            const metadata::ReplicatedObject& object) {
  if (object.ref.kind == ObjectKind::kManifest) return Read(context, provider, object).status();
  // Else it is read, as a rule.
  if (!provider.capabilities.keeps_checksum) {
    CEDANA_RETURN_IF_ERROR(read_pace_.Take(context, object.bytes));
  }
  return CheckObject(context.WithTimeout(TransferTime(object.bytes)), *provider.store,
                     KeyOf(object), {object.bytes, object.crc32c.value_or(0)});
}

absl::StatusOr<std::string> Repairer::ReadGood(const base::Context& context, Work& work) {
  absl::Status last = absl::DataLossError(absl::StrCat(work.key, ": no copy is left"));
  std::vector<ProviderPtr> holders =
      vault_.providers->Ranked(work.object.ref.organisation, /*writing=*/false);
  std::erase_if(holders, [&](const auto& provider) { return !work.StateAt(provider->name); });
  const auto marked = [&](const ProviderPtr& provider) {
    return work.StateAt(provider->name) == ShardState::kDamaged;
  };
  std::stable_partition(holders.begin(), holders.end(), std::not_fn(marked));
  for (const ProviderPtr& provider : holders) {
    if (vault_.providers->health().Of(provider->name).throttled > absl::ZeroDuration()) {
      last = NotNow(absl::StrCat("provider ", provider->name, ": wants to be left alone"));
      continue;
    }
    const bool was_damaged = marked(provider);
    const ShardName shard{work.object.ref.id, provider->name};
    if (was_damaged && Remembered(shard, kDamagedFor) == DamageVerdict::kDamaged) continue;
    absl::StatusOr<std::string> bytes = Read(context, *provider, work.object);
    if (bytes.ok() && !was_damaged) return bytes;
    CEDANA_RETURN_IF_ERROR(context.Check());
    Remember(shard, VerdictOf(bytes.status()));
    if (!was_damaged || !absl::IsDataLoss(bytes.status())) {
      CEDANA_RETURN_IF_ERROR(Note(work.object.ref, provider->name, bytes.status()));
    }
    if (bytes.ok()) {
      base::LogInfo("a shard that was marked as damaged is sound",
                    {{"provider", provider->name}, {"key", work.key}});
      work.Set(provider->name, ShardState::kLive);
      return bytes;
    }
    last = base::Annotate(bytes.status(), absl::StrCat("provider ", provider->name));
    if (absl::IsNotFound(bytes.status())) work.Set(provider->name, std::nullopt);
    if (absl::IsDataLoss(bytes.status())) work.Set(provider->name, ShardState::kDamaged);
  }
  // Not kNotFound, which would say that the object is not wanted any more.
  if (absl::IsNotFound(last)) last = absl::DataLossError(last.message());
  return last;
}

std::vector<ProviderPtr> Repairer::Targets(const Work& work) const {
  const std::set<std::string> covered = work.SoundDomains(*vault_.providers);
  std::vector<ProviderPtr> targets =
      vault_.providers->Ranked(work.object.ref.organisation, /*writing=*/true);
  std::erase_if(targets, [&](const ProviderPtr& target) {
    return covered.contains(target->domain) || !vault_.providers->health().Ready(target->name);
  });
  return targets;
}

absl::Status Repairer::NotNow(absl::string_view what) const {
  absl::Duration first = absl::InfiniteDuration();
  for (const ProviderPtr& provider : vault_.providers->Healthy()) {
    const absl::Duration throttled = vault_.providers->health().Of(provider->name).throttled;
    if (throttled > absl::ZeroDuration()) first = std::min(first, throttled);
  }
  absl::Status status = absl::UnavailableError(what);
  return first == absl::InfiniteDuration() ? status : base::WithRetryAfter(status, first);
}

absl::Status Repairer::WriteMissing(const base::Context& context, Work& work) {
  const auto covered = [&] { return work.SoundDomains(*vault_.providers); };
  if (covered().size() >= work.object.copies) return absl::OkStatus();
  absl::Status last =
      NotNow(absl::StrCat(work.key, ": is in ", covered().size(), " of ", work.object.copies,
                          " failure domains, and no other is healthy"));
  // A debt may wait for a provider for days: nothing is read while there is nowhere to write it.
  if (Targets(work).empty()) return last;
  CEDANA_ASSIGN_OR_RETURN(const std::string bytes, ReadGood(context, work));
  // Reading may have found that a copy is none, or is one again.
  for (const ProviderPtr& target : Targets(work)) {
    if (covered().size() >= work.object.copies) return absl::OkStatus();
    if (covered().contains(target->domain)) continue;
    const absl::Status written = WriteShard(context, work, *target, bytes);
    CEDANA_RETURN_IF_ERROR(context.Check());
    if (absl::IsNotFound(written)) return written;
    if (!written.ok()) last = base::Annotate(written, absl::StrCat("provider ", target->name));
  }
  return covered().size() >= work.object.copies ? absl::OkStatus() : last;
}

absl::Status Repairer::WriteShard(const base::Context& context, Work& work, const Provider& target,
                                  absl::string_view bytes) {
  HealthBoard& health = vault_.providers->health();
  CEDANA_RETURN_IF_ERROR(write_pace_.Take(context, bytes.size()));
  // Its checksum: of a manifest it is not kept, but computed from bytes whose SHA-256 is right.
  const uint32_t crc32c =
      codec::Crc32c({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  const auto remove = [&] {
    return DeleteOnce(context.WithTimeout(kRequestTimeout), target, health, work.key);
  };
  const auto write = [&] {
    return PutOnce(context.WithTimeout(TransferTime(bytes.size())), target, health, work.key, bytes,
                   crc32c);
  };
  absl::Status put;
  if (work.StateAt(target.name) == ShardState::kDamaged) put = remove();
  if (put.ok()) put = write();
  if (absl::IsAlreadyExists(put)) {
    // Something else lies there: an upload that went wrong long ago, or damage not known yet.
    put = remove();
    if (put.ok()) put = write();
  }
  if (put.ok()) put = Look(context, target, work.object);
  // No bucket, or a write that is not there afterwards.
  if (absl::IsNotFound(put)) return absl::UnavailableError(put.message());
  CEDANA_RETURN_IF_ERROR(put);
  const absl::Status noted =
      vault_.metadata->replication().SetShard(work.object.ref, target.name, ShardState::kLive);
  if (absl::IsNotFound(noted)) remove().IgnoreError();
  CEDANA_RETURN_IF_ERROR(noted);
  work.Set(target.name, ShardState::kLive);
  absl::MutexLock lock(&mutex_);
  looked_.erase({work.object.ref.id, target.name});
  ++counts_.written_shards;
  counts_.written_bytes += bytes.size();
  return absl::OkStatus();
}

absl::Status Repairer::RemoveDamaged(const base::Context& context, Work& work) {
  absl::Status last;
  const std::vector<metadata::Shard> shards = work.object.shards;
  for (const metadata::Shard& shard : shards) {
    if (shard.state == ShardState::kLive) continue;
    const ProviderPtr provider = vault_.providers->Find(shard.provider);
    if (shard.state == ShardState::kAcknowledged || provider == nullptr ||
        !vault_.providers->health().Ready(shard.provider)) {
      last = NotNow(
          absl::StrCat("provider ", shard.provider, ": holds a shard that nobody can look at now"));
      continue;
    }
    // There are as many good copies as are wanted.
    const absl::Status deleted = DeleteOnce(context.WithTimeout(kRequestTimeout), *provider,
                                            vault_.providers->health(), work.key);
    if (!deleted.ok()) {
      last = deleted;
      continue;
    }
    CEDANA_RETURN_IF_ERROR(
        vault_.metadata->replication().DropShard(work.object.ref, shard.provider));
  }
  return last;
}

absl::Status Repairer::Drain(const base::Context& context, ProviderRegistry* registry) {
  for (const ProviderPtr& provider : vault_.providers->All()) {
    if (provider->active()) continue;
    while (true) {
      CEDANA_RETURN_IF_ERROR(context.Check());
      CEDANA_ASSIGN_OR_RETURN(const std::vector<metadata::PlacedShard> surplus,
                              vault_.metadata->replication().Surplus(provider->name, kDrainBatch));
      if (surplus.empty()) break;
      bool any = false;
      for (const metadata::PlacedShard& shard : surplus) {
        const metadata::ReplicatedObject object{.ref = shard.ref, .save = shard.save};
        const absl::Status retired = vault_.metadata->replication().Retire(
            shard.ref, {provider->name, KeyOf(object), metadata::ChoreKind::kDelete, 0});
        // Deleted, or needed here again, since it was listed.
        if (absl::IsNotFound(retired) || absl::IsFailedPrecondition(retired)) continue;
        CEDANA_RETURN_IF_ERROR(retired);
        any = true;
      }
      if (!any) break;
      if (surplus.size() < kDrainBatch) break;
    }
    CEDANA_ASSIGN_OR_RETURN(const auto owed, vault_.metadata->chores().Of(provider->name, 1));
    if (!owed.empty()) continue;
    const absl::Status forgotten = registry->Forget(provider->name);
    if (forgotten.ok()) {
      base::LogInfo("a provider is drained", {{"provider", provider->name}});
    } else if (!absl::IsFailedPrecondition(forgotten)) {
      return forgotten;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<DamageVerdict> Repairer::Inspect(const base::Context& context,
                                                const metadata::ObjectRef& ref,
                                                const std::string& provider_name) {
  CEDANA_ASSIGN_OR_RETURN(const metadata::ReplicatedObject object,
                          vault_.metadata->replication().Find(ref));
  const ProviderPtr provider = vault_.providers->Find(provider_name);
  const auto shard = std::find_if(object.shards.begin(), object.shards.end(),
                                  [&](const auto& one) { return one.provider == provider_name; });
  if (provider == nullptr || shard == object.shards.end()) return DamageVerdict::kMissing;
  // What is marked already needs no second look here: repair has it in hand.
  if (shard->state == ShardState::kDamaged) return DamageVerdict::kDamaged;
  if (const auto before = Remembered({ref.id, provider_name}, kLookedFor)) return *before;
  if (!inspect_mutex_.TryLock()) {
    return absl::UnavailableError("damage: another shard is being looked at");
  }
  const absl::Status seen =
      ReadWhole(context.WithTimeout(kRequestTimeout), *provider, object).status();
  inspect_mutex_.Unlock();
  CEDANA_RETURN_IF_ERROR(context.Check());
  // Slower than somebody waits for it: that says nothing against the provider.
  if (absl::IsDeadlineExceeded(seen)) return DamageVerdict::kUnreachable;
  Remember({ref.id, provider_name}, VerdictOf(seen));
  CEDANA_RETURN_IF_ERROR(Note(ref, provider_name, seen));
  return VerdictOf(seen);
}

}  // namespace cedana::replica
