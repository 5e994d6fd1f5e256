// Runs a small foreign program (criu --version, criu check, nft) to its end.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace cedana::criu {

struct ProgramResult {
  int exit_code = 0;   // 128 + n when killed by signal n
  std::string output;  // stdout and stderr, at most 64 KiB are kept
};

// `argv[0]` is an absolute path. stdin is /dev/null. Past `timeout` the program is killed:
// kDeadlineExceeded.
absl::StatusOr<ProgramResult> RunProgram(const std::vector<std::string>& argv,
                                         absl::Duration timeout);

// The first executable file of this name in PATH and the sbin folders; empty when there is none.
std::string FindInPath(const std::string& name);

}  // namespace cedana::criu
