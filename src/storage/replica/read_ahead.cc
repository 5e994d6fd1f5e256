#include "storage/replica/read_ahead.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/base/status.h"
#include "storage/replica/object_keys.h"
#include "storage/replica/objects.h"

namespace cedana::replica {
namespace {

// Fewer than a commit reads at once: the dump needs the same lines.
constexpr size_t kReadersMax = 4;
// Of one save in one round, so that each save gets its turn.
constexpr size_t kPacksPerRound = 64;

bool NeedsReading(const Provider& provider) {
  return provider.active() && provider.opened && !provider.vouches_for_checksums();
}

std::vector<objstore::ObjectInfo> Unread(const base::Context& context, const Vault& vault,
                                         const Provider& provider, const base::SaveId& save) {
  std::vector<objstore::ObjectInfo> unread;
  const absl::Status listed =
      ListAll(context, *provider.store, absl::StrCat(SavePrefix(save), "p-"),
              [&](const objstore::ObjectInfo& object) {
                // No pack is larger. Grants that bind no checksum may bind no size either, so
                // anything can lie there.
                if (object.bytes <= base::kPackBytesMax &&
                    !vault.providers->read_backs().Knows(provider.name, object.key, object.bytes)) {
                  unread.push_back(object);
                }
                return absl::OkStatus();
              });
  if (!absl::IsCancelled(listed)) vault.providers->health().Record(provider.name, listed);
  if (unread.size() > kPacksPerRound) unread.resize(kPacksPerRound);
  return unread;
}

// How many of them were read.
uint64_t ReadAll(const base::Context& context, const Vault& vault, const Provider& provider,
                 const std::vector<objstore::ObjectInfo>& packs) {
  std::atomic<size_t> next = 0;
  std::atomic<uint64_t> read = 0;
  const auto work = [&] {
    for (size_t i = next++; i < packs.size() && context.Check().ok(); i = next++) {
      if (!vault.providers->health().Ready(provider.name)) return;
      const absl::Status status =
          vault.providers->read_backs()
              .Read(context, provider.name, *provider.store, packs[i].key, packs[i].bytes)
              .status();
      if (status.ok()) ++read;
      if (!absl::IsNotFound(status)) vault.providers->health().Record(provider.name, status);
    }
  };
  {
    std::vector<base::Thread> threads;
    const size_t count = std::min(packs.size(), kReadersMax);
    for (size_t t = 0; t < count; ++t) threads.emplace_back("read-ahead", work);
  }
  return read;
}

}  // namespace

absl::StatusOr<uint64_t> ReadAheadRound(const base::Context& context, const Vault& vault) {
  std::vector<ProviderPtr> providers = vault.providers->Ready();
  std::erase_if(providers, [](const ProviderPtr& provider) { return !NeedsReading(*provider); });
  uint64_t read = 0;
  if (providers.empty()) return read;
  CEDANA_ASSIGN_OR_RETURN(const std::vector<base::SaveId> saves, vault.metadata->saves().Live());
  for (const base::SaveId& save : saves) {
    for (const ProviderPtr& provider : providers) {
      CEDANA_RETURN_IF_ERROR(context.Check());
      // What was not read in time is gone on with in the next round.
      const base::Context bounded = context.WithTimeout(vault.times.read_ahead_save);
      read += ReadAll(bounded, vault, *provider, Unread(bounded, vault, *provider, save));
    }
  }
  return read;
}

ReadAheadWorker::ReadAheadWorker(const Vault* vault)
    : vault_(*vault),
      cancel_(std::make_shared<base::CancelSource>()),
      thread_("read-ahead", [this] { Run(); }) {}

ReadAheadWorker::~ReadAheadWorker() {
  cancel_->Cancel(absl::CancelledError("the service stops"));
  thread_.Join();
}

void ReadAheadWorker::Run() {
  const base::Context context{.cancel = cancel_};
  bool idle = true;
  while (!cancel_->WaitFor(idle ? vault_.times.read_ahead : absl::ZeroDuration())) {
    const absl::StatusOr<uint64_t> read = ReadAheadRound(context, vault_);
    idle = !read.ok() || *read == 0;
    if (!read.ok() && !absl::IsCancelled(read.status())) {
      base::LogWarn("packs are not read ahead", {{"error", read.status().message()}});
    }
  }
}

}  // namespace cedana::replica
