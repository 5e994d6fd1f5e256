#include "storage/replica/lost_commits.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "core/format/commit_record.h"
#include "core/format/sealed_object.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"

namespace cedana::replica {
namespace {

constexpr char kRecords[] = "c/";  // of all organisations, those that the catalog lacks as well
constexpr absl::Duration kListTimeout = absl::Seconds(30);
constexpr absl::Duration kListRecordsTimeout = absl::Minutes(10);  // all that there are
constexpr size_t kRecordBytesMax = 64u << 10;
constexpr size_t kMadeUpMax = 64;  // records in a row that are none of ours

// c/<organisation>/<sequence>; 0: the key is no record's.
uint64_t SequenceOf(absl::string_view key) {
  uint64_t sequence = 0;
  const size_t slash = key.rfind('/');
  if (slash == absl::string_view::npos || !absl::SimpleAtoi(key.substr(slash + 1), &sequence)) {
    return 0;
  }
  return sequence;
}

struct Record {
  uint64_t sequence = 0;
  const metadata::Organisation* organisation = nullptr;
};

// Whether this service has sealed it as the record of that sequence.
absl::StatusOr<bool> IsAuthentic(const base::Context& context, const Vault& vault,
                                 const Provider& provider, const Record& record) {
  CEDANA_ASSIGN_OR_RETURN(
      const format::OrganisationKeys keys,
      vault.keys->Unwrap(record.organisation->id, record.organisation->wrapped_key));
  const absl::StatusOr<std::string> sealed =
      ReadObject(context.WithTimeout(kListTimeout), *provider.store,
                 RecordKey(record.organisation->id, record.sequence), kRecordBytesMax);
  if (absl::IsNotFound(sealed.status()) || absl::IsResourceExhausted(sealed.status())) return false;
  CEDANA_RETURN_IF_ERROR(sealed.status());
  const auto id = format::PeekObjectId(format::kCommitRecordKind, *sealed);
  if (!id.ok()) return false;
  const auto opened =
      format::OpenCommitRecord(*sealed, base::CheckpointId::FromBytes(id->data()), keys);
  return opened.ok() && opened->sequence == record.sequence;
}

}  // namespace

absl::Status CompareRecords(const base::Context& context, const Vault& vault,
                            const Provider& provider) {
  if (vault.providers->Compared(provider.name)) return absl::OkStatus();
  CEDANA_ASSIGN_OR_RETURN(uint64_t last, vault.metadata->collection().LastSequence());
  CEDANA_ASSIGN_OR_RETURN(const auto organisations, vault.metadata->identities().Organisations());
  std::vector<Record> newer;
  for (const metadata::Organisation& organisation : organisations) {
    CEDANA_RETURN_IF_ERROR(ListAll(
        context.WithTimeout(kListTimeout), *provider.store, RecordPrefix(organisation.id),
        [&](const objstore::ObjectInfo& object) {
          newer.push_back({SequenceOf(object.key), &organisation});
          return absl::OkStatus();
        },
        RecordKey(organisation.id, last)));
  }
  // Less those that were committed meanwhile.
  CEDANA_ASSIGN_OR_RETURN(last, vault.metadata->collection().LastSequence());
  std::erase_if(newer, [&](const Record& record) { return record.sequence <= last; });
  std::sort(newer.begin(), newer.end(),
            [](const Record& a, const Record& b) { return a.sequence > b.sequence; });
  // A provider that makes up a high one must not use the numbers up.
  for (size_t i = 0; i < std::min(newer.size(), kMadeUpMax); ++i) {
    CEDANA_ASSIGN_OR_RETURN(const bool authentic, IsAuthentic(context, vault, provider, newer[i]));
    if (!authentic) continue;
    base::LogError("the catalog is older than what a provider holds",
                   {{"provider", provider.name},
                    {"unknown_commits", newer.size() - i},
                    {"last_known_sequence", last},
                    {"newest_sequence", newer[i].sequence}});
    CEDANA_RETURN_IF_ERROR(vault.metadata->collection().SkipTo(newer[i].sequence));
    break;
  }
  vault.providers->SetCompared(provider.name);
  return absl::OkStatus();
}

void CompareAllRecords(const base::Context& context, const Vault& vault) {
  const std::vector<ProviderPtr> providers = vault.providers->All();
  FanOut(context, providers, vault.providers->health(), vault.times.patience,
         [&](const base::Context& bounded, size_t i) {
           return CompareRecords(bounded, vault, *providers[i]);
         });
}

absl::Status LostCommits::LoadFrom(const base::Context& context, const Provider& provider,
                                   const std::set<uint64_t>& known) {
  std::vector<std::string> unknown;
  CEDANA_RETURN_IF_ERROR(ListAll(context.WithTimeout(kListRecordsTimeout), *provider.store,
                                 kRecords, [&](const objstore::ObjectInfo& object) {
                                   if (!known.contains(SequenceOf(object.key))) {
                                     unknown.push_back(object.key);
                                   }
                                   return absl::OkStatus();
                                 }));
  for (const std::string& key : unknown) {
    const absl::StatusOr<std::string> sealed =
        ReadObject(context.WithTimeout(kListTimeout), *provider.store, key, kRecordBytesMax);
    if (absl::IsNotFound(sealed.status())) continue;  // deleted meanwhile
    CEDANA_RETURN_IF_ERROR(sealed.status());
    const auto id = format::PeekObjectId(format::kCommitRecordKind, *sealed);
    if (id.ok()) lost_->insert(base::CheckpointId::FromBytes(id->data()));
  }
  return absl::OkStatus();
}

absl::Status LostCommits::Load(const base::Context& context) {
  std::set<uint64_t> known;
  CEDANA_ASSIGN_OR_RETURN(const auto organisations, vault_.metadata->identities().Organisations());
  for (const metadata::Organisation& organisation : organisations) {
    CEDANA_ASSIGN_OR_RETURN(const std::vector<uint64_t> sequences,
                            vault_.metadata->collection().KnownCommits(organisation.id));
    known.insert(sequences.begin(), sequences.end());
  }
  lost_.emplace();
  // Every provider has all records, so that one which is away now does not matter.
  for (const ProviderPtr& provider : vault_.providers->Healthy()) {
    const absl::Status loaded = LoadFrom(context, *provider, known);
    if (loaded.ok()) continue;
    lost_.reset();
    return base::Annotate(loaded, absl::StrCat("provider ", provider->name));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> LostCommits::MayOwn(const base::Context& context, const base::SaveId& save) {
  if (!lost_.has_value()) CEDANA_RETURN_IF_ERROR(Load(context));
  if (lost_->empty()) return false;
  const auto before = judged_.find(save);
  if (before != judged_.end()) return before->second;
  // The manifest names the checkpoint, and may be with other providers than the packs.
  const std::string prefix = absl::StrCat(SavePrefix(save), "m-");
  bool owns = false;
  for (const ProviderPtr& provider : vault_.providers->Healthy()) {
    CEDANA_RETURN_IF_ERROR(ListAll(context.WithTimeout(kListTimeout), *provider->store, prefix,
                                   [&](const objstore::ObjectInfo& object) {
                                     const auto id = base::CheckpointId::FromHex(
                                         absl::StripPrefix(object.key, prefix));
                                     owns = owns || (id.ok() && lost_->contains(*id));
                                     return absl::OkStatus();
                                   }));
    if (owns) break;
  }
  judged_.emplace(save, owns);
  return owns;
}

}  // namespace cedana::replica
