// Packs of the service itself: written and read at the providers without HTTP between.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"
#include "storage/replica/org_catalog.h"
#include "storage/replica/spread.h"

namespace cedana::replica {
namespace {

class ProviderPackSink : public transfer::PackSink {
 public:
  ProviderPackSink(const Vault& vault, const base::SaveId& save) : vault_(vault), save_(save) {}

  absl::StatusOr<std::vector<std::string>> Put(const base::Context& context,
                                               const base::PackId& pack,
                                               std::span<const uint8_t> bytes,
                                               uint32_t crc32c) override {
    CEDANA_ASSIGN_OR_RETURN(const base::OrgId organisation,
                            vault_.metadata->saves().OwnerOf(save_));
    CEDANA_ASSIGN_OR_RETURN(const metadata::Policy policy,
                            vault_.metadata->providers().PolicyOf(organisation));
    return PutCopies(context, vault_, organisation, PackKey(save_, pack),
                     absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
                     crc32c, {.copies = policy.copies, .needed = policy.ack});
  }

 private:
  const Vault& vault_;
  const base::SaveId save_;
};

class ProviderPackSource : public transfer::PackSource {
 public:
  ProviderPackSource(const Vault& vault, const base::OrgId& organisation,
                     const base::LeaseId& lease)
      : vault_(vault), organisation_(organisation), lease_(lease) {}

  absl::StatusOr<std::string> Read(const base::Context& context, const base::PackId& pack,
                                   uint64_t offset, std::span<uint8_t> out,
                                   std::span<const std::string> avoid) override {
    CEDANA_ASSIGN_OR_RETURN(
        const std::vector<metadata::PackPlaces> places,
        vault_.metadata->checkpoints().HeldPacks(organisation_, lease_, {pack}));
    CEDANA_ASSIGN_OR_RETURN(const auto key,
                            objstore::ObjectKey::Parse(PackKey(places[0].save, pack)));
    absl::Status last = absl::NotFoundError(absl::StrCat("pack ", pack.ToHex(), ": no provider"));
    const std::vector<std::string>& holders = places[0].providers;
    std::vector<ProviderPtr> asked = vault_.providers->Ranked(organisation_, /*writing=*/false);
    std::erase_if(asked, [&](const ProviderPtr& provider) {
      return std::find(holders.begin(), holders.end(), provider->name) == holders.end() ||
             std::find(avoid.begin(), avoid.end(), provider->name) != avoid.end();
    });
    // Those that are too slow for the first round are asked once more, patiently.
    const size_t first_round = asked.size() == 1 ? 0 : asked.size();
    for (size_t i = 0; i < asked.size(); ++i) {
      const ProviderPtr provider = asked[i];
      const bool patiently = i >= first_round;
      const absl::Duration timeout = patiently ? TransferTime(out.size()) : vault_.times.slow_read;
      last = ReadFrom(context.WithTimeout(timeout), *provider->store, key, offset, out);
      if (last.ok()) return provider->name;
      CEDANA_RETURN_IF_ERROR(context.Check());
      if (absl::IsDeadlineExceeded(last) && !patiently) asked.push_back(provider);
      if (!absl::IsNotFound(last)) vault_.providers->health().Record(provider->name, last);
      last = base::Annotate(last, absl::StrCat("provider ", provider->name));
    }
    return last;
  }

  // Repair writes it anew from a good copy.
  void ReportDamage(const base::PackId& pack, const std::string& provider,
                    const absl::Status& what) override {
    base::LogWarn("a shard is damaged",
                  {{"provider", provider}, {"pack", pack.ToHex()}, {"error", what.message()}});
    vault_.providers->findings().Damaged();
    const absl::Status noted = vault_.metadata->replication().SetShard(
        metadata::ObjectRef::Pack(organisation_, pack), provider, metadata::ShardState::kDamaged);
    if (!noted.ok()) {
      base::LogWarn("damage could not be noted",
                    {{"pack", pack.ToHex()}, {"error", noted.message()}});
    }
  }

 private:
  static absl::Status ReadFrom(const base::Context& context, objstore::ObjectStore& store,
                               const objstore::ObjectKey& key, uint64_t offset,
                               std::span<uint8_t> out) {
    size_t filled = 0;
    CEDANA_RETURN_IF_ERROR(store.Get(
        context, key, offset, out.size(), [&](std::span<const uint8_t> piece) -> absl::Status {
          if (piece.size() > out.size() - filled) return absl::DataLossError("longer than asked");
          std::copy(piece.begin(), piece.end(), out.begin() + static_cast<ptrdiff_t>(filled));
          filled += piece.size();
          return absl::OkStatus();
        }));
    if (filled == out.size()) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(key.text(), ": ended at ", filled, " of ", out.size()));
  }

  const Vault& vault_;
  const base::OrgId organisation_;
  const base::LeaseId lease_;
};

}  // namespace

std::unique_ptr<transfer::PackSink> MakePackSink(const Vault* vault, const base::SaveId& save) {
  return std::make_unique<ProviderPackSink>(*vault, save);
}

std::unique_ptr<transfer::PackSource> MakePackSource(const Vault* vault,
                                                     const base::OrgId& organisation,
                                                     const base::LeaseId& lease) {
  return std::make_unique<ProviderPackSource>(*vault, organisation, lease);
}

}  // namespace cedana::replica
