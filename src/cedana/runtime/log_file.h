// A job's log file, opened for a user by a shim that is root.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cedana/runtime/spawn.h"
#include "core/base/fd.h"

namespace cedana::runtime {

// O_WRONLY|O_APPEND|O_CREAT exactly: with these flags CRIU ignores the file's size at restore, so a
// log that has grown or was cut does not keep the job from coming back. A file that exists is
// opened with the user's own rights; a new one is made with ours, 0644, and given to the user.
// `created`, where given, tells which it was.
absl::StatusOr<base::UniqueFd> OpenLogFile(const std::string& path, const SpawnUser& user,
                                           bool* created = nullptr);

}  // namespace cedana::runtime
