// Who has a name: the claims on it, in turns (docs/format/direct.md, "Order of writing").
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "cedana/direct/records.h"
#include "cedana/direct/site.h"
#include "core/base/context.h"

namespace cedana::direct {

// The first turn that a save may claim whose intent was written at `intent` (the store's clock):
// higher than every turn of a claim that was collected before, or is while the save begins, so that
// no key is used twice.
uint32_t FirstTurn(absl::Time intent);

// Claims `name` for `save`, whose intent was written at `intent` (the store's clock), and returns
// the turn. May be repeated. kAlreadyExists: a checkpoint, or a live save, has it; a claim that was
// written stays, and means nothing once the save is decided under another name, or ended.
// kFailedPrecondition: the intent is too long ago.
absl::StatusOr<uint32_t> ClaimName(const base::Context& context, const Site& site,
                                   const base::SaveId& save, const std::string& name,
                                   absl::Time intent);

// The committed checkpoint of that name, the newest where freak accidents made two. kNotFound.
absl::StatusOr<Decision> FindByName(const base::Context& context, const Site& site,
                                    const std::string& name);

}  // namespace cedana::direct
