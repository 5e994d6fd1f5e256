// The daemon: `cedana daemon start`.
#pragma once

#include "absl/status/status.h"
#include "cedana/config/config.h"

namespace cedana::daemon {

// Serves until SIGTERM or SIGINT. A stop leaves the jobs running; the next start adopts them.
// Call it before any thread is started, as root.
absl::Status RunDaemon(const config::Config& config);

}  // namespace cedana::daemon
