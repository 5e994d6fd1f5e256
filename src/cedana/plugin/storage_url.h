// "cedana://my-checkpoints/nightly": which storage plugin, and the path in its storage.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cedana::plugin {

struct StorageUrl {
  std::string scheme;  // "cedana"; lower case, fit for a file's name; "gcs" for "gs" too
  std::string path;    // "my-checkpoints/nightly": no leading or trailing slash, not empty

  std::string ToString() const;
  // The URL of `name` below this one.
  StorageUrl Child(absl::string_view name) const;
  // The folder that this one lies in; with an empty path at the top.
  StorageUrl Parent() const;
};

// Splits only; the storage judges the path. kInvalidArgument: one line that says what is needed,
// also for a path of this machine (no scheme). "file:///var/x" has the path "var/x".
absl::StatusOr<StorageUrl> ParseStorageUrl(absl::string_view text);

}  // namespace cedana::plugin
