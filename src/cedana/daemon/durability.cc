#include "cedana/daemon/durability.h"

#include <map>
#include <string>

#include "core/base/limits.h"
#include "core/base/log.h"

namespace cedana::daemon {
namespace {

constexpr char kFullyReplicated[] = "fully replicated";
// The others keep one copy, and what they said at the commit stays true.
constexpr char kReplicating[] = "cedana";

// By checkpoint id.
absl::StatusOr<std::map<std::string, std::string>> Ask(const base::Context& context,
                                                       const Services& services,
                                                       const plugin::StorageUrl& folder,
                                                       const std::string& job_uuid) {
  auto storage = services.OpenStorage(folder);
  if (!storage.ok()) return storage.status();
  transfer::ListQuery query;
  query.job_id = job_uuid;
  query.limit = base::kListPageMax;
  const auto list = (*storage)->catalog().List(context, query);
  if (!list.ok()) return list.status();
  std::map<std::string, std::string> durability;
  for (const transfer::CheckpointInfo& info : *list) {
    durability[info.id.ToHex()] = info.durability;
  }
  return durability;
}

}  // namespace

void RefreshDurability(const base::Context& context, const Services& services,
                       std::vector<CheckpointRecord>& records) {
  // One answer for each place; nothing: it did not answer.
  std::map<std::string, std::map<std::string, std::string>> answers;
  for (CheckpointRecord& record : records) {
    const auto url = plugin::ParseStorageUrl(record.url);
    if (record.job_uuid.empty() || record.durability == kFullyReplicated || !url.ok()) continue;
    if (url->scheme != kReplicating) continue;
    const std::string place = url->Parent().ToString();
    if (!answers.contains(place)) {
      auto answer = Ask(context, services, url->Parent(), record.job_uuid);
      if (!answer.ok()) {
        base::LogWarn("the storage does not say how safe a job's checkpoints are",
                      {{"url", record.url}, {"error", answer.status().message()}});
      }
      answers[place] = answer.ok() ? *std::move(answer) : std::map<std::string, std::string>();
    }
    const auto now = answers[place].find(record.id);
    if (now == answers[place].end() || now->second.empty() || now->second == record.durability) {
      continue;
    }
    record.durability = now->second;
    // Only a copy, for when the storage is away.
    services.table->SetDurability(record.id, record.durability).IgnoreError();
  }
}

}  // namespace cedana::daemon
