#include "storage/replica/spare_copies.h"

#include <vector>

#include "absl/base/const_init.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"

namespace cedana::replica {
namespace {

constexpr absl::Duration kLookAround = absl::Milliseconds(50);  // for a cancellation, while waiting

ABSL_CONST_INIT absl::Mutex copy_mutex(absl::kConstInit);

absl::StatusOr<std::string> ReadFromAny(const base::Context& context, const Vault& vault,
                                        const std::string& key,
                                        const metadata::CommittedPack& pack) {
  absl::Status last = absl::UnavailableError(absl::StrCat(key, ": was seen nowhere"));
  for (const std::string& name : pack.providers) {
    const ProviderPtr source = vault.providers->Find(name);
    if (source == nullptr) continue;
    absl::StatusOr<std::string> bytes =
        ReadChecked(context, *source->store, key, {pack.bytes, pack.crc32c});
    if (bytes.ok()) return bytes;
    CEDANA_RETURN_IF_ERROR(context.Check());
    last = base::Annotate(bytes.status(), absl::StrCat("provider ", name));
  }
  return last;
}

absl::StatusOr<std::string> WriteElsewhere(const base::Context& context, const Vault& vault,
                                           const std::string& key,
                                           const metadata::CommittedPack& pack,
                                           const std::vector<ProviderPtr>& targets) {
  CEDANA_ASSIGN_OR_RETURN(const std::string bytes, ReadFromAny(context, vault, key, pack));
  absl::Status last;
  for (const ProviderPtr& target : targets) {
    last = PutOnce(context, *target, vault.providers->health(), key, bytes, pack.crc32c);
    if (last.ok()) {
      vault.providers->read_backs().Note(target->name, key, {pack.bytes, pack.crc32c});
      base::LogInfo("a pack was copied for a commit", {{"provider", target->name}, {"key", key}});
      return target->name;
    }
    CEDANA_RETURN_IF_ERROR(context.Check());
  }
  return last;
}

}  // namespace

absl::StatusOr<std::string> SpareCopy(const base::Context& context, const Vault& vault,
                                      const base::SaveId& save, const metadata::CommittedPack& pack,
                                      const NoCopyAt& excluded) {
  CEDANA_ASSIGN_OR_RETURN(const base::OrgId organisation, vault.metadata->saves().OwnerOf(save));
  std::vector<ProviderPtr> targets = vault.providers->Ranked(organisation, /*writing=*/true);
  std::erase_if(targets, [&](const ProviderPtr& target) {
    return excluded.domains.contains(target->domain) || excluded.providers.contains(target->name) ||
           !vault.providers->health().Healthy(target->name);
  });
  if (targets.empty() && !excluded.providers.empty()) {
    return absl::UnavailableError("no other provider answers");
  }
  if (targets.empty()) return absl::FailedPreconditionError("no other provider is there");
  while (!copy_mutex.TryLock()) CEDANA_RETURN_IF_ERROR(context.Sleep(kLookAround));
  absl::StatusOr<std::string> copied =
      WriteElsewhere(context, vault, PackKey(save, pack.id), pack, targets);
  copy_mutex.Unlock();
  return copied;
}

}  // namespace cedana::replica
