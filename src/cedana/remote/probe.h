// Writes a tiny checkpoint through the real ports, reads it back, deletes it.
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cedana/plugin/storage_backend.h"
#include "cedana/remote/retry.h"
#include "core/base/context.h"

namespace cedana::remote {

// Returns how long it took. Its path is `.cedana-probe/<random>`; whatever happens, a delete is
// tried. Errors say which of write, read and delete failed.
absl::StatusOr<absl::Duration> ProbeStorage(const base::Context& context,
                                            plugin::StorageBackend& backend,
                                            const Services& services);

}  // namespace cedana::remote
