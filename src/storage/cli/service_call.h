// One call to a running service with the operator's token, and how its answers are printed.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/json.h"
#include "storage/cli/commands.h"

namespace cedana::cli {

inline constexpr absl::Duration kCallTimeout = absl::Seconds(60);

// `body`: may be null. An error is the service's own line.
absl::StatusOr<base::Json> CallService(const AdminOptions& options, const std::string& method,
                                       const std::string& target, const base::Json* body,
                                       absl::Duration timeout = kCallTimeout);
// GET, and the array `member` of the answer.
absl::StatusOr<base::Json> ListFromService(const AdminOptions& options, const std::string& target,
                                           const char* member);

// Columns as wide as their widest cell, two spaces apart.
void PrintTable(const std::vector<std::vector<std::string>>& rows);
void PrintJson(const base::Json& json);

}  // namespace cedana::cli
