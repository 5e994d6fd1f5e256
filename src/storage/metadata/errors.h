// Errors that need more than a status code to be told apart at the edge.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace cedana::metadata {

// kFailedPrecondition, marked: a pack referred to is being deleted or was never there.
absl::Status ParentGone(absl::string_view message);
bool IsParentGone(const absl::Status& status);

}  // namespace cedana::metadata
