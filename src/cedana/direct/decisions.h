// How saves ended: the decision of each, and what hides a committed one again.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "cedana/direct/records.h"
#include "cedana/direct/site.h"
#include "core/base/context.h"

namespace cedana::direct {

// Nothing: not decided yet. kDataLoss names the object.
absl::StatusOr<std::optional<Decision>> ReadDecision(const base::Context& context, const Site& site,
                                                     const base::SaveId& save);

// The same for many, several at once; one for each of `saves`, in their order. The first error.
absl::StatusOr<std::vector<std::optional<Decision>>> ReadDecisions(
    const base::Context& context, const Site& site, const std::vector<base::SaveId>& saves);

// Decides that `save` ended without a commit, unless it is decided. Returns the decision that
// stands. `state`: kAborted or kFenced. kUnavailable: one stood, and was removed before it was
// read.
absl::StatusOr<Decision> EndUncommitted(const base::Context& context, const Site& site,
                                        const base::SaveId& save, DecisionState state);

// Whether a committed save is hidden by a mark.
absl::StatusOr<bool> IsDeleted(const base::Context& context, const Site& site,
                               const base::SaveId& save);

// The last sign of life of a save by the store's clock; nothing: it has left none.
absl::StatusOr<std::optional<absl::Time>> LastSign(const base::Context& context, const Site& site,
                                                   const base::SaveId& save);

}  // namespace cedana::direct
