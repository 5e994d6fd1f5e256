// The daemon's settings, read once from the configuration.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cedana/config/config.h"
#include "cedana/plugin/storage_backend.h"

namespace cedana::daemon {

struct Settings {
  std::string socket_path;
  std::string db_path;
  std::string instance;  // eight hex digits of the database's path: two daemons never share folders
  std::string run_dir;   // <run_dir>/<instance>: sockets of shims and operations; a tmpfs
  std::string log_dir;   // CRIU's logs of failed operations
  std::string job_log_dir = "/var/log";
  std::string shim_program;
  std::string hook_program;
  std::string hold_library;  // loaded into the CRIU of dumps
  std::string criu_path;
  std::string bin_dir;
  std::string lib_dir;
  std::string checkpoint_dir;
  std::string compression;
  int streams = 0;
  bool leave_running = false;
  size_t memory_limit_bytes = 0;
  absl::Duration commit_timeout;  // of a frozen process
  absl::Duration resume_timeout;  // of one that runs
  plugin::StorageConfig storage;
};

// kInvalidArgument / kFailedPrecondition: one line that names the setting.
absl::StatusOr<Settings> ReadSettings(const config::Config& config);

}  // namespace cedana::daemon
