// What lies in a repository, newest first. Keys of the index carry order and job, so that only what
// is asked for is read: a listing of keys costs a request for a thousand, a decision one each.
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cedana/direct/decisions.h"
#include "cedana/direct/direct_catalog.h"
#include "cedana/direct/object_io.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::direct {
namespace {

constexpr size_t kBatchMax = 32;  // decisions read at once

struct Candidate {
  IndexEntry entry;
  absl::Time written;
};

bool Matches(const transfer::CheckpointInfo& info, const transfer::ListQuery& query) {
  const bool in_prefix = query.prefix.empty() || info.path == query.prefix ||
                         absl::StartsWith(info.path, absl::StrCat(query.prefix, "/"));
  return in_prefix && (query.job_name.empty() || info.facts.job_name == query.job_name) &&
         (query.job_id.empty() || info.facts.job_id == query.job_id);
}

class Listing {
 public:
  Listing(const base::Context& context, const Site& site, const transfer::ListQuery& query)
      : context_(context),
        site_(site),
        query_(query),
        limit_(std::min<size_t>(query.limit, base::kListPageMax)),
        name_tag_(site.repository->JobNameTag(query.job_name)),
        id_tag_(site.repository->JobIdTag(query.job_id)) {}

  absl::StatusOr<std::vector<transfer::CheckpointInfo>> Run() {
    CEDANA_RETURN_IF_ERROR(ForEachObject(context_, *site_.store, kDeletions,
                                         [this](const objstore::ObjectInfo& object) {
                                           const auto save = SaveOfKey(kDeletions, object.key);
                                           if (save.has_value()) deleted_.insert(*save);
                                           return absl::OkStatus();
                                         }));
    std::string after;
    for (bool more = true; more && found_.size() < limit_;) {
      CEDANA_ASSIGN_OR_RETURN(const auto page,
                              site_.store->List(context_, kIndex, after, base::kListPageMax));
      more = page.size() == base::kListPageMax;
      if (page.empty()) break;
      after = page.back().key;
      std::vector<Candidate> candidates;
      for (const objstore::ObjectInfo& object : page) {
        const std::optional<IndexEntry> entry = EntryOfKey(object.key);
        if (entry.has_value() && MayMatch(*entry)) candidates.push_back({*entry, object.modified});
      }
      CEDANA_RETURN_IF_ERROR(Take(std::move(candidates)));
    }
    std::sort(found_.begin(), found_.end(),
              [](const auto& a, const auto& b) { return a.sequence > b.sequence; });
    if (found_.size() > limit_) found_.resize(limit_);
    return std::move(found_);
  }

 private:
  bool MayMatch(const IndexEntry& entry) const {
    if (deleted_.contains(entry.save)) return false;
    if (query_.before_sequence > 0 && entry.sequence() >= query_.before_sequence) return false;
    if (!query_.job_name.empty() && entry.job_name_tag != name_tag_) return false;
    if (!query_.job_id.empty() && entry.job_id_tag != id_tag_) return false;
    return !query_.newest_per_job || entry.job_id_tag != kNoJob;
  }

  // Reads the decisions of candidates, in order, as far as they are wanted. Where only the newest
  // of each job counts, a batch holds one of each: mostly it is the one.
  absl::Status Take(std::vector<Candidate> candidates) {
    while (!candidates.empty() && found_.size() < limit_) {
      std::vector<Candidate> batch;
      std::vector<Candidate> later;
      absl::flat_hash_set<std::string> in_batch;
      for (Candidate& candidate : candidates) {
        const std::string& job = candidate.entry.job_id_tag;
        if (query_.newest_per_job && jobs_done_.contains(job)) continue;
        const bool wait =
            batch.size() >= kBatchMax || (query_.newest_per_job && !in_batch.insert(job).second);
        (wait ? later : batch).push_back(std::move(candidate));
      }
      CEDANA_RETURN_IF_ERROR(Read(batch));
      candidates = std::move(later);
    }
    return absl::OkStatus();
  }

  absl::Status Read(const std::vector<Candidate>& batch) {
    std::vector<base::SaveId> saves;
    saves.reserve(batch.size());
    for (const Candidate& candidate : batch) saves.push_back(candidate.entry.save);
    CEDANA_ASSIGN_OR_RETURN(const auto decisions, ReadDecisions(context_, site_, saves));
    for (size_t i = 0; i < batch.size(); ++i) {
      const bool committed =
          decisions[i].has_value() && decisions[i]->state == DecisionState::kCommitted;
      // An entry that is not the commit's own says nothing.
      if (!committed || decisions[i]->order != batch[i].entry.order) continue;
      transfer::CheckpointInfo info = InfoOf(*decisions[i]);
      if (!Matches(info, query_)) continue;
      info.created = batch[i].written;
      jobs_done_.insert(batch[i].entry.job_id_tag);
      found_.push_back(std::move(info));
    }
    return absl::OkStatus();
  }

  const base::Context& context_;
  const Site& site_;
  const transfer::ListQuery& query_;
  const size_t limit_;
  const std::string name_tag_;
  const std::string id_tag_;
  absl::flat_hash_set<base::SaveId> deleted_;
  absl::flat_hash_set<std::string> jobs_done_;
  std::vector<transfer::CheckpointInfo> found_;
};

}  // namespace

absl::StatusOr<std::vector<transfer::CheckpointInfo>> ListCheckpoints(
    const base::Context& context, const Site& site, const transfer::ListQuery& query) {
  return Listing(context, site, query).Run();
}

}  // namespace cedana::direct
