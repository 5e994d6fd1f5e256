// A slow look at what providers list, compared with what the catalog believes: finds an emptied
// bucket, shards that are gone or have the wrong size, and objects that nobody knows.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "core/base/context.h"
#include "storage/replica/vault.h"

namespace cedana::replica {

struct ScrubCounts {
  uint64_t shards = 0;   // looked for
  uint64_t missing = 0;  // not there: debt from now on
  uint64_t found = 0;    // known objects that were not known to be there: repair looks at them
  uint64_t damaged = 0;  // of another size or checksum: debt as well
  uint64_t strays = 0;   // objects of no save that lives, older than a day: deleted
  uint64_t spared = 0;   // the same, but of commits that the catalog does not know (lost_commits.h)
  uint64_t records = 0;  // commit records that were missing: chores from now on
};

// One pass over one provider, with `pause` between batches of a thousand. An error leaves what was
// found so far in force.
absl::StatusOr<ScrubCounts> ScrubProvider(const base::Context& context, const Vault& vault,
                                          const Provider& provider, absl::Duration pause);

}  // namespace cedana::replica
