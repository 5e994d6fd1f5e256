// Deleting checkpoints, with their data: this daemon's, and those that only the storage knows.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cedana/daemon/places.h"
#include "core/base/context.h"

namespace cedana::daemon {

// Deletes one that this daemon has recorded, and the record. That the storage has it no more is
// fine; the checkpoint of another id that has its path by now stays.
absl::Status RemoveRecorded(const base::Context& context, const OpenPlace& open, JobTable& table,
                            const CheckpointRecord& record);

// Deletes the checkpoint with the id or URL `which`; an id without a record is looked for in
// `places`. kNotFound: there is none. kUnavailable: none was found, but a place did not answer.
absl::Status RemoveCheckpoint(const base::Context& context, const OpenPlace& open, JobTable& table,
                              const std::vector<plugin::StorageUrl>& places,
                              const std::string& which);

}  // namespace cedana::daemon
