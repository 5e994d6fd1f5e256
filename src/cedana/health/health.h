// Is this machine fit to dump and restore? The same checks serve `cedana check` in-process and the
// daemon's HealthCheck.
#pragma once

#include <string>
#include <vector>

#include "cedana/config/config.h"
#include "cedana/plugin/loader.h"
#include "cedana/plugin/storage_backend.h"
#include "core/base/context.h"

namespace cedana::health {

// An item with errors is bad, one with warnings works with a limit, all others are good.
struct HealthGroup {
  std::string name;  // "criu", "storage/cedana"
  std::vector<plugin::HealthItem> items;
};

// Always CRIU's version and features; `full` adds every installed storage plugin: URL, token, and a
// write-read-delete probe with its latency. Runs `criu check`, so it takes some 100 ms.
std::vector<HealthGroup> CheckAll(const config::Config& config, bool full);
// The same with the daemon's own loader and deadline.
std::vector<HealthGroup> CheckAll(const config::Config& config, bool full,
                                  plugin::StoragePlugins& plugins, const base::Context& context);

}  // namespace cedana::health
