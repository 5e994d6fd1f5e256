// A call that failed may have happened all the same.
#pragma once

#include "absl/status/status.h"

namespace cedana::transfer {

// By the ports' contract only kUnknown says so; a call that we ourselves cut off counts too,
// whatever its implementation made of it.
inline bool MayHaveHappened(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnknown ||
         status.code() == absl::StatusCode::kDeadlineExceeded ||
         status.code() == absl::StatusCode::kCancelled;
}

}  // namespace cedana::transfer
