#include "cedana/daemon/settings.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cedana/plugin/storage_config.h"
#include "core/base/limits.h"
#include "core/base/status.h"

namespace cedana::daemon {
namespace {

constexpr size_t kMiB = 1 << 20;
// sun_path holds 107 bytes; below run_dir come "/j/<16 hex>/shim.sock" and
// "/o/<number>/streamer-capture.sock".
constexpr size_t kRunDirBytesMax = 60;

// FNV-1a: short, stable between builds, and no secret depends on it.
uint32_t Fingerprint(const std::string& text) {
  uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  return hash;
}

absl::StatusOr<std::string> OwnFolder() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return absl::InternalError(absl::StrCat("/proc/self/exe: ", error.message()));
  return self.parent_path().string();
}

absl::StatusOr<std::string> OwnProgram(const std::string& folder, const std::string& name) {
  const std::string path = absl::StrCat(folder, "/", name);
  if (!std::filesystem::exists(path)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is missing: install it beside the cedana program"));
  }
  return path;
}

}  // namespace

absl::StatusOr<Settings> ReadSettings(const config::Config& config) {
  Settings settings;
  settings.socket_path = config.DaemonAddress();
  if (config.Text("protocol") != "unix") {
    return absl::InvalidArgumentError(
        "protocol: this daemon listens on a UNIX socket only; set it to \"unix\"");
  }
  settings.db_path = std::filesystem::absolute(config.Text("db.path")).lexically_normal().string();
  settings.instance = absl::StrFormat("%08x", Fingerprint(settings.db_path));
  settings.run_dir = absl::StrCat(config.Text("run_dir"), "/", settings.instance);
  if (settings.run_dir.size() > kRunDirBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "run_dir: ", config.Text("run_dir"), " is too long, UNIX sockets in it need a ",
        "path of at most ", kRunDirBytesMax - 9, " bytes"));
  }
  settings.log_dir = (std::filesystem::path(settings.db_path).parent_path() / "criu-logs").string();
  CEDANA_ASSIGN_OR_RETURN(const std::string own, OwnFolder());
  CEDANA_ASSIGN_OR_RETURN(settings.shim_program, OwnProgram(own, "cedana-shim"));
  CEDANA_ASSIGN_OR_RETURN(settings.hook_program, OwnProgram(own, "cedana-criu-hook"));
  CEDANA_ASSIGN_OR_RETURN(settings.hold_library, OwnProgram(own, "cedana-criu-hold.so"));
  settings.criu_path = config.Text("criu.binary_path");
  settings.bin_dir = config.Text("plugins.bin_dir");
  settings.lib_dir = config.Text("plugins.lib_dir");
  settings.checkpoint_dir = config.Text("checkpoint.dir");
  settings.compression = config.Text("checkpoint.compression");
  settings.streams = static_cast<int>(config.Int("checkpoint.streams"));
  settings.leave_running = config.Bool("criu.leave_running");
  const auto limit_mib = static_cast<size_t>(config.Int("checkpoint.memory_limit"));
  if (limit_mib < base::kMemoryLimitMinMiB) {
    return absl::InvalidArgumentError(absl::StrCat("checkpoint.memory_limit: ", limit_mib,
                                                   " MiB is too little, set at least ",
                                                   base::kMemoryLimitMinMiB));
  }
  settings.memory_limit_bytes = limit_mib * kMiB;
  settings.commit_timeout = config.Duration("checkpoint.commit_timeout");
  settings.resume_timeout = config.Duration("checkpoint.resume_timeout");
  settings.storage = plugin::ReadStorageConfig(config);
  return settings;
}

}  // namespace cedana::daemon
