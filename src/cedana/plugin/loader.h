// Loads storage plugins when they are used. Looks at the file each time, so that a plugin that is
// installed, replaced or removed counts at once, without a restart.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "cedana/plugin/storage_backend.h"

namespace cedana::plugin {

// Thread-safe. What was loaded stays loaded until the program ends: back ends in use outlive the
// removal of their file and this object.
class StoragePlugins {
 public:
  // `lib_dir`: plugins.lib_dir.
  explicit StoragePlugins(std::string lib_dir) : lib_dir_(std::move(lib_dir)) {}

  // The plugin of `scheme` as it is installed now.
  //   kUnavailable         not installed; the text says how to
  //   kInvalidArgument     no such plugin is known
  //   kFailedPrecondition  the file belongs to another build, or cannot be loaded
  absl::StatusOr<const StoragePluginV1*> Find(absl::string_view scheme);

  // Find, then a back end of it. The errors of Find, and those of the plugin's `create`.
  absl::StatusOr<std::unique_ptr<StorageBackend>> Open(absl::string_view scheme,
                                                       const StorageConfig& config);

  // The schemes whose plugins are installed, sorted.
  std::vector<std::string> Installed() const;

 private:
  // Which file it was; a file put in its place differs in one of them.
  struct FileId {
    uint64_t device = 0;
    uint64_t inode = 0;
    int64_t modified_ns = 0;
    int64_t bytes = 0;
    friend bool operator==(const FileId&, const FileId&) = default;
  };
  struct Loaded {
    FileId file;
    const StoragePluginV1* plugin = nullptr;
  };

  absl::StatusOr<const StoragePluginV1*> LoadFile(const std::string& name, const std::string& path);

  const std::string lib_dir_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Loaded> loaded_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cedana::plugin
