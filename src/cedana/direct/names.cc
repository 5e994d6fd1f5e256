#include "cedana/direct/names.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cedana/direct/decisions.h"
#include "cedana/direct/object_io.h"
#include "cedana/direct/object_names.h"
#include "core/base/status.h"

namespace cedana::direct {
namespace {

// Each lost race means that somebody else has won the name, or given it up, meanwhile.
constexpr int kRacesMax = 16;
constexpr int kTurnsPerHourBits = 8;

struct StandingClaim : Claim {
  absl::Time written;
};
using Claims = std::map<uint32_t, StandingClaim>;  // by turn

absl::StatusOr<std::optional<Claim>> ReadClaim(const base::Context& context, const Site& site,
                                               const std::string& name_tag, uint32_t turn) {
  const objstore::ObjectKey key = ClaimKey(name_tag, turn);
  const absl::StatusOr<std::string> bytes = site.store->ReadAll(context, key, kRecordBytesMax);
  if (absl::IsNotFound(bytes.status())) return std::optional<Claim>();  // collected meanwhile
  CEDANA_RETURN_IF_ERROR(bytes.status());
  absl::StatusOr<Claim> claim = OpenClaim(*bytes, site.repository->keys);
  if (claim.ok() && (claim->turn != turn || site.repository->NameTag(claim->name) != name_tag)) {
    claim = absl::DataLossError("claim on another name");
  }
  if (!claim.ok()) return base::Annotate(claim.status(), absl::StrCat("object ", key.text()));
  return std::optional<Claim>(*std::move(claim));
}

absl::StatusOr<Claims> ReadClaims(const base::Context& context, const Site& site,
                                  const std::string& name_tag) {
  std::map<uint32_t, absl::Time> turns;
  CEDANA_RETURN_IF_ERROR(ForEachObject(context, *site.store, ClaimPrefix(name_tag),
                                       [&](const objstore::ObjectInfo& object) {
                                         const auto claim = ClaimOfKey(object.key);
                                         if (claim.has_value()) {
                                           turns[claim->turn] = object.modified;
                                         }
                                         return absl::OkStatus();
                                       }));
  Claims claims;
  for (const auto& [turn, written] : turns) {
    CEDANA_ASSIGN_OR_RETURN(std::optional<Claim> claim, ReadClaim(context, site, name_tag, turn));
    if (claim.has_value()) claims[turn] = {*std::move(claim), written};
  }
  return claims;
}

// Whether the claim's owner has the name no more, for good. A save that shows no sign of life is
// ended first, so that it stays so.
absl::StatusOr<bool> IsFree(const base::Context& context, const Site& site, const Claim& claim) {
  CEDANA_ASSIGN_OR_RETURN(std::optional<Decision> decision,
                          ReadDecision(context, site, claim.save));
  if (!decision.has_value()) {
    CEDANA_ASSIGN_OR_RETURN(const std::optional<absl::Time> sign,
                            LastSign(context, site, claim.save));
    if (sign.has_value()) {
      CEDANA_ASSIGN_OR_RETURN(const absl::Time now,
                              StoreTime(context, *site.store, *site.services.random));
      if (now - *sign < site.times.lease) return false;
    }
    CEDANA_ASSIGN_OR_RETURN(decision,
                            EndUncommitted(context, site, claim.save, DecisionState::kFenced));
  }
  if (decision->state != DecisionState::kCommitted) return true;
  if (decision->name != claim.name || decision->turn != claim.turn) return true;
  return IsDeleted(context, site, claim.save);
}

absl::Status Taken(const std::string& name) {
  return absl::AlreadyExistsError(absl::StrCat("the name ", name, " is taken"));
}

}  // namespace

uint32_t FirstTurn(absl::Time intent) {
  const int64_t hours = std::max<int64_t>(absl::ToUnixSeconds(intent) / 3600, 0);
  return static_cast<uint32_t>(std::max<int64_t>(hours << kTurnsPerHourBits, 1));
}

absl::StatusOr<uint32_t> ClaimName(const base::Context& context, const Site& site,
                                   const base::SaveId& save, const std::string& name,
                                   absl::Time intent) {
  const std::string name_tag = site.repository->NameTag(name);
  std::set<std::pair<uint32_t, base::SaveId>> free_claims;  // for good, so they are asked once
  for (int race = 0; race < kRacesMax; ++race) {
    CEDANA_ASSIGN_OR_RETURN(const Claims claims, ReadClaims(context, site, name_tag));
    uint32_t turn = FirstTurn(intent);
    std::optional<uint32_t> ours;
    for (const auto& [number, claim] : claims) {
      turn = std::max(turn, number + 1);
      if (claim.save == save) {
        ours = number;
        continue;
      }
      if (free_claims.contains({number, claim.save})) continue;
      CEDANA_ASSIGN_OR_RETURN(const bool free, IsFree(context, site, claim));
      if (!free) return Taken(name);
      free_claims.emplace(number, claim.save);
    }
    // Everyone looks after writing, so of two that started from different lists (one was collected
    // meanwhile) at least one has seen the other here, and stepped back.
    if (ours.has_value()) {
      // A claim of its turn, which has the hour of the intent, may have been collected meanwhile,
      // and the removal of that one be on its way still.
      if (claims.at(*ours).written - intent < site.times.spare / 2) return *ours;
      return absl::FailedPreconditionError("the begin of the save took too long");
    }
    const absl::Status put = PutOnce(context, *site.store, ClaimKey(name_tag, turn),
                                     SealClaim({save, name, turn}, site.repository->keys));
    // Somebody was faster: the next look says whether that is free.
    if (!put.ok() && !absl::IsAlreadyExists(put)) return put;
  }
  return absl::AbortedError(absl::StrCat("the name ", name, " is fought over: try again"));
}

absl::StatusOr<Decision> FindByName(const base::Context& context, const Site& site,
                                    const std::string& name) {
  CEDANA_ASSIGN_OR_RETURN(const Claims claims,
                          ReadClaims(context, site, site.repository->NameTag(name)));
  std::optional<Decision> found;
  for (auto claim = claims.rbegin(); claim != claims.rend(); ++claim) {
    // The mark first, for a collection removes it last: a decision that is there after that was not
    // deleted when this look began.
    CEDANA_ASSIGN_OR_RETURN(const bool deleted, IsDeleted(context, site, claim->second.save));
    if (deleted) continue;
    CEDANA_ASSIGN_OR_RETURN(std::optional<Decision> decision,
                            ReadDecision(context, site, claim->second.save));
    if (!decision.has_value() || decision->state != DecisionState::kCommitted) continue;
    // Its save stepped back from this name, and was committed under another.
    if (decision->name != name || decision->turn != claim->first) continue;
    if (!found.has_value() || decision->order > found->order) found = *std::move(decision);
  }
  if (!found.has_value()) return absl::NotFoundError(absl::StrCat("no checkpoint ", name));
  return *std::move(found);
}

}  // namespace cedana::direct
