// Whether a place does what a repository needs of it (docs/format/direct.md): write, read, list,
// refuse to overwrite, delete. Leaves nothing.
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/context.h"
#include "core/base/retry.h"
#include "core/objstore/object_store.h"

namespace cedana::direct {

// How long it took. Each step is tried once; errors say which one failed.
absl::StatusOr<absl::Duration> ProbePlace(const base::Context& context,
                                          objstore::ObjectStore& store,
                                          const base::Services& services);

}  // namespace cedana::direct
