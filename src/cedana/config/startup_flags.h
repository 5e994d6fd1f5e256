// The flags that decide where the configuration comes from. They are read before all others,
// because the others' defaults depend on them, and work anywhere on the command line before `--`.
#pragma once

#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace cedana::config {

struct StartupFlags {
  std::string config_json;    // --config JSON, --config=JSON
  std::string config_dir;     // --config-dir DIR, --config-dir=DIR
  bool init_config = false;   // --init-config
  bool merge_config = false;  // --merge-config
};

// `arguments` without the program's name. kInvalidArgument: a value is missing, or flags that
// exclude each other.
absl::StatusOr<StartupFlags> ScanStartupFlags(std::span<const std::string> arguments);

}  // namespace cedana::config
