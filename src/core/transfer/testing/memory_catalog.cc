#include "core/transfer/testing/memory_catalog.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::transfer {
namespace {

absl::Status CheckPath(const std::string& path) {
  const auto bad = [&path] {
    return absl::InvalidArgumentError(absl::StrCat("bad checkpoint path '", path, "'"));
  };
  if (path.size() > base::kCheckpointPathBytesMax || path.find('\0') != std::string::npos) {
    return bad();
  }
  for (absl::string_view segment : absl::StrSplit(path, '/')) {
    if (segment.empty() || segment == "." || segment == ".." ||
        segment.size() > base::kPathSegmentBytesMax) {
      return bad();
    }
  }
  return absl::OkStatus();
}

bool Matches(const CheckpointInfo& info, const ListQuery& query) {
  const bool in_prefix = query.prefix.empty() || info.path == query.prefix ||
                         absl::StartsWith(info.path, query.prefix + "/");
  return in_prefix && (query.job_name.empty() || info.facts.job_name == query.job_name) &&
         (query.job_id.empty() || info.facts.job_id == query.job_id);
}

}  // namespace

format::OrganisationKeys TestKeys() {
  format::OrganisationKeys keys;
  std::array<uint8_t, 16> organisation;
  organisation.fill(0xaa);
  keys.organisation = base::OrgId(organisation);
  format::SealingKey sealing;
  sealing.epoch = 1;
  for (uint8_t i = 0; i < 32; ++i) {
    keys.page_id_key[i] = i;
    sealing.key[i] = i;
  }
  keys.sealing.push_back(sealing);
  return keys;
}

MemoryCatalog::MemoryCatalog(Options options) : options_(std::move(options)) {
  if (options_.clock == nullptr) options_.clock = &base::SystemClock();
}

bool MemoryCatalog::TakenLocked(const std::string& path) const {
  if (checkpoints_.contains(path)) return true;
  return std::any_of(saves_.begin(), saves_.end(), [&](const auto& entry) {
    const SaveRow& save = entry.second;
    return save.outcome == SaveOutcome::kOpen && save.expires > Now() && save.path == path;
  });
}

MemoryCatalog::SaveRow* MemoryCatalog::FindSaveLocked(const base::SaveId& save) {
  const auto row = saves_.find(save);
  return row == saves_.end() ? nullptr : &row->second;
}

absl::StatusOr<BegunSave> MemoryCatalog::Begin(const base::Context& context,
                                               const BeginRequest& request) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  CEDANA_RETURN_IF_ERROR(CheckPath(request.path));
  absl::MutexLock lock(&mutex_);
  if (const SaveRow* row = FindSaveLocked(request.save); row != nullptr) {
    return BegunSave{row->path, options_.keys, options_.lease, options_.heartbeat};
  }
  std::string path = request.path;
  for (int suffix = 2; TakenLocked(path); ++suffix) {
    if (!request.generated) return absl::AlreadyExistsError(absl::StrCat(path, " is taken"));
    path = absl::StrCat(request.path, "-", suffix);
  }
  SaveRow& row = saves_[request.save];
  row.request = request;
  row.path = path;
  row.expires = Now() + options_.lease;
  return BegunSave{path, options_.keys, options_.lease, options_.heartbeat};
}

absl::Status MemoryCatalog::Heartbeat(const base::Context& context, const base::SaveId& save) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  absl::MutexLock lock(&mutex_);
  SaveRow* row = FindSaveLocked(save);
  if (row == nullptr || row->outcome != SaveOutcome::kOpen || row->expires <= Now()) {
    return absl::FailedPreconditionError("the save's lease has ended");
  }
  row->expires = Now() + options_.lease;
  return absl::OkStatus();
}

absl::StatusOr<CheckpointInfo> MemoryCatalog::Commit(const base::Context& context,
                                                     const CommitRequest& request) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  absl::MutexLock lock(&mutex_);
  SaveRow* row = FindSaveLocked(request.save);
  if (row == nullptr) return absl::FailedPreconditionError("no such save");
  if (row->outcome == SaveOutcome::kCommitted) return row->info;
  if (row->outcome != SaveOutcome::kOpen || row->expires <= Now()) {
    return absl::FailedPreconditionError("the save's lease has ended");
  }
  if (request.path != row->path || request.checkpoint != row->request.checkpoint) {
    return absl::InvalidArgumentError("the commit is not of this save");
  }
  if (checkpoints_.contains(row->path)) {
    return absl::AlreadyExistsError(absl::StrCat(row->path, " is taken"));
  }
  CheckpointInfo info;
  info.id = request.checkpoint;
  info.path = row->path;
  info.sequence = ++sequence_;
  info.created = options_.clock->Now();
  info.image_bytes = request.image_bytes;
  info.stored_bytes = request.stored_bytes;
  info.new_bytes = request.new_bytes;
  info.codec = request.codec;
  info.durability = "durable";
  info.facts = request.facts;
  row->outcome = SaveOutcome::kCommitted;
  row->info = info;
  checkpoints_[row->path] = {info, request.manifest, request.packs};
  return info;
}

absl::Status MemoryCatalog::Abort(const base::Context& context, const base::SaveId& save) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  absl::MutexLock lock(&mutex_);
  SaveRow& row = saves_[save];  // also one never heard of: its begin may still be on its way
  if (row.outcome == SaveOutcome::kCommitted) return absl::AlreadyExistsError("was committed");
  row.outcome = SaveOutcome::kAborted;
  return absl::OkStatus();
}

absl::StatusOr<SaveOutcome> MemoryCatalog::Outcome(const base::Context& context,
                                                   const base::SaveId& save) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  absl::MutexLock lock(&mutex_);
  const SaveRow* row = FindSaveLocked(save);
  return row == nullptr ? SaveOutcome::kUnknown : row->outcome;
}

absl::StatusOr<OpenedCheckpoint> MemoryCatalog::Open(const base::Context& context,
                                                     const std::string& path,
                                                     const base::LeaseId& lease) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  absl::MutexLock lock(&mutex_);
  const auto row = checkpoints_.find(path);
  if (row == checkpoints_.end()) return absl::NotFoundError(absl::StrCat("no checkpoint ", path));
  holds_[lease] = Now() + options_.lease;
  OpenedCheckpoint opened;
  opened.info = row->second.info;
  opened.keys = options_.keys;
  opened.manifest = row->second.manifest;
  opened.lease = options_.lease;
  opened.heartbeat = options_.heartbeat;
  return opened;
}

absl::Status MemoryCatalog::RenewHold(const base::Context& context, const base::LeaseId& lease) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  absl::MutexLock lock(&mutex_);
  const auto hold = holds_.find(lease);
  if (hold == holds_.end() || hold->second <= Now()) {
    return absl::FailedPreconditionError("the hold has ended");
  }
  hold->second = Now() + options_.lease;
  return absl::OkStatus();
}

absl::Status MemoryCatalog::Close(const base::Context& context, const base::LeaseId& lease) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  absl::MutexLock lock(&mutex_);
  holds_.erase(lease);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<CheckpointInfo>> MemoryCatalog::List(const base::Context& context,
                                                                const ListQuery& query) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  absl::MutexLock lock(&mutex_);
  std::vector<CheckpointInfo> found;
  for (const auto& [path, row] : checkpoints_) {
    if (Matches(row.info, query)) found.push_back(row.info);
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.sequence > b.sequence; });
  if (query.newest_per_job) {
    std::set<std::string> seen;
    std::erase_if(found, [&seen](const CheckpointInfo& info) {
      return info.facts.job_id.empty() || !seen.insert(info.facts.job_id).second;
    });
  }
  if (query.before_sequence > 0) {
    std::erase_if(found, [&query](const CheckpointInfo& info) {
      return info.sequence >= query.before_sequence;
    });
  }
  if (found.size() > query.limit) found.resize(query.limit);
  return found;
}

absl::Status MemoryCatalog::Delete(const base::Context& context, const std::string& path) {
  CEDANA_RETURN_IF_ERROR(context.Check());
  absl::MutexLock lock(&mutex_);
  if (checkpoints_.erase(path) == 0) {
    return absl::NotFoundError(absl::StrCat("no checkpoint ", path));
  }
  return absl::OkStatus();
}

void MemoryCatalog::ExpireLeases() {
  absl::MutexLock lock(&mutex_);
  for (auto& [id, row] : saves_) row.expires = Now();
  for (auto& [id, expires] : holds_) expires = Now();
}

std::string MemoryCatalog::ManifestOf(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  return checkpoints_[path].manifest;
}

void MemoryCatalog::ReplaceManifest(const std::string& path, std::string manifest) {
  absl::MutexLock lock(&mutex_);
  checkpoints_[path].manifest = std::move(manifest);
}

size_t MemoryCatalog::open_holds() {
  absl::MutexLock lock(&mutex_);
  return holds_.size();
}

size_t MemoryCatalog::open_saves() {
  absl::MutexLock lock(&mutex_);
  return static_cast<size_t>(std::count_if(saves_.begin(), saves_.end(), [](const auto& entry) {
    return entry.second.outcome == SaveOutcome::kOpen;
  }));
}

}  // namespace cedana::transfer
