#include "storage/metadata/errors.h"

#include "absl/strings/cord.h"

namespace cedana::metadata {
namespace {
constexpr char kParentGone[] = "cedana/parent_gone";
}

absl::Status ParentGone(absl::string_view message) {
  absl::Status status = absl::FailedPreconditionError(message);
  status.SetPayload(kParentGone, absl::Cord("1"));
  return status;
}

bool IsParentGone(const absl::Status& status) { return status.GetPayload(kParentGone).has_value(); }

}  // namespace cedana::metadata
