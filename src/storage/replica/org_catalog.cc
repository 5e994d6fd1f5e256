#include "storage/replica/org_catalog.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/metadata/paths.h"
#include "storage/replica/crypto.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"
#include "storage/replica/sightings.h"
#include "storage/replica/spread.h"

namespace cedana::replica {
namespace {

// Enough to choose from, and a bound on what an answer holds.
constexpr size_t kGrantsPerPackMax = 8;
constexpr absl::Duration kManifestReadTimeout = absl::Seconds(5);

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

transfer::CheckpointInfo ToInfo(const metadata::Checkpoint& row) {
  transfer::CheckpointInfo info;
  info.id = row.id;
  info.path = row.path;
  info.sequence = row.sequence;
  info.created = absl::FromUnixMillis(row.created_ms);
  info.image_bytes = row.image_bytes;
  info.stored_bytes = row.stored_bytes;
  info.new_bytes = row.new_bytes;
  info.codec = row.codec;
  info.durability = row.durability;
  if (absl::StatusOr<base::Json> facts = base::ParseJson(row.facts); facts.ok()) {
    info.facts = transfer::JobFacts::FromJson(*facts);
  }
  return info;
}

absl::Status CheckRequest(const transfer::CommitRequest& request,
                          const format::OrganisationKeys& keys) {
  if (request.manifest.empty() || request.manifest.size() > base::kManifestBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("commit: a manifest of ", request.manifest.size(), " bytes"));
  }
  for (const transfer::StoredPack& pack : request.packs) {
    if (!pack.own) continue;
    if (pack.bytes == 0 || pack.bytes > base::kPackBytesMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("commit: pack ", pack.id.ToHex(), " of ", pack.bytes, " bytes"));
    }
    if (keys.Find(pack.key_epoch) == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("commit: pack ", pack.id.ToHex(),
                                                     " under unknown key epoch ", pack.key_epoch));
    }
  }
  return absl::OkStatus();
}

metadata::NewCheckpoint ToRow(const transfer::CommitRequest& request, std::string path) {
  metadata::NewCheckpoint wanted{.save = request.save};
  wanted.row.id = request.checkpoint;
  wanted.row.path = std::move(path);
  wanted.row.image_bytes = request.image_bytes;
  wanted.row.stored_bytes = request.stored_bytes;
  wanted.row.new_bytes = request.new_bytes;
  wanted.row.codec = request.codec;
  wanted.row.job_id = request.facts.job_id;
  wanted.row.job_name = request.facts.job_name;
  wanted.row.facts = base::DumpJson(request.facts.ToJson());
  wanted.row.manifest_sha256 = Sha256(request.manifest);
  wanted.row.manifest_bytes = request.manifest.size();
  for (const transfer::StoredPack& pack : request.packs) {
    wanted.packs.push_back({pack.id, pack.bytes, pack.crc32c, pack.key_epoch, pack.own, {}, {}});
  }
  return wanted;
}

}  // namespace

absl::StatusOr<format::OrganisationKeys> OrgCatalog::Keys() {
  CEDANA_ASSIGN_OR_RETURN(const metadata::Organisation row,
                          vault_.metadata->identities().FindOrganisation(organisation_));
  return vault_.keys->Unwrap(organisation_, row.wrapped_key);
}

absl::StatusOr<std::string> OrgCatalog::Normal(const std::string& path) const {
  return kind_ == PathKind::kFile ? metadata::NormaliseFile(path) : metadata::NormalisePath(path);
}

absl::StatusOr<transfer::BegunSave> OrgCatalog::Begin(const base::Context& context,
                                                      const transfer::BeginRequest& request) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  CEDANA_ASSIGN_OR_RETURN(std::string path, Normal(request.path));
  if (path != request.path) {
    return absl::InvalidArgumentError("path: has a leading `/` or the suffix of an archive");
  }
  CEDANA_ASSIGN_OR_RETURN(format::OrganisationKeys keys, Keys());
  CEDANA_ASSIGN_OR_RETURN(
      metadata::Save save,
      vault_.metadata->saves().Begin(
          organisation_, {request.save, request.checkpoint, std::move(path), request.generated}));
  return transfer::BegunSave{std::move(save.path), std::move(keys), vault_.times.lease,
                             vault_.times.heartbeat};
}

absl::Status OrgCatalog::Heartbeat(const base::Context& context, const base::SaveId& save) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  return vault_.metadata->saves().Renew(organisation_, save).status();
}

absl::StatusOr<transfer::CheckpointInfo> OrgCatalog::Commit(
    const base::Context& context, const transfer::CommitRequest& request) {
  CEDANA_ASSIGN_OR_RETURN(std::string path, Normal(request.path));
  CEDANA_ASSIGN_OR_RETURN(const format::OrganisationKeys keys, Keys());
  CEDANA_RETURN_IF_ERROR(CheckRequest(request, keys));
  metadata::NewCheckpoint wanted = ToRow(request, std::move(path));
  CEDANA_ASSIGN_OR_RETURN(const metadata::Save save, FindSave(request.save));
  if (save.lease_live) {
    // I2: packs first. Every own pack is there, whole, in as many failure domains as the policy's
    // `ack` says.
    CEDANA_ASSIGN_OR_RETURN(const metadata::Policy policy, Policy());
    CEDANA_RETURN_IF_ERROR(SeeOwnPacks(context, vault_, request, policy, &wanted.packs));
    // Then the manifest. From here all bytes of the checkpoint are durable.
    CEDANA_ASSIGN_OR_RETURN(
        wanted.row.manifest_providers,
        PutManifest(context, vault_, ManifestKey(request.save, request.checkpoint),
                    request.manifest, {.copies = policy.copies, .needed = policy.ack}));
    CEDANA_RETURN_IF_ERROR(context.Check());
  }
  // Then the catalog's row, which also queues the commit record. A save that has ended gets its
  // answer here, too: the first one again, or the reason.
  CEDANA_ASSIGN_OR_RETURN(const metadata::Checkpoint row,
                          vault_.metadata->saves().Commit(organisation_, wanted));
  return ToInfo(row);
}

absl::Status OrgCatalog::Abort(const base::Context& context, const base::SaveId& save) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  return vault_.metadata->saves().Abort(organisation_, save);
}

absl::StatusOr<metadata::Save> OrgCatalog::FindSave(const base::SaveId& save) {
  return vault_.metadata->saves().Find(organisation_, save);
}

absl::StatusOr<transfer::SaveOutcome> OrgCatalog::Outcome(const base::Context& context,
                                                          const base::SaveId& save) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  CEDANA_ASSIGN_OR_RETURN(const metadata::Save found, FindSave(save));
  switch (found.state) {
    case metadata::SaveState::kOpen:
      return transfer::SaveOutcome::kOpen;
    case metadata::SaveState::kCommitted:
      return transfer::SaveOutcome::kCommitted;
    case metadata::SaveState::kAborted:
      return transfer::SaveOutcome::kAborted;
    case metadata::SaveState::kUnknown:
      break;
  }
  return transfer::SaveOutcome::kUnknown;
}

absl::StatusOr<std::string> OrgCatalog::ReadManifest(const base::Context& context,
                                                     const metadata::Checkpoint& row) {
  const auto listed = [&row](const ProviderPtr& provider) {
    return Contains(row.manifest_providers, provider->name);
  };
  std::vector<ProviderPtr> providers = vault_.providers->Ranked(organisation_, /*writing=*/false);
  // Last those whose copy was found bad or gone: it may have been put back, and its hash tells.
  const auto unlisted = std::stable_partition(providers.begin(), providers.end(), listed);
  absl::StatusCode code = absl::StatusCode::kOk;
  std::vector<std::string> texts;
  for (auto provider = providers.begin(); provider != providers.end(); ++provider) {
    absl::StatusOr<std::string> bytes =
        ReadManifestFrom(context, row, **provider, /*listed=*/provider < unlisted);
    if (bytes.ok()) return bytes;
    CEDANA_RETURN_IF_ERROR(context.Check());
    const absl::Status& why = bytes.status();
    // That one which should not have it has not is no news.
    if (absl::IsNotFound(why) && provider >= unlisted) continue;
    texts.emplace_back(why.message());
    // One that may recover outweighs all others.
    const bool lost = absl::IsNotFound(why) || absl::IsDataLoss(why);
    if (code == absl::StatusCode::kOk || !lost)
      code = lost ? absl::StatusCode::kDataLoss : why.code();
  }
  if (texts.empty())
    return absl::DataLossError(absl::StrCat("manifest of ", row.path, ": no provider has it"));
  return absl::Status(code,
                      absl::StrCat("manifest of ", row.path, ": ", absl::StrJoin(texts, "; ")));
}

absl::StatusOr<std::string> OrgCatalog::ReadManifestFrom(const base::Context& context,
                                                         const metadata::Checkpoint& row,
                                                         const Provider& provider, bool listed) {
  const std::string key = ManifestKey(row.save, row.id);
  const auto mark = [&](metadata::ShardState state) {
    vault_.metadata->replication()
        .SetShard(metadata::ObjectRef::Manifest(organisation_, row.id), provider.name, state)
        .IgnoreError();  // the next reader finds it, too
  };
  absl::StatusOr<std::string> bytes = ReadObject(context.WithTimeout(kManifestReadTimeout),
                                                 *provider.store, key, base::kManifestBytesMax);
  if (bytes.ok() && Sha256(*bytes) == row.manifest_sha256) {
    if (!listed) mark(metadata::ShardState::kLive);
    return bytes;
  }
  CEDANA_RETURN_IF_ERROR(context.Check());
  if (!bytes.ok() && !absl::IsNotFound(bytes.status())) {
    vault_.providers->health().Record(provider.name, bytes.status());
    return base::Annotate(bytes.status(), absl::StrCat("provider ", provider.name));
  }
  if (listed) {
    base::LogWarn("a manifest is damaged", {{"provider", provider.name}, {"key", key}});
    if (bytes.ok()) {
      vault_.providers->findings().Damaged();
    } else {
      vault_.providers->findings().Missing();
    }
    mark(metadata::ShardState::kDamaged);
  }
  if (!bytes.ok()) return base::Annotate(bytes.status(), absl::StrCat("provider ", provider.name));
  return absl::DataLossError(
      absl::StrCat("provider ", provider.name, ": ", key, " is not what was committed"));
}

absl::StatusOr<transfer::OpenedCheckpoint> OrgCatalog::Open(const base::Context& context,
                                                            const std::string& path,
                                                            const base::LeaseId& lease) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  CEDANA_ASSIGN_OR_RETURN(const std::string normal, Normal(path));
  CEDANA_ASSIGN_OR_RETURN(const metadata::Checkpoint row,
                          vault_.metadata->checkpoints().Hold(organisation_, normal, lease));
  transfer::OpenedCheckpoint opened;
  CEDANA_ASSIGN_OR_RETURN(opened.manifest, ReadManifest(context, row));
  CEDANA_ASSIGN_OR_RETURN(opened.keys, Keys());
  opened.info = ToInfo(row);
  opened.lease = vault_.times.lease;
  opened.heartbeat = vault_.times.heartbeat;
  return opened;
}

absl::Status OrgCatalog::RenewHold(const base::Context& context, const base::LeaseId& lease) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  return vault_.metadata->checkpoints().RenewHold(organisation_, lease);
}

absl::Status OrgCatalog::Close(const base::Context& context, const base::LeaseId& lease) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  return vault_.metadata->checkpoints().Release(organisation_, lease);
}

absl::StatusOr<std::vector<transfer::CheckpointInfo>> OrgCatalog::List(
    const base::Context& context, const transfer::ListQuery& query) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  metadata::CheckpointFilter filter;
  CEDANA_ASSIGN_OR_RETURN(filter.prefix, metadata::NormaliseFolder(query.prefix));
  filter.prefix.resize(filter.prefix.size() - metadata::ViewSuffix(filter.prefix).size());
  filter.job_name = query.job_name;
  filter.job_id = query.job_id;
  filter.newest_per_job = query.newest_per_job;
  filter.before_sequence = query.before_sequence;
  filter.limit =
      std::min<uint32_t>(query.limit == 0 ? base::kListPageMax : query.limit, base::kListPageMax);
  CEDANA_ASSIGN_OR_RETURN(const std::vector<metadata::Checkpoint> rows,
                          vault_.metadata->checkpoints().List(organisation_, filter));
  std::vector<transfer::CheckpointInfo> infos;
  infos.reserve(rows.size());
  for (const metadata::Checkpoint& row : rows) infos.push_back(ToInfo(row));
  return infos;
}

absl::Status OrgCatalog::Delete(const base::Context& context, const std::string& path) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  CEDANA_ASSIGN_OR_RETURN(const std::string normal, Normal(path));
  return vault_.metadata->checkpoints().Hide(organisation_, normal);
}

absl::StatusOr<transfer::CheckpointInfo> OrgCatalog::Find(const std::string& path) {
  CEDANA_ASSIGN_OR_RETURN(const std::string normal, Normal(path));
  CEDANA_ASSIGN_OR_RETURN(const metadata::Checkpoint row,
                          vault_.metadata->checkpoints().Find(organisation_, normal));
  return ToInfo(row);
}

absl::StatusOr<std::vector<metadata::ListedName>> OrgCatalog::Names(const std::string& folder) {
  CEDANA_ASSIGN_OR_RETURN(const std::string normal, metadata::NormaliseFolder(folder));
  return vault_.metadata->checkpoints().Names(organisation_, normal);
}

absl::StatusOr<metadata::Policy> OrgCatalog::Policy() {
  return vault_.metadata->providers().PolicyOf(organisation_);
}

absl::Status OrgCatalog::RequireHeld(const base::LeaseId& lease, const base::PackId& pack) {
  return vault_.metadata->checkpoints().HeldPacks(organisation_, lease, {pack}).status();
}

void OrgCatalog::Report(const std::string& provider, const ClientReport& report) {
  vault_.providers->health().Hint(organisation_, provider, report);
}

void OrgCatalog::AddGrants(const std::vector<ProviderPtr>& providers, const base::PackId& pack,
                           const ObjectGrant& wanted, std::vector<PackGrant>* grants) {
  for (const ProviderPtr& provider : providers) {
    PackGrant item{.pack = pack, .provider = provider, .grant = wanted};
    item.grant.provider = provider->name;
    const absl::Time expires = absl::FromUnixMillis(wanted.expires_ms);
    const auto key = objstore::ObjectKey::Parse(wanted.key);
    if (provider->dialect == objstore::Dialect::kDirectory) {
      item.signature = vault_.grants->Sign(item.grant);
    } else {
      if (!key.ok()) continue;
      absl::StatusOr<objstore::SignedRequest> request =
          wanted.method == "PUT"
              ? provider->store->SignPut(*key, wanted.bytes, wanted.crc32c, expires)
              : provider->store->SignGet(*key, expires);
      if (!request.ok()) continue;  // not opened, or it cannot sign: others can
      item.sent = *std::move(request);
    }
    grants->push_back(std::move(item));
  }
}

absl::StatusOr<std::vector<PackGrant>> OrgCatalog::GrantUploads(
    const base::SaveId& save, const std::vector<WantedPack>& packs) {
  CEDANA_ASSIGN_OR_RETURN(const metadata::Save found, FindSave(save));
  if (found.state == metadata::SaveState::kUnknown) return absl::NotFoundError("save: none");
  if (!found.lease_live) {
    return absl::FailedPreconditionError("save: has ended, or its lease has");
  }
  const int64_t expires_ms = vault_.NowMs() + absl::ToInt64Milliseconds(vault_.times.grant);
  const std::vector<ProviderPtr> providers =
      FirstOfDomains(vault_.providers->Ranked(organisation_, /*writing=*/true), kGrantsPerPackMax);
  std::vector<PackGrant> grants;
  for (const WantedPack& pack : packs) {
    if (pack.bytes == 0 || pack.bytes > base::kPackBytesMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("grant: pack ", pack.id.ToHex(), " of ", pack.bytes, " bytes"));
    }
    AddGrants(providers, pack.id,
              {.method = "PUT",
               .key = PackKey(save, pack.id),
               .bytes = pack.bytes,
               .crc32c = pack.crc32c,
               .expires_ms = expires_ms},
              &grants);
  }
  return grants;
}

absl::StatusOr<std::vector<PackGrant>> OrgCatalog::GrantReads(
    const base::LeaseId& lease, const std::vector<base::PackId>& packs) {
  CEDANA_ASSIGN_OR_RETURN(const std::vector<metadata::PackPlaces> places,
                          vault_.metadata->checkpoints().HeldPacks(organisation_, lease, packs));
  const int64_t expires_ms = vault_.NowMs() + absl::ToInt64Milliseconds(vault_.times.grant);
  const std::vector<ProviderPtr> ranked =
      vault_.providers->Ranked(organisation_, /*writing=*/false);
  std::vector<PackGrant> grants;
  for (const metadata::PackPlaces& pack : places) {
    std::vector<ProviderPtr> holders = ranked;
    std::erase_if(holders, [&](const ProviderPtr& provider) {
      return !Contains(pack.providers, provider->name);
    });
    AddGrants(holders, pack.id,
              {.method = "GET",
               .key = PackKey(pack.save, pack.id),
               .bytes = pack.bytes,
               .expires_ms = expires_ms},
              &grants);
  }
  return grants;
}

}  // namespace cedana::replica
