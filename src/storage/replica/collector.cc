#include "storage/replica/collector.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/format/commit_record.h"
#include "storage/replica/crypto.h"
#include "storage/replica/object_keys.h"

namespace cedana::replica {
namespace {

constexpr int kBatch = 500;

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
  if (!first.ok()) return first;
  return counts;
}

absl::Status Collector::WriteRecords(const base::Context& context) {
  absl::MutexLock lock(&mutex_);
  CollectionCounts counts;
  return WriteRecords(context, &counts);
}

absl::Status Collector::WriteRecords(const base::Context& context, CollectionCounts* counts) {
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const std::vector<metadata::OwnedCheckpoint> pending,
                            vault_.metadata->collection().PendingRecords(kBatch));
    for (const metadata::OwnedCheckpoint& committed : pending) {
      CEDANA_RETURN_IF_ERROR(context.Check());
      CEDANA_ASSIGN_OR_RETURN(
          const metadata::Organisation organisation,
          vault_.metadata->identities().FindOrganisation(committed.organisation));
      CEDANA_ASSIGN_OR_RETURN(const format::OrganisationKeys keys,
                              vault_.keys->Unwrap(organisation.id, organisation.wrapped_key));
      const std::string record =
          format::SealCommitRecord({.checkpoint = committed.row.id,
                                    .sequence = committed.row.sequence,
                                    .path = committed.row.path,
                                    .manifest_sha256 = Hex(committed.row.manifest_sha256),
                                    .created = absl::FromUnixMillis(committed.row.created_ms)},
                                   keys);
      CEDANA_RETURN_IF_ERROR(vault_.providers->PutEverywhere(
          context, RecordKey(committed.organisation, committed.row.sequence), record));
      CEDANA_RETURN_IF_ERROR(vault_.metadata->collection().RecordWritten(committed.row.sequence));
      ++counts->commit_records;
    }
    if (pending.size() < kBatch) return absl::OkStatus();
  }
}

absl::Status Collector::SweepSaves(const base::Context& context, CollectionCounts* counts) {
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
  // No grant of the save is good any more and it can not commit, so what is not known now will
  // never be: this holds for a committed save's leftovers as well.
  CEDANA_ASSIGN_OR_RETURN(const metadata::KnownObjects known,
                          vault_.metadata->collection().KnownOf(save));
  const std::string prefix = SavePrefix(save);
  for (const Provider& provider : vault_.providers->all()) {
    std::vector<std::string> strays;
    CEDANA_RETURN_IF_ERROR(
        base::Annotate(ListAll(context, *provider.store, prefix,
                               [&](const objstore::ObjectInfo& object) {
                                 if (!IsKnown(absl::StripPrefix(object.key, prefix), known)) {
                                   strays.push_back(object.key);
                                   counts->deleted_bytes += object.bytes;
                                 }
                                 return absl::OkStatus();
                               }),
                       absl::StrCat("provider ", provider.name)));
    for (const std::string& key : strays) {
      CEDANA_ASSIGN_OR_RETURN(const auto parsed, objstore::ObjectKey::Parse(key));
      CEDANA_RETURN_IF_ERROR(provider.store->Delete(context, parsed));
      ++counts->swept_objects;
    }
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
      CEDANA_RETURN_IF_ERROR(vault_.providers->DeleteEverywhere(
          context, RecordKey(gone.organisation, gone.row.sequence)));
      CEDANA_RETURN_IF_ERROR(
          vault_.providers->DeleteEverywhere(context, ManifestKey(gone.row.save, gone.row.id)));
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
          vault_.providers->DeleteEverywhere(context, PackKey(pack.places.save, pack.places.id)));
    }
    CEDANA_RETURN_IF_ERROR(vault_.metadata->collection().ForgetPacks(doomed));
    for (const metadata::DoomedPack& pack : doomed) {
      ++counts->deleted_packs;
      counts->deleted_bytes += pack.places.bytes;
    }
    if (doomed.size() < kBatch) return absl::OkStatus();
  }
}

}  // namespace cedana::replica
