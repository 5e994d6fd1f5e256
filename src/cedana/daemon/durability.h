// How safe the checkpoints of a job are now: the storage knows, for it goes on copying after a
// dump.
#pragma once

#include <vector>

#include "cedana/daemon/services.h"
#include "core/base/context.h"

namespace cedana::daemon {

// Asks each storage once about those of `records` that were not fully replicated when last heard
// of, and keeps what it says, here and in the job table. All are of one job. A storage that does
// not answer before `context` ends, or at all, leaves them as they were.
void RefreshDurability(const base::Context& context, const Services& services,
                       std::vector<CheckpointRecord>& records);

}  // namespace cedana::daemon
