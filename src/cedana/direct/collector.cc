#include "cedana/direct/collector.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "cedana/direct/decisions.h"
#include "cedana/direct/object_io.h"
#include "cedana/direct/object_names.h"
#include "cedana/direct/parallel.h"
#include "cedana/direct/records.h"
#include "cedana/direct/references.h"
#include "core/base/log.h"
#include "core/base/status.h"

namespace cedana::direct {
namespace {

constexpr size_t kBatch = 256;
// A provider has many machines, each with a clock: a pack may seem a little older than the intent
// before it.
constexpr absl::Duration kClockSlack = absl::Minutes(10);

// In the order of ids, so that a test that fails can be repeated.
using TimeOfSave = absl::btree_map<base::SaveId, absl::Time>;

class Collection {
 public:
  Collection(const base::Context& context, const Site& site, bool dry_run)
      : context_(context), site_(site), dry_run_(dry_run) {}

  absl::StatusOr<Collected> Run() {
    CEDANA_ASSIGN_OR_RETURN(const absl::Time now,
                            StoreTime(context_, *site_.store, *site_.services.random));
    old_ = now - site_.times.spare;
    horizon_ = old_;
    // From here every save that wrote before the horizon is decided, for good.
    CEDANA_RETURN_IF_ERROR(FenceSilentSaves());
    // From here all packs that anybody may need are known; nothing was removed yet.
    CEDANA_RETURN_IF_ERROR(SortDecisions());
    CEDANA_RETURN_IF_ERROR(RemoveLeftovers());
    CEDANA_RETURN_IF_ERROR(RemoveEndedSaves());
    CEDANA_RETURN_IF_ERROR(RemovePacks());
    return counts_;
  }

 private:
  absl::StatusOr<TimeOfSave> ListSaves(const char* prefix);
  absl::Status FenceSilentSaves();
  absl::Status SortDecisions();
  absl::Status SortDecision(const Decision& decision, absl::Time decided, const TimeOfSave& marks);
  absl::Status RemoveLeftovers();
  absl::Status FindOldClaims(std::vector<std::string>* keys);
  absl::Status RemoveEndedSaves();
  absl::Status RemovePacks();
  absl::Status Remove(const std::vector<std::string>& keys);

  bool IsOld(absl::Time time) const { return time < old_; }
  bool IsWanted(const base::SaveId& save) const {
    return kept_.contains(save) || live_.contains(save);
  }

  const base::Context& context_;
  const Site& site_;
  const bool dry_run_;
  absl::Time old_;
  absl::Time horizon_;  // packs from before it belong to decided saves
  TimeOfSave intents_;
  absl::flat_hash_set<base::SaveId> live_;
  absl::flat_hash_set<base::SaveId> signed_lately_;
  absl::flat_hash_set<base::SaveId> uncommitted_;  // for good
  absl::flat_hash_set<base::SaveId> kept_;
  absl::flat_hash_set<std::string> kept_claims_;  // keys
  absl::flat_hash_set<base::PackId> needed_;
  std::vector<base::SaveId> ended_;
  std::vector<base::SaveId> old_marks_;
  Collected counts_;
};

absl::StatusOr<TimeOfSave> Collection::ListSaves(const char* prefix) {
  TimeOfSave times;
  CEDANA_RETURN_IF_ERROR(
      ForEachObject(context_, *site_.store, prefix, [&](const objstore::ObjectInfo& object) {
        const auto save = SaveOfKey(prefix, object.key);
        if (save.has_value()) times[*save] = object.modified;
        return absl::OkStatus();
      }));
  return times;
}

absl::Status Collection::FenceSilentSaves() {
  CEDANA_ASSIGN_OR_RETURN(intents_, ListSaves(kIntents));
  CEDANA_ASSIGN_OR_RETURN(TimeOfSave signs, ListSaves(kBeats));
  CEDANA_ASSIGN_OR_RETURN(const TimeOfSave decided, ListSaves(kDecisions));
  CEDANA_ASSIGN_OR_RETURN(const TimeOfSave marks, ListSaves(kDeletions));
  for (const auto& [save, time] : intents_) {
    const auto [sign, added] = signs.try_emplace(save, time);
    if (!added) sign->second = std::max(sign->second, time);
  }
  for (const auto& [save, sign] : signs) {
    if (!IsOld(sign)) signed_lately_.insert(save);
    // A mark says that the save was committed once.
    if (decided.contains(save) || marks.contains(save)) continue;
    if (!IsOld(sign)) {
      live_.insert(save);
      const auto intent = intents_.find(save);
      const absl::Time begun = intent == intents_.end() ? sign : intent->second;
      horizon_ = std::min(horizon_, begun - kClockSlack);
      continue;
    }
    if (!dry_run_) {
      CEDANA_ASSIGN_OR_RETURN(const Decision decision,
                              EndUncommitted(context_, site_, save, DecisionState::kFenced));
      if (decision.state != DecisionState::kFenced) continue;  // it was decided just now
    }
    ++counts_.fenced_saves;
  }
  return absl::OkStatus();
}

absl::Status Collection::SortDecisions() {
  CEDANA_ASSIGN_OR_RETURN(const TimeOfSave decided, ListSaves(kDecisions));
  CEDANA_ASSIGN_OR_RETURN(const TimeOfSave marks, ListSaves(kDeletions));
  std::vector<base::SaveId> saves;
  for (const auto& [save, time] : decided) saves.push_back(save);
  for (size_t from = 0; from < saves.size(); from += kBatch) {
    const std::vector<base::SaveId> batch(
        saves.begin() + static_cast<long>(from),
        saves.begin() + static_cast<long>(std::min(from + kBatch, saves.size())));
    CEDANA_ASSIGN_OR_RETURN(const auto decisions, ReadDecisions(context_, site_, batch));
    for (const std::optional<Decision>& decision : decisions) {
      if (!decision.has_value()) continue;  // removed by another collection meanwhile
      CEDANA_RETURN_IF_ERROR(SortDecision(*decision, decided.at(decision->save), marks));
    }
  }
  for (const auto& [save, time] : marks) {
    // Where the intent is there, its owner has not learnt that it was committed, and may send the
    // commit again, whenever it wakes up: the mark hides that for ever, the intent says why it
    // stays.
    if (!IsOld(time) || kept_.contains(save) || intents_.contains(save)) continue;
    old_marks_.push_back(save);
  }
  return absl::OkStatus();
}

absl::Status Collection::SortDecision(const Decision& decision, absl::Time decided,
                                      const TimeOfSave& marks) {
  if (decision.state != DecisionState::kCommitted) uncommitted_.insert(decision.save);
  if (decision.state == DecisionState::kFenced) return absl::OkStatus();  // stays for ever
  if (decision.state == DecisionState::kAborted) {
    if (!IsOld(decided) || signed_lately_.contains(decision.save)) return absl::OkStatus();
    ++counts_.ended_saves;
    ended_.push_back(decision.save);
    return absl::OkStatus();
  }
  const auto mark = marks.find(decision.save);
  if (mark != marks.end() && IsOld(mark->second)) {
    ++counts_.deleted_checkpoints;
    ended_.push_back(decision.save);
    return absl::OkStatus();
  }
  if (mark == marks.end()) ++counts_.kept_checkpoints;
  kept_.insert(decision.save);
  kept_claims_.insert(ClaimKey(site_.repository->NameTag(decision.name), decision.turn).text());
  const absl::StatusOr<std::vector<base::PackId>> packs = PacksOf(context_, site_, decision);
  if (packs.ok()) {
    needed_.insert(packs->begin(), packs->end());
  } else if (mark == marks.end() || !absl::IsDataLoss(packs.status())) {
    return packs.status();
  }  // a deleted one that is damaged has nothing that anybody could still read
  return absl::OkStatus();
}

// What is old and belongs to no save that is kept or live. Beats of kept ones go, too: their saves
// are decided. Intents go only where the save was seen to be uncommitted: the owner alone removes
// the intent of a commit, and a decision that is missing may be one that was collected while this
// collection stood still. Nor where there is a mark, of whatever age: that save was committed once,
// and fenced by somebody who no longer found its decision. Marks are listed after the decisions
// were read, so that a fence that was read shows its mark.
absl::Status Collection::RemoveLeftovers() {
  std::vector<std::string> keys;
  CEDANA_RETURN_IF_ERROR(
      ForEachObject(context_, *site_.store, kIndex, [&](const objstore::ObjectInfo& object) {
        const auto entry = EntryOfKey(object.key);
        if (entry.has_value() && IsOld(object.modified) && !IsWanted(entry->save)) {
          keys.push_back(object.key);
        }
        return absl::OkStatus();
      }));
  CEDANA_RETURN_IF_ERROR(FindOldClaims(&keys));
  CEDANA_ASSIGN_OR_RETURN(const TimeOfSave marks, ListSaves(kDeletions));
  for (const char* prefix : {kIntents, kBeats, kLooks}) {
    CEDANA_ASSIGN_OR_RETURN(const TimeOfSave times, ListSaves(prefix));
    for (const auto& [save, time] : times) {
      const bool stays = absl::string_view(prefix) == kIntents &&
                         (!uncommitted_.contains(save) || marks.contains(save));
      if (!IsOld(time) || live_.contains(save) || stays) continue;
      keys.push_back(SaveKey(prefix, save).text());
    }
  }
  return Remove(keys);
}

absl::Status Collection::FindOldClaims(std::vector<std::string>* keys) {
  std::vector<std::string> unsure;
  CEDANA_RETURN_IF_ERROR(
      ForEachObject(context_, *site_.store, kClaims, [&](const objstore::ObjectInfo& object) {
        const bool ours = ClaimOfKey(object.key).has_value();
        if (ours && IsOld(object.modified) && !kept_claims_.contains(object.key)) {
          unsure.push_back(object.key);
        }
        return absl::OkStatus();
      }));
  for (const std::string& key : unsure) {
    const auto bytes =
        site_.store->ReadAll(context_, objstore::ObjectKey::Parse(key).value(), kRecordBytesMax);
    if (absl::IsNotFound(bytes.status())) continue;
    CEDANA_RETURN_IF_ERROR(bytes.status());
    const absl::StatusOr<Claim> claim = OpenClaim(*bytes, site_.repository->keys);
    if (!claim.ok()) {
      base::LogWarn("claim cannot be read, left alone",
                    {{"object", key}, {"error", claim.status().ToString()}});
      continue;
    }
    // That of a kept save on another name than it was committed under goes, too.
    if (!live_.contains(claim->save)) keys->push_back(key);
  }
  return absl::OkStatus();
}

// Decisions before marks, so that a deleted checkpoint does not come back in between.
absl::Status Collection::RemoveEndedSaves() {
  std::vector<std::string> decisions;
  for (const base::SaveId& save : ended_) decisions.push_back(SaveKey(kDecisions, save).text());
  CEDANA_RETURN_IF_ERROR(Remove(decisions));
  std::vector<std::string> marks;
  for (const base::SaveId& save : old_marks_) marks.push_back(SaveKey(kDeletions, save).text());
  return Remove(marks);
}

absl::Status Collection::RemovePacks() {
  std::vector<std::string> keys;
  CEDANA_RETURN_IF_ERROR(
      ForEachObject(context_, *site_.store, kPacks, [&](const objstore::ObjectInfo& object) {
        const auto pack = PackOfKey(object.key);
        if (!pack.has_value() || object.modified >= horizon_ || needed_.contains(*pack)) {
          return absl::OkStatus();
        }
        ++counts_.packs;
        counts_.pack_bytes += object.bytes;
        keys.push_back(object.key);
        return absl::OkStatus();
      }));
  CEDANA_RETURN_IF_ERROR(Remove(keys));
  counts_.small_objects -= keys.size();
  return absl::OkStatus();
}

absl::Status Collection::Remove(const std::vector<std::string>& keys) {
  counts_.small_objects += keys.size();
  if (dry_run_) return absl::OkStatus();
  return ForEachAtOnce(site_.at_once, keys.size(), [&](size_t i) {
    return site_.store->Delete(context_, objstore::ObjectKey::Parse(keys[i]).value());
  });
}

}  // namespace

absl::StatusOr<Collected> CollectRepository(const base::Context& context, const Site& site,
                                            bool dry_run) {
  CEDANA_RETURN_IF_ERROR(CheckCreatesAtomically(*site.store));
  return Collection(context, site, dry_run).Run();
}

}  // namespace cedana::direct
