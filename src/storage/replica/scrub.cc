#include "storage/replica/scrub.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/replica/lost_commits.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"

namespace cedana::replica {
namespace {

constexpr int kBatch = 1000;
// A listing's page, at the slowest.
constexpr absl::Duration kListTimeout = absl::Seconds(30);
// By the provider's clock against ours: an upload that is under way must not look like a stray.
constexpr absl::Duration kStrayAge = absl::Hours(24);

class Pass {
 public:
  Pass(const Vault& vault, const Provider& provider, absl::Duration pause)
      : vault_(vault), provider_(provider), pause_(pause) {}

  absl::StatusOr<ScrubCounts> Run(const base::Context& context) {
    CEDANA_RETURN_IF_ERROR(LookAtSaves(context));
    CEDANA_RETURN_IF_ERROR(LookAtOrganisations(context));
    return counts_;
  }

 private:
  using Expected = std::map<std::string, metadata::PlacedShard>;  // by key

  absl::Status LookAtSaves(const base::Context& context) {
    std::optional<base::SaveId> after;
    while (true) {
      // Shards that were seen after the listing began may not be in it.
      CEDANA_ASSIGN_OR_RETURN(
          const std::vector<metadata::PlacedShard> shards,
          vault_.metadata->replication().ShardsAt(provider_.name, after, vault_.NowMs(), kBatch));
      const bool last = shards.size() < kBatch;
      Expected expected;
      for (const metadata::PlacedShard& shard : shards) {
        expected.emplace(shard.ref.kind == metadata::ObjectKind::kPack
                             ? PackKey(shard.save, shard.ref.pack())
                             : ManifestKey(shard.save, shard.ref.checkpoint()),
                         shard);
      }
      counts_.shards += shards.size();
      std::optional<base::SaveId> until;
      if (!last) until = shards.back().save;
      CEDANA_RETURN_IF_ERROR(LookAtRange(context, after, until, std::move(expected)));
      if (last) return absl::OkStatus();
      after = until;
      CEDANA_RETURN_IF_ERROR(context.Sleep(pause_));
    }
  }

  // Past every key of the save: "z" follows "m-" and "p-".
  static std::string EndOf(const std::optional<base::SaveId>& save) {
    return save.has_value() ? absl::StrCat(SavePrefix(*save), "z") : "";
  }

  absl::Status LookAtRange(const base::Context& context, const std::optional<base::SaveId>& after,
                           const std::optional<base::SaveId>& until, Expected expected) {
    const std::string end = EndOf(until);
    std::vector<std::pair<std::string, bool>> unknown;  // and whether it is old
    bool past_end = false;
    const absl::Status listed = ListAll(
        context.WithTimeout(kListTimeout), *provider_.store, "s/",
        [&](const objstore::ObjectInfo& object) -> absl::Status {
          past_end = !end.empty() && object.key > end;
          if (past_end) return absl::OutOfRangeError("the end of this range");
          const auto found = expected.find(object.key);
          if (found == expected.end()) {
            const absl::Duration age = absl::FromUnixMillis(vault_.NowMs()) - object.modified;
            unknown.emplace_back(object.key, age > kStrayAge);
            return absl::OkStatus();
          }
          const metadata::PlacedShard& shard = found->second;
          const bool same =
              object.bytes == shard.bytes && object.crc32c.value_or(shard.crc32c.value_or(0)) ==
                                                 shard.crc32c.value_or(object.crc32c.value_or(0));
          if (!same) CEDANA_RETURN_IF_ERROR(Mark(shard, metadata::ShardState::kDamaged));
          expected.erase(found);
          return absl::OkStatus();
        },
        EndOf(after));
    if (!past_end) CEDANA_RETURN_IF_ERROR(listed);
    for (const auto& [key, shard] : expected) {
      CEDANA_RETURN_IF_ERROR(Mark(shard, std::nullopt));
    }
    for (const auto& [key, old] : unknown) CEDANA_RETURN_IF_ERROR(Judge(context, key, old));
    return absl::OkStatus();
  }

  absl::Status Mark(const metadata::PlacedShard& shard, std::optional<metadata::ShardState> state) {
    metadata::Replication& catalog = vault_.metadata->replication();
    const absl::Status noted = state.has_value()
                                   ? catalog.SetShard(shard.ref, provider_.name, *state)
                                   : catalog.DropShard(shard.ref, provider_.name);
    if (absl::IsNotFound(noted)) return absl::OkStatus();  // deleted meanwhile
    CEDANA_RETURN_IF_ERROR(noted);
    if (state.has_value()) {
      ++counts_.damaged;
      vault_.providers->findings().Damaged();
    } else {
      ++counts_.missing;
      vault_.providers->findings().Missing();
    }
    return absl::OkStatus();
  }

  absl::Status Judge(const base::Context& context, const std::string& key, bool old) {
    const std::vector<std::string> parts = absl::StrSplit(key, '/');
    if (parts.size() != 3) return absl::OkStatus();  // not one of ours
    const auto save = base::SaveId::FromHex(parts[1]);
    if (!save.ok()) return absl::OkStatus();
    if (!known_.has_value() || known_->first != *save) {
      CEDANA_ASSIGN_OR_RETURN(metadata::KnownObjects known,
                              vault_.metadata->collection().KnownOf(*save));
      known_.emplace(*save, std::move(known));
    }
    const metadata::KnownObjects& known = known_->second;
    absl::string_view name = parts[2];
    if (absl::ConsumePrefix(&name, "p-")) {
      const auto id = base::PackId::FromHex(name);
      if (!id.ok()) return absl::OkStatus();
      if (known.packs.contains(*id)) {
        return Found(key, *save, metadata::ObjectKind::kPack,
                     metadata::ObjectId::FromBytes(id->data()));
      }
    } else if (absl::ConsumePrefix(&name, "m-")) {
      const auto id = base::CheckpointId::FromHex(name);
      if (!id.ok()) return absl::OkStatus();
      if (known.manifests.contains(*id)) {
        return Found(key, *save, metadata::ObjectKind::kManifest,
                     metadata::ObjectId::FromBytes(id->data()));
      }
    } else {
      return absl::OkStatus();
    }
    return old && !known.open ? DeleteStray(context, key, *save) : absl::OkStatus();
  }

  // Bytes that were missed once are back: a folder that was not mounted, a bucket that was
  // restored.
  absl::Status Found(const std::string& key, const base::SaveId& save, metadata::ObjectKind kind,
                     const metadata::ObjectId& id) {
    CEDANA_ASSIGN_OR_RETURN(const bool found, vault_.metadata->replication().FoundAgain(
                                                  save, kind, id, provider_.name, key));
    if (found) ++counts_.found;
    return absl::OkStatus();
  }

  absl::Status DeleteStray(const base::Context& context, const std::string& key,
                           const base::SaveId& save) {
    CEDANA_ASSIGN_OR_RETURN(const bool lost, lost_commits_.MayOwn(context, save));
    if (lost) {
      ++counts_.spared;
      return absl::OkStatus();
    }
    CEDANA_RETURN_IF_ERROR(DeleteOnce(context, provider_, vault_.providers->health(), key));
    ++counts_.strays;
    return absl::OkStatus();
  }

  // Their keys, and the records of what they committed.
  absl::Status LookAtOrganisations(const base::Context& context) {
    if (!provider_.active()) return absl::OkStatus();
    CEDANA_ASSIGN_OR_RETURN(const auto organisations,
                            vault_.metadata->identities().Organisations());
    for (const metadata::Organisation& organisation : organisations) {
      CEDANA_RETURN_IF_ERROR(
          PutOnce(context.WithTimeout(kListTimeout), provider_, vault_.providers->health(),
                  OrganisationKeyKey(organisation.id), organisation.wrapped_key));
      CEDANA_RETURN_IF_ERROR(LookAtRecords(context, organisation.id));
      CEDANA_RETURN_IF_ERROR(context.Check());
    }
    return absl::OkStatus();
  }

  absl::Status LookAtRecords(const base::Context& context, const base::OrgId& organisation) {
    CEDANA_ASSIGN_OR_RETURN(const std::vector<uint64_t> sequences,
                            vault_.metadata->collection().RecordedCommits(organisation));
    std::set<std::string> listed;
    CEDANA_RETURN_IF_ERROR(ListAll(context.WithTimeout(kListTimeout), *provider_.store,
                                   RecordPrefix(organisation),
                                   [&](const objstore::ObjectInfo& object) {
                                     listed.insert(object.key);
                                     return absl::OkStatus();
                                   }));
    std::vector<metadata::Chore> chores;
    for (const uint64_t sequence : sequences) {
      const std::string key = RecordKey(organisation, sequence);
      if (listed.contains(key)) continue;
      chores.push_back({provider_.name, key, metadata::ChoreKind::kWriteRecord, sequence});
    }
    counts_.records += chores.size();
    return vault_.metadata->chores().Add(chores);
  }

  const Vault& vault_;
  const Provider& provider_;
  const absl::Duration pause_;
  ScrubCounts counts_;
  std::optional<std::pair<base::SaveId, metadata::KnownObjects>> known_;  // of the last save
  LostCommits lost_commits_{&vault_};
};

}  // namespace

absl::StatusOr<ScrubCounts> ScrubProvider(const base::Context& context, const Vault& vault,
                                          const Provider& provider, absl::Duration pause) {
  absl::StatusOr<ScrubCounts> counts = Pass(vault, provider, pause).Run(context);
  if (!counts.ok()) {
    vault.providers->health().Record(provider.name, counts.status());
    return base::Annotate(counts.status(), absl::StrCat("provider ", provider.name));
  }
  if (counts->missing + counts->found + counts->damaged + counts->strays + counts->spared +
          counts->records >
      0) {
    base::LogWarn("a provider's listing differs from the catalog", {{"provider", provider.name},
                                                                    {"shards", counts->shards},
                                                                    {"missing", counts->missing},
                                                                    {"found", counts->found},
                                                                    {"damaged", counts->damaged},
                                                                    {"strays", counts->strays},
                                                                    {"spared", counts->spared},
                                                                    {"records", counts->records}});
  }
  return counts;
}

}  // namespace cedana::replica
