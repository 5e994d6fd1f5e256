// The values of all settings, as one program start sees them.
//
//   CEDANA_ASSIGN_OR_RETURN(config::Loaded loaded, config::Config::Load({.flags = flags}));
//   for (const std::string& line : loaded.warnings) base::LogWarn(line);
//   loaded.config.Text("checkpoint.dir");
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cedana/config/config_file.h"
#include "cedana/config/startup_flags.h"

namespace cedana::config {

using GetEnv = std::function<std::optional<std::string>(const std::string&)>;

struct LoadOptions {
  StartupFlags flags;
  GetEnv get_env;                          // absent: the process's environment
  std::optional<bool> is_root;             // absent: whether the effective uid is 0
  std::string system_dir = "/etc/cedana";  // read when there is no file in the user's folder
};

struct Loaded;

// A value; cheap enough to copy. Getters abort on a key that is unknown or of another type: only a
// mistake in the program can ask so.
class Config {
 public:
  // Reads file, `--config`, environment; writes the file when the flags say so.
  // kInvalidArgument: one line naming the file (or variable), and key or byte offset.
  static absl::StatusOr<Loaded> Load(const LoadOptions& options);
  // Only defaults, for tests.
  static Config Defaults();

  const std::string& Text(absl::string_view key) const;
  bool Bool(absl::string_view key) const;
  int64_t Int(absl::string_view key) const;
  absl::Duration Duration(absl::string_view key) const;

  // A command-line flag's value: above everything else. kInvalidArgument: of a wrong type.
  absl::Status Set(absl::string_view key, absl::string_view text);

  // Where commands find the daemon: `address`, or the protocol's default.
  std::string DaemonAddress() const;

  const Values& values() const { return values_; }

 private:
  const base::Json& Get(absl::string_view key) const;
  Values values_;
};

struct Loaded {
  Config config;
  std::string dir;                    // where the configuration lives
  std::string file;                   // the file that was read or written; empty: none
  std::vector<std::string> warnings;  // to be shown, one line each
};

}  // namespace cedana::config
