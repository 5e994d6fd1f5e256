#include "cedana/daemon/checkpoint_list.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/limits.h"
#include "core/base/log.h"

namespace cedana::daemon {
namespace {

CheckpointRecord RecordOf(const transfer::CheckpointInfo& info, const plugin::StorageUrl& place) {
  CheckpointRecord record;
  record.id = info.id.ToHex();
  record.job_uuid = info.facts.job_id;
  record.url = WithSuffix(plugin::StorageUrl{place.scheme, info.path}.ToString(), info.codec);
  record.time_ms = absl::ToUnixMillis(info.created);
  record.size = static_cast<int64_t>(info.image_bytes);
  record.new_bytes = static_cast<int64_t>(info.new_bytes);
  record.durability = info.durability;
  return record;
}

// Gives the records of one place the word that the place has for them now, and adds what it has
// besides.
void Merge(const PlaceAnswer& answer, JobTable& table, std::vector<CheckpointRecord>& records) {
  absl::flat_hash_map<std::string, const transfer::CheckpointInfo*> there;
  for (const transfer::CheckpointInfo& info : *answer.found) there[info.id.ToHex()] = &info;
  // A full page may have left out the oldest.
  const bool complete = answer.found->size() < base::kListPageMax;
  for (CheckpointRecord& record : records) {
    const auto url = plugin::ParseStorageUrl(record.url);
    if (!url.ok() || PlaceOf(*url).ToString() != answer.place.ToString()) continue;
    const auto now = there.find(record.id);
    std::string word = record.durability;
    if (now == there.end()) {
      if (complete) word = kGone;
    } else {
      if (!now->second->durability.empty()) word = now->second->durability;
      there.erase(now);
    }
    if (word == record.durability) continue;
    record.durability = std::move(word);
    // Only a copy, for when the storage is away.
    table.SetDurability(record.id, record.durability).IgnoreError();
  }
  for (const auto& [id, info] : there) records.push_back(RecordOf(*info, answer.place));
}

}  // namespace

CheckpointList ListCheckpoints(const base::Context& context, const OpenPlace& open, JobTable& table,
                               const JobSearch& search) {
  transfer::ListQuery query = search.Query();
  query.limit = base::kListPageMax;
  const std::vector<plugin::StorageUrl> places = search.Places();
  const std::vector<PlaceAnswer> answers =
      AskPlaces(context, open, places, absl::InfiniteDuration(), query);
  CheckpointList list;
  list.records = search.known;
  std::erase_if(list.records, [](const CheckpointRecord& record) { return record.id.empty(); });
  for (const PlaceAnswer& answer : answers) {
    if (answer.found.ok()) {
      Merge(answer, table, list.records);
      continue;
    }
    // A default folder that nothing was dumped to may well be unusable.
    const bool expected = search.id.empty() || search.Knows(answer.place);
    if (answer.storage == nullptr && !expected) continue;
    base::LogWarn("the storage does not list a job's checkpoints",
                  {{"job", search.name},
                   {"place", answer.place.ToString()},
                   {"error", answer.found.status().message()}});
    list.messages.push_back(absl::StrCat("warning: ", answer.place.ToString(),
                                         " does not answer, shown is what is known here (",
                                         answer.found.status().message(), ")"));
  }
  std::stable_sort(
      list.records.begin(), list.records.end(),
      [](const CheckpointRecord& a, const CheckpointRecord& b) { return a.time_ms > b.time_ms; });
  return list;
}

}  // namespace cedana::daemon
