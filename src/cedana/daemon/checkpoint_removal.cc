#include "cedana/daemon/checkpoint_removal.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/transfer/checkpoint_path.h"

namespace cedana::daemon {
namespace {

using Found = std::vector<transfer::CheckpointInfo>;

absl::Status NoSuchCheckpoint(const std::string& which) {
  return absl::NotFoundError(absl::StrCat("checkpoint ", which, " not found"));
}

// A URL without the suffix under which its checkpoint is shown.
absl::StatusOr<plugin::StorageUrl> BareUrl(const std::string& text) {
  CEDANA_ASSIGN_OR_RETURN(plugin::StorageUrl url, plugin::ParseStorageUrl(text));
  CEDANA_ASSIGN_OR_RETURN(url.path, transfer::NormalisePath(url.path));
  return url;
}

// The checkpoint itself, or nothing. Page by page, for no storage looks up by id; of one job where
// that is known, because a bucket reads an object for each checkpoint that it looks at.
absl::StatusOr<Found> FindId(const base::Context& context, transfer::Catalog& catalog,
                             const std::string& id, const std::string& job_id) {
  transfer::ListQuery query;
  query.job_id = job_id;
  query.limit = base::kListPageMax;
  while (true) {
    CEDANA_ASSIGN_OR_RETURN(const Found page, catalog.List(context, query));
    for (const transfer::CheckpointInfo& info : page) {
      if (info.id.ToHex() == id) return Found{info};
    }
    if (page.size() < query.limit) return Found{};
    query.before_sequence = page.back().sequence;
  }
}

absl::Status RemoveByUrl(const base::Context& context, const OpenPlace& open, JobTable& table,
                         const std::string& which) {
  CEDANA_ASSIGN_OR_RETURN(const plugin::StorageUrl url, BareUrl(which));
  CEDANA_ASSIGN_OR_RETURN(const auto storage, open(PlaceOf(url)));
  const absl::Status status = storage->catalog().Delete(context, url.path);
  if (!status.ok() && !absl::IsNotFound(status)) return status;
  bool known = status.ok();
  CEDANA_ASSIGN_OR_RETURN(const auto records, table.Checkpoints(""));
  for (const CheckpointRecord& record : records) {
    const auto recorded = BareUrl(record.url);
    if (!recorded.ok() || recorded->ToString() != url.ToString()) continue;
    CEDANA_RETURN_IF_ERROR(table.RemoveCheckpoint(record.id));
    known = true;
  }
  return known ? absl::OkStatus() : NoSuchCheckpoint(which);
}

}  // namespace

absl::Status RemoveRecorded(const base::Context& context, const OpenPlace& open, JobTable& table,
                            const CheckpointRecord& record) {
  CEDANA_ASSIGN_OR_RETURN(const plugin::StorageUrl url, BareUrl(record.url));
  CEDANA_ASSIGN_OR_RETURN(const auto storage, open(PlaceOf(url)));
  // Its path may be another checkpoint's by now, if somebody else has deleted it.
  bool there = true;
  if (!record.job_uuid.empty()) {
    CEDANA_ASSIGN_OR_RETURN(const Found found,
                            FindId(context, storage->catalog(), record.id, record.job_uuid));
    there = !found.empty();
  }
  if (there) {
    const absl::Status status = storage->catalog().Delete(context, url.path);
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  return table.RemoveCheckpoint(record.id);
}

absl::Status RemoveCheckpoint(const base::Context& context, const OpenPlace& open, JobTable& table,
                              const std::vector<plugin::StorageUrl>& places,
                              const std::string& which) {
  if (absl::StrContains(which, "://")) return RemoveByUrl(context, open, table, which);
  CEDANA_ASSIGN_OR_RETURN(const std::optional<CheckpointRecord> record,
                          table.FindCheckpoint(which));
  if (record.has_value()) return RemoveRecorded(context, open, table, *record);
  if (!base::CheckpointId::FromHex(which).ok()) return NoSuchCheckpoint(which);
  const std::vector<PlaceAnswer> answers =
      AskPlaces(context, open, places, absl::InfiniteDuration(),
                [&which](const base::Context& bounded, transfer::Catalog& catalog) {
                  return FindId(bounded, catalog, which, "");
                });
  const PlaceAnswer* silent = nullptr;
  for (const PlaceAnswer& answer : answers) {
    if (!answer.found.ok()) {
      if (answer.storage != nullptr) silent = &answer;
    } else if (!answer.found->empty()) {
      return answer.storage->catalog().Delete(context, answer.found->front().path);
    }
  }
  if (silent == nullptr) return NoSuchCheckpoint(which);
  return absl::UnavailableError(absl::StrCat(
      "checkpoint ", which, " is not recorded here, and ", silent->place.ToString(),
      " does not answer (", silent->found.status().message(), "): give its path instead"));
}

}  // namespace cedana::daemon
