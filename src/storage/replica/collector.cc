#include "storage/replica/collector.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/format/commit_record.h"
#include "storage/replica/crypto.h"
#include "storage/replica/lost_commits.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"
#include "storage/replica/spread.h"

namespace cedana::replica {
namespace {

constexpr int kBatch = 500;
// Of what one save, or one chore, takes at one provider.
constexpr absl::Duration kSweepTimeout = absl::Seconds(30);

// Is this object of a save's prefix one that the catalog knows?
bool IsKnown(absl::string_view name, const metadata::KnownObjects& known) {
  if (absl::ConsumePrefix(&name, "p-")) {
    const auto id = base::PackId::FromHex(name);
    return id.ok() && known.packs.contains(*id);
  }
  if (absl::ConsumePrefix(&name, "m-")) {
    const auto id = base::CheckpointId::FromHex(name);
    return id.ok() && known.manifests.contains(*id);
  }
  return false;
}

// Not that of the one object: the next chore would fare no better.
bool IsProvidersFault(const absl::Status& status) {
  return !status.ok() && !absl::IsAlreadyExists(status) && !absl::IsDataLoss(status) &&
         !absl::IsInvalidArgument(status);
}

std::string Hex(absl::string_view bytes) {
  return base::HexEncode(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

absl::StatusOr<CollectionCounts> Collector::Round(const base::Context& context) {
  absl::MutexLock lock(&mutex_);
  CollectionCounts counts;
  metadata::Collection& catalog = vault_.metadata->collection();
  absl::Status first;
  first.Update(WriteRecords(context, &counts));
  first.Update(SweepSaves(context, &counts));
  first.Update(DeleteCheckpoints(context, &counts));
  const absl::StatusOr<uint64_t> condemned = catalog.Condemn();
  first.Update(condemned.status());
  counts.condemned_packs = condemned.value_or(0);
  first.Update(catalog.Doom(vault_.times.grace).status());
  first.Update(DeletePacks(context, &counts));
  first.Update(catalog.DropOldRows(vault_.times.keep_saves));
  first.Update(DoChores(context, &counts));
  if (!first.ok()) return first;
  return counts;
}

absl::StatusOr<uint64_t> Collector::DoChores(const base::Context& context) {
  absl::MutexLock lock(&mutex_);
  CollectionCounts counts;
  CEDANA_RETURN_IF_ERROR(DoChores(context, &counts));
  return counts.chores_done;
}

absl::Status Collector::WriteRecords(const base::Context& context) {
  absl::MutexLock lock(&mutex_);
  CollectionCounts counts;
  return WriteRecords(context, &counts);
}

absl::StatusOr<std::string> Collector::SealRecord(const metadata::OwnedCheckpoint& committed) {
  CEDANA_ASSIGN_OR_RETURN(const metadata::Organisation organisation,
                          vault_.metadata->identities().FindOrganisation(committed.organisation));
  CEDANA_ASSIGN_OR_RETURN(const format::OrganisationKeys keys,
                          vault_.keys->Unwrap(organisation.id, organisation.wrapped_key));
  return format::SealCommitRecord({.checkpoint = committed.row.id,
                                   .sequence = committed.row.sequence,
                                   .path = committed.row.path,
                                   .manifest_sha256 = Hex(committed.row.manifest_sha256),
                                   .created = absl::FromUnixMillis(committed.row.created_ms)},
                                  keys);
}

absl::Status Collector::WriteRecords(const base::Context& context, CollectionCounts* counts) {
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const std::vector<metadata::OwnedCheckpoint> pending,
                            vault_.metadata->collection().PendingRecords(kBatch));
    for (const metadata::OwnedCheckpoint& committed : pending) {
      CEDANA_RETURN_IF_ERROR(context.Check());
      CEDANA_ASSIGN_OR_RETURN(const std::string record, SealRecord(committed));
      const std::string key = RecordKey(committed.organisation, committed.row.sequence);
      std::vector<metadata::Chore> owed;
      for (const Missed& missed : PutEverywhere(context, vault_, key, record)) {
        owed.push_back(
            {missed.provider, key, metadata::ChoreKind::kWriteRecord, committed.row.sequence});
      }
      CEDANA_RETURN_IF_ERROR(context.Check());
      // First what is owed, then the end of the queue's entry: a crash between only repeats.
      CEDANA_RETURN_IF_ERROR(vault_.metadata->chores().Add(owed));
      CEDANA_RETURN_IF_ERROR(vault_.metadata->collection().RecordWritten(committed.row.sequence));
      ++counts->commit_records;
    }
    if (pending.size() < kBatch) return absl::OkStatus();
  }
}

absl::Status Collector::SweepSaves(const base::Context& context, CollectionCounts* counts) {
  // Before it is asked which saves are dead: an older catalog does not know which have committed.
  for (const ProviderPtr& provider : vault_.providers->Healthy()) {
    const absl::Status compared = CompareRecords(context, vault_, *provider);
    if (!compared.ok()) vault_.providers->health().Record(provider->name, compared);
  }
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const std::vector<base::SaveId> dead,
                            vault_.metadata->collection().DeadSaves(kBatch));
    for (const base::SaveId& save : dead) {
      CEDANA_RETURN_IF_ERROR(SweepSave(context, save, counts));
      CEDANA_RETURN_IF_ERROR(vault_.metadata->collection().Swept(save, vault_.times.sweep_again));
      ++counts->swept_saves;
    }
    if (dead.size() < kBatch) return absl::OkStatus();
  }
}

absl::Status Collector::SweepSave(const base::Context& context, const base::SaveId& save,
                                  CollectionCounts* counts) {
  std::vector<metadata::Chore> owed;
  for (const ProviderPtr& provider : vault_.providers->All()) {
    CEDANA_RETURN_IF_ERROR(context.Check());
    absl::Status swept =
        absl::UnavailableError("unhealthy, to be left alone, or not compared with the catalog yet");
    if (vault_.providers->health().Ready(provider->name) &&
        vault_.providers->Compared(provider->name)) {
      swept = SweepSaveAt(context.WithTimeout(kSweepTimeout), save, *provider, counts);
      vault_.providers->health().Record(provider->name, swept);
    }
    if (!swept.ok()) {
      owed.push_back({provider->name, SavePrefix(save), metadata::ChoreKind::kSweepSave, 0});
    }
  }
  CEDANA_RETURN_IF_ERROR(context.Check());
  return vault_.metadata->chores().Add(owed);
}

absl::Status Collector::SweepSaveAt(const base::Context& context, const base::SaveId& save,
                                    const Provider& provider, CollectionCounts* counts) {
  // No grant of the save is good any more and it can not commit, so what is not known now will
  // never be: this holds for a committed save's leftovers as well.
  CEDANA_ASSIGN_OR_RETURN(const metadata::KnownObjects known,
                          vault_.metadata->collection().KnownOf(save));
  const std::string prefix = SavePrefix(save);
  std::vector<std::string> strays;
  CEDANA_RETURN_IF_ERROR(
      ListAll(context, *provider.store, prefix, [&](const objstore::ObjectInfo& object) {
        if (!IsKnown(absl::StripPrefix(object.key, prefix), known)) {
          strays.push_back(object.key);
          counts->deleted_bytes += object.bytes;
        }
        return absl::OkStatus();
      }));
  for (const std::string& key : strays) {
    CEDANA_RETURN_IF_ERROR(DeleteOnce(context, provider, vault_.providers->health(), key));
    ++counts->swept_objects;
  }
  return absl::OkStatus();
}

absl::Status Collector::DeleteCheckpoints(const base::Context& context, CollectionCounts* counts) {
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const std::vector<metadata::OwnedCheckpoint> hidden,
                            vault_.metadata->collection().HiddenCheckpoints(kBatch));
    for (const metadata::OwnedCheckpoint& gone : hidden) {
      CEDANA_RETURN_IF_ERROR(context.Check());
      // The record first: without it a rebuild does not bring the checkpoint back.
      CEDANA_RETURN_IF_ERROR(
          DeleteEverywhere(context, vault_, RecordKey(gone.organisation, gone.row.sequence)));
      CEDANA_RETURN_IF_ERROR(
          DeleteEverywhere(context, vault_, ManifestKey(gone.row.save, gone.row.id)));
      CEDANA_RETURN_IF_ERROR(vault_.metadata->collection().Forget(gone.organisation, gone.row.id));
      counts->deleted_bytes += gone.row.manifest_bytes;
      ++counts->deleted_checkpoints;
    }
    if (hidden.size() < kBatch) return absl::OkStatus();
  }
}

absl::Status Collector::DeletePacks(const base::Context& context, CollectionCounts* counts) {
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const std::vector<metadata::DoomedPack> doomed,
                            vault_.metadata->collection().Doomed(kBatch));
    for (const metadata::DoomedPack& pack : doomed) {
      CEDANA_RETURN_IF_ERROR(context.Check());
      CEDANA_RETURN_IF_ERROR(
          DeleteEverywhere(context, vault_, PackKey(pack.places.save, pack.places.id)));
    }
    CEDANA_RETURN_IF_ERROR(vault_.metadata->collection().ForgetPacks(doomed));
    for (const metadata::DoomedPack& pack : doomed) {
      ++counts->deleted_packs;
      counts->deleted_bytes += pack.places.bytes;
    }
    if (doomed.size() < kBatch) return absl::OkStatus();
  }
}

absl::Status Collector::DoChores(const base::Context& context, CollectionCounts* counts) {
  HealthBoard& health = vault_.providers->health();
  for (const ProviderPtr& provider : vault_.providers->Ready()) {
    const absl::Status compared = CompareRecords(context, vault_, *provider);
    if (!compared.ok()) health.Record(provider->name, compared);
    bool more = compared.ok();
    while (more) {
      CEDANA_ASSIGN_OR_RETURN(const std::vector<metadata::Chore> chores,
                              vault_.metadata->chores().Of(provider->name, kBatch));
      const uint64_t done_before = counts->chores_done;
      absl::Status done;
      for (const metadata::Chore& chore : chores) {
        CEDANA_RETURN_IF_ERROR(context.Check());
        done = DoChore(context.WithTimeout(kSweepTimeout), *provider, chore, counts);
        // The others' turn; this one's chores wait until it is well.
        if (IsProvidersFault(done)) break;
        if (!done.ok()) {
          base::LogWarn(
              "a chore cannot be done",
              {{"provider", provider->name}, {"key", chore.key}, {"error", done.message()}});
          continue;
        }
        CEDANA_RETURN_IF_ERROR(vault_.metadata->chores().Done(chore));
        ++counts->chores_done;
      }
      if (IsProvidersFault(done)) health.Record(provider->name, done);
      more =
          chores.size() == kBatch && !IsProvidersFault(done) && counts->chores_done > done_before;
    }
  }
  CEDANA_ASSIGN_OR_RETURN(const auto left, vault_.metadata->chores().Counts());
  for (const metadata::ChoreCount& count : left) counts->chores_left += count.chores;
  return absl::OkStatus();
}

absl::Status Collector::DoChore(const base::Context& context, const Provider& provider,
                                const metadata::Chore& chore, CollectionCounts* counts) {
  HealthBoard& health = vault_.providers->health();
  switch (chore.kind) {
    case metadata::ChoreKind::kDelete:
      return DeleteOnce(context, provider, health, chore.key);
    case metadata::ChoreKind::kWriteRecord: {
      CEDANA_ASSIGN_OR_RETURN(const auto committed,
                              vault_.metadata->collection().Committed(chore.sequence));
      if (!committed.has_value()) return absl::OkStatus();  // deleted since
      CEDANA_ASSIGN_OR_RETURN(const std::string record, SealRecord(*committed));
      return PutOnce(context, provider, health, chore.key, record);
    }
    case metadata::ChoreKind::kSweepSave: {
      absl::string_view hex = chore.key;
      absl::ConsumePrefix(&hex, "s/");
      absl::ConsumeSuffix(&hex, "/");
      CEDANA_ASSIGN_OR_RETURN(const auto save, base::SaveId::FromHex(hex));
      return SweepSaveAt(context, save, provider, counts);
    }
  }
  return absl::InternalError("chore: of no known kind");
}

}  // namespace cedana::replica
