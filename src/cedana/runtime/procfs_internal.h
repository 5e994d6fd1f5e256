// Shared by the files that read /proc, and by their tests.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cedana/runtime/procfs.h"

namespace cedana::runtime {

std::string ProcPath(int pid, absl::string_view name);
// Names of a folder that are numbers; empty when it cannot be read.
std::vector<int> NumbersIn(const std::string& folder);
absl::StatusOr<ProcessStat> ParseStat(absl::string_view text);

}  // namespace cedana::runtime
