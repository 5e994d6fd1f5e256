#include "cedana/direct/decisions.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cedana/direct/object_io.h"
#include "cedana/direct/object_names.h"
#include "cedana/direct/parallel.h"
#include "core/base/status.h"

namespace cedana::direct {
absl::StatusOr<std::optional<Decision>> ReadDecision(const base::Context& context, const Site& site,
                                                     const base::SaveId& save) {
  const objstore::ObjectKey key = SaveKey(kDecisions, save);
  const absl::StatusOr<std::string> bytes = site.store->ReadAll(context, key, kDecisionBytesMax);
  if (absl::IsNotFound(bytes.status())) return std::optional<Decision>();
  CEDANA_RETURN_IF_ERROR(bytes.status());
  absl::StatusOr<Decision> decision = OpenDecision(*bytes, save, site.repository->keys);
  if (!decision.ok()) {
    return base::Annotate(decision.status(), absl::StrCat("object ", key.text()));
  }
  return std::optional<Decision>(*std::move(decision));
}

absl::StatusOr<std::vector<std::optional<Decision>>> ReadDecisions(
    const base::Context& context, const Site& site, const std::vector<base::SaveId>& saves) {
  std::vector<std::optional<Decision>> decisions(saves.size());
  CEDANA_RETURN_IF_ERROR(ForEachAtOnce(site.at_once, saves.size(), [&](size_t i) {
    CEDANA_ASSIGN_OR_RETURN(decisions[i], ReadDecision(context, site, saves[i]));
    return absl::OkStatus();
  }));
  return decisions;
}

absl::StatusOr<Decision> EndUncommitted(const base::Context& context, const Site& site,
                                        const base::SaveId& save, DecisionState state) {
  Decision decision;
  decision.state = state;
  decision.save = save;
  CEDANA_ASSIGN_OR_RETURN(const std::string bytes, SealDecision(decision, site.repository->keys));
  const absl::Status put = PutOnce(context, *site.store, SaveKey(kDecisions, save), bytes);
  if (put.ok()) return decision;
  if (!absl::IsAlreadyExists(put)) return put;
  CEDANA_ASSIGN_OR_RETURN(std::optional<Decision> standing, ReadDecision(context, site, save));
  if (!standing.has_value()) return absl::UnavailableError("a decision is being removed");
  return *std::move(standing);
}

absl::StatusOr<bool> IsDeleted(const base::Context& context, const Site& site,
                               const base::SaveId& save) {
  CEDANA_ASSIGN_OR_RETURN(const auto mark, site.store->Head(context, SaveKey(kDeletions, save)));
  return mark.has_value();
}

absl::StatusOr<std::optional<absl::Time>> LastSign(const base::Context& context, const Site& site,
                                                   const base::SaveId& save) {
  std::optional<absl::Time> last;
  for (const char* prefix : {kIntents, kBeats}) {
    CEDANA_ASSIGN_OR_RETURN(const auto sign, site.store->Head(context, SaveKey(prefix, save)));
    if (sign.has_value()) last = std::max(last.value_or(sign->modified), sign->modified);
  }
  return last;
}

}  // namespace cedana::direct
