#include "cedana/remote/read_grants.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::remote {
namespace {

using base::Json;

constexpr size_t kGrantsKeptMax = 1024;  // packs: 32 GiB of checkpoint, some 3 MiB of memory
// Renewed before the last minute; used until shortly before the end.
constexpr absl::Duration kRenewBefore = absl::Minutes(1);
constexpr absl::Duration kUseBefore = absl::Seconds(5);
// Of one request. What is only asked for ahead holds up its reader no longer than the second.
constexpr absl::Duration kAskTimeout = absl::Seconds(8);
constexpr absl::Duration kAskAheadTimeout = absl::Seconds(2);
// A service that did not answer is not asked again so soon by who can do without.
constexpr absl::Duration kPause = absl::Seconds(5);
// Grants for so many packs ahead (1 GiB) are asked for before they are needed.
constexpr size_t kAheadPacks = 32;
constexpr absl::Duration kTurnPoll = absl::Milliseconds(50);

}  // namespace

void ReadGrants::Expect(const std::vector<base::PackId>& packs) {
  absl::MutexLock lock(&mutex_);
  expected_ = packs;
  places_.clear();
  for (size_t i = 0; i < packs.size(); ++i) places_.try_emplace(packs[i], i);
}

const ReadGrants::Kept* ReadGrants::Good(const base::PackId& pack, absl::Duration left) const {
  const auto it = kept_.find(pack);
  if (it == kept_.end() || it->second.expires <= services_.clock->Now() + left) return nullptr;
  return &it->second;
}

std::optional<size_t> ReadGrants::PlaceOf(const base::PackId& pack) const {
  const auto it = places_.find(pack);
  return it == places_.end() ? std::nullopt : std::optional(it->second);
}

std::vector<base::PackId> ReadGrants::BatchFrom(const base::PackId& pack) const {
  std::vector<base::PackId> batch = {pack};
  const std::optional<size_t> place = PlaceOf(pack);
  if (!place.has_value()) return batch;
  for (size_t i = *place + 1; i < expected_.size() && batch.size() < base::kGrantBatchMax; ++i) {
    if (Good(expected_[i], kRenewBefore) == nullptr) batch.push_back(expected_[i]);
  }
  return batch;
}

std::optional<base::PackId> ReadGrants::Ahead(const base::PackId& pack) const {
  const std::optional<size_t> place = PlaceOf(pack);
  if (!place.has_value()) return std::nullopt;
  for (size_t i = *place + 1; i < std::min(expected_.size(), *place + kAheadPacks); ++i) {
    if (Good(expected_[i], kRenewBefore) == nullptr) return expected_[i];
  }
  return std::nullopt;
}

absl::Status ReadGrants::TakeTurn(const base::Context& context) {
  while (asking_) {
    CEDANA_RETURN_IF_ERROR(context.Check());
    asked_.WaitWithTimeout(&mutex_, std::min(kTurnPoll, context.Remaining()));
  }
  asking_ = true;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Grant>> ReadGrants::For(const base::Context& context,
                                                   const base::PackId& pack, Need need) {
  std::vector<base::PackId> batch;
  bool urgent = true;
  {
    absl::MutexLock lock(&mutex_);
    if (need == Need::kOthers) kept_.erase(pack);
    const Kept* kept = nullptr;
    const auto look = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      kept = need == Need::kNewer ? nullptr : Good(pack, kRenewBefore);
    };
    look();
    if (kept == nullptr) {
      // Readers of one pack, or of neighbours, share a request.
      CEDANA_RETURN_IF_ERROR(TakeTurn(context));
      look();
      if (kept == nullptr) batch = BatchFrom(pack);
      // Who can do without waits until the service has had time to come back.
      if (kept == nullptr && Good(pack, kUseBefore) != nullptr &&
          services_.clock->Monotonic() < not_before_) {
        batch.clear();
      }
    } else if (!asking_ && services_.clock->Monotonic() >= not_before_) {
      urgent = false;
      const std::optional<base::PackId> ahead = Ahead(pack);
      if (ahead.has_value()) {
        asking_ = true;
        batch = BatchFrom(*ahead);
      }
    }
    if (batch.empty()) {
      if (urgent) {
        asking_ = false;
        asked_.SignalAll();
      }
      return Good(pack, kUseBefore)->grants;
    }
  }

  const absl::Status asked =
      AskBatch(context.WithTimeout(urgent ? kAskTimeout : kAskAheadTimeout), batch);
  absl::MutexLock lock(&mutex_);
  asking_ = false;
  asked_.SignalAll();
  not_before_ = asked.ok() ? absl::ZeroDuration() : services_.clock->Monotonic() + kPause;
  const Kept* kept = Good(pack, kUseBefore);
  // Those that end soon are used once and not kept.
  if (asked.ok() && kept == nullptr) {
    const auto it = kept_.find(pack);
    return it == kept_.end() ? std::vector<Grant>() : it->second.grants;
  }
  if (kept != nullptr &&
      (asked.ok() || !urgent || MayPass(asked) || absl::IsDeadlineExceeded(asked))) {
    return kept->grants;
  }
  CEDANA_RETURN_IF_ERROR(context.Check());
  if (absl::IsDeadlineExceeded(asked)) return absl::UnavailableError(asked.message());
  return asked;
}

// What another pack of the batch is refused for says nothing about the first.
absl::Status ReadGrants::AskBatch(const base::Context& context,
                                  const std::vector<base::PackId>& packs) {
  absl::Status status = Ask(context, packs);
  if (!absl::IsNotFound(status) || packs.size() == 1) return status;
  return Ask(context, {packs.front()});
}

absl::Status ReadGrants::Ask(const base::Context& context, const std::vector<base::PackId>& packs) {
  Json wanted = Json::array();
  for (const base::PackId& pack : packs) wanted.push_back(pack.ToHex());
  Json body = {{"packs", std::move(wanted)}};
  // Hints; those of a request that is lost are lost with it.
  Json reports = ToJson(health_->TakeReports());
  if (!reports.empty()) body["reports"] = std::move(reports);
  CEDANA_ASSIGN_OR_RETURN(
      const Json answer,
      api_->Call(context, "POST", absl::StrCat("/v3/leases/", lease_.ToHex(), "/grants"), &body));
  absl::StatusOr<std::vector<Grant>> grants = GrantsFromJson(answer, api_->origin());
  if (!grants.ok()) return base::Annotate(grants.status(), "the storage service's grants");

  absl::flat_hash_map<base::PackId, Kept> by_pack;
  for (const base::PackId& pack : packs) by_pack[pack].expires = absl::InfiniteFuture();
  for (Grant& grant : *grants) {
    const auto it = by_pack.find(grant.pack);
    if (it == by_pack.end()) continue;  // not asked for
    it->second.expires = std::min(it->second.expires, grant.expires);
    it->second.grants.push_back(std::move(grant));
  }
  absl::MutexLock lock(&mutex_);
  if (kept_.size() + by_pack.size() > kGrantsKeptMax) kept_.clear();
  for (auto& [pack, kept] : by_pack) {
    if (kept.grants.empty()) {
      kept_.erase(pack);
    } else {
      kept_[pack] = std::move(kept);
    }
  }
  return absl::OkStatus();
}

}  // namespace cedana::remote
