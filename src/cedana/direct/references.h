// Which packs a checkpoint needs, from its manifest and page map.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "cedana/direct/records.h"
#include "cedana/direct/site.h"
#include "core/base/context.h"

namespace cedana::direct {

// Reads the blocks of the page map only. Errors name the checkpoint.
absl::StatusOr<std::vector<base::PackId>> PacksOf(const base::Context& context, const Site& site,
                                                  const Decision& commit);

}  // namespace cedana::direct
