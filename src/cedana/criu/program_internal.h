// The parts of program.cc, telling_error.cc and nft_tables.cc that tests call with text.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cedana::criu {

// "Version: 4.2.1" in the output of `criu --version`, as 40201.
absl::StatusOr<int> ParseVersion(absl::string_view text);
// The first line with an error that is neither always there nor a mere consequence, without time,
// pid and place in CRIU's source; empty when there is none.
std::string FirstTellingLine(absl::string_view log);
// The tables of `nft list tables` that are CRIU's.
std::vector<std::string> ParseCriuTables(absl::string_view text);
// Those that are not there are no error.
absl::Status DeleteCriuTables(const std::vector<std::string>& tables);

}  // namespace cedana::criu
