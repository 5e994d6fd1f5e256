// The plugins that this program knows, where they come from, and what is installed.
//
// A plugin is one or more files: shared objects for plugins.lib_dir, programs for plugins.bin_dir.
// It is installed when all of them are there. Files are taken from the first folder that has all
// of them: plugins.local_search_path in its order, then ../lib, ../bin and ../criu beside the
// running program's folder.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cedana::plugin {

struct KnownPlugin {
  absl::string_view name;                    // "storage/cedana"
  absl::string_view type;                    // "storage", "checkpoint"
  std::vector<absl::string_view> libraries;  // file names
  std::vector<absl::string_view> programs;
  absl::string_view help;  // one line
};

// Sorted by name. Lives for ever.
std::span<const KnownPlugin> KnownPlugins();
const KnownPlugin* FindKnownPlugin(absl::string_view name);

enum class PluginStatus {
  kMissing,    // not installed, and no build of it at hand
  kAvailable,  // not installed, can be
  kInstalled,
  kOutdated,  // installed, and another build is at hand
};
absl::string_view StatusName(PluginStatus status);

struct PluginInfo {
  const KnownPlugin* plugin = nullptr;
  PluginStatus status = PluginStatus::kMissing;
  std::string installed_version;  // "v0.1.0"; empty: not installed
  std::string available_version;  // empty: none at hand
  std::string available_in;       // the folder
  uint64_t bytes = 0;             // of the installed files, else of the available ones
};

enum class InstallOutcome { kInstalled, kAlreadyInstalled };

struct RegistryOptions {
  std::string bin_dir;            // plugins.bin_dir
  std::string lib_dir;            // plugins.lib_dir
  std::string local_search_path;  // plugins.local_search_path: folders joined by ':'
  std::string program_dir;        // of the running program; empty: asked from the kernel
  // The version of a program, asked by running it. Absent: `<path> --version`.
  std::function<std::string(const std::string& path)> program_version;
};

// Thread-safe; keeps nothing, looks at the disk in each call.
class Registry {
 public:
  explicit Registry(RegistryOptions options);

  std::vector<PluginInfo> List() const;
  // `name` may carry a version ("storage/cedana@0.1.0"). kInvalidArgument: an unknown name, the
  // text lists the known ones. kNotFound: no build (of this version) at hand.
  // kFailedPrecondition: the build at hand is not of this program's build.
  absl::StatusOr<InstallOutcome> Install(absl::string_view name) const;
  // kNotFound: not installed. kInvalidArgument: an unknown name.
  absl::Status Remove(absl::string_view name) const;
  absl::StatusOr<PluginInfo> Find(absl::string_view name) const;

 private:
  struct File {
    std::string source;  // empty when no build is at hand
    std::string target;
    bool library = false;
  };
  std::vector<File> Files(const KnownPlugin& plugin, std::string* folder) const;
  PluginInfo Describe(const KnownPlugin& plugin) const;
  std::string Version(const std::string& path, bool library) const;

  RegistryOptions options_;
  std::vector<std::string> folders_;  // searched for builds, in order
};

}  // namespace cedana::plugin
