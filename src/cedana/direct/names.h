// Who has a name: the claims on it, in turns (docs/format/direct.md, "Order of writing").
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "cedana/direct/records.h"
#include "cedana/direct/site.h"
#include "core/base/context.h"

namespace cedana::direct {

// Claims `name` for `save` and returns the turn. May be repeated. kAlreadyExists: a checkpoint, or
// a live save, has it.
absl::StatusOr<uint32_t> ClaimName(const base::Context& context, const Site& site,
                                   const base::SaveId& save, const std::string& name);

// The committed checkpoint of that name, the newest where freak accidents made two. kNotFound.
absl::StatusOr<Decision> FindByName(const base::Context& context, const Site& site,
                                    const std::string& name);

}  // namespace cedana::direct
