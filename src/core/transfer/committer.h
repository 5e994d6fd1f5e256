// Stage: the commit, and the answer to "did it happen?" when its reply is lost.
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/context.h"
#include "core/transfer/catalog.h"

namespace cedana::transfer {

// Commits, repeating it (which is safe with the same ids) while the failure may pass, for `timeout`
// in all. When the answer stays away, asks for the outcome, and if the save is still open, aborts
// it: one transaction of the catalog decides between commit and abort. The last part of `timeout`
// is kept for that and is not cut short by a cancellation of `context`.
//
// kUnknown: committed or not is not known. Any other error: certainly not committed.
absl::StatusOr<CheckpointInfo> CommitSave(const base::Context& context, Catalog& catalog,
                                          const CommitRequest& request, absl::Duration timeout);

}  // namespace cedana::transfer
