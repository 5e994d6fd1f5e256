// All checkpoints of a job, and how safe they are now. This daemon's records are not all: the job
// may have been dumped by other daemons; and they grow old: the storage goes on copying after a
// dump, loses a provider, or has a checkpoint deleted by somebody else.
#pragma once

#include <string>
#include <vector>

#include "cedana/daemon/places.h"
#include "core/base/context.h"

namespace cedana::daemon {

struct CheckpointList {
  std::vector<CheckpointRecord> records;  // newest first
  std::vector<std::string> messages;      // storages that did not answer
};

// What `search` knows of, as each place says at one request that it stands now, and what else the
// places have of the job: at most base::kListPageMax from each. A place that does not answer before
// `context` ends leaves its records as they were. A record that its place does not have any more is
// kGone; it stays, for a storage that was set up wrongly for a while answers so as well. What is
// new about a record is kept in `table`.
CheckpointList ListCheckpoints(const base::Context& context, const OpenPlace& open, JobTable& table,
                               const JobSearch& search);

}  // namespace cedana::daemon
