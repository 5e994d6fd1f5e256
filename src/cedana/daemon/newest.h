// Which checkpoint `restore job` takes when no path is given: the newest that is still there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cedana/daemon/places.h"

namespace cedana::daemon {

// Payload of an error that several jobs of one name cause: a serialized CheckpointChoices.
inline constexpr char kDetailsPayload[] = "cedana.daemon/details";

// A time as people are told it.
std::string When(absl::Time time);

struct NewestCheckpoint {
  plugin::StorageUrl url;  // without suffix
  std::unique_ptr<plugin::StorageBackend> storage;
  std::vector<std::string> notes;  // for people: what was passed over
};

// In `dir` (a storage URL) alone where it is given. Else, for a job that this daemon knows, in all
// places that it knows of, for another daemon may have dumped the job since; for any other job in
// the default folder, then in all of its place. A place that does not answer counts with its
// record: when that is the newest the error is the place's, for an older checkpoint is not what was
// asked for. Within a place the storage's order counts; between places there are only their clocks.
//
// kFailedPrecondition: there is none, or the name is that of several jobs (then with the payload).
// kNotFound: nobody knows the job.
absl::StatusOr<NewestCheckpoint> FindNewest(const base::Context& context, const OpenPlace& open,
                                            const JobSearch& search, const std::string& dir);

// The error that lists the jobs of one name, one checkpoint of each, in words and as payload. Both
// travel in the trailers of a call, so what they hold is cut to a bounded size.
absl::Status SeveralJobs(const std::string& name, const std::string& scheme,
                         const std::vector<transfer::CheckpointInfo>& found);

}  // namespace cedana::daemon
