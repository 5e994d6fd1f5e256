// Collection of a repository: the only place that removes what was written, in the reverse order of
// writing (I2). The rules, and why they lose nothing, are in docs/format/direct.md.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "cedana/direct/site.h"
#include "core/base/context.h"

namespace cedana::direct {

struct Collected {
  uint64_t kept_checkpoints = 0;
  uint64_t deleted_checkpoints = 0;  // were deleted, and are gone for good now
  uint64_t ended_saves = 0;          // were aborted
  uint64_t fenced_saves = 0;         // gave no sign of life, and were ended
  uint64_t small_objects = 0;        // removed: entries, claims, intents, decisions, marks
  uint64_t packs = 0;                // removed
  uint64_t pack_bytes = 0;
};

// Any number may run at once, beside saves and restores. `dry_run`: only counts. kDataLoss: a
// decision or page map cannot be read, so nothing was removed.
absl::StatusOr<Collected> CollectRepository(const base::Context& context, const Site& site,
                                            bool dry_run);

}  // namespace cedana::direct
