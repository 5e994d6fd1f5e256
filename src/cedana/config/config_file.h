// The configuration's JSON, read and written. Keys may be nested, dotted, or both, in any
// capitalisation: {"Checkpoint": {"Dir": …}} and {"checkpoint.dir": …} say the same.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/json.h"

namespace cedana::config {

using Values = std::map<std::string, base::Json>;  // by known key, in the key's JSON type

struct ParsedFile {
  Values values;
  std::map<std::string, base::Json> unknown;  // by dotted key as written
  std::vector<std::string> warnings;          // one line for each unknown key, naming the nearest
};

// `name` is what errors call the text: a file's path, or "--config". kInvalidArgument: one line
// with the name and, for text that is not JSON, the byte offset.
absl::StatusOr<ParsedFile> ParseConfig(absl::string_view name, absl::string_view text);

// kNotFound when there is none.
absl::StatusOr<ParsedFile> ReadConfigFile(const std::string& path);

// Nested, sorted, indented by two. Makes the folder (0755). Mode 0600 when a secret is not empty,
// else 0644.
absl::Status WriteConfigFile(const std::string& path, const Values& values,
                             const std::map<std::string, base::Json>& unknown);

}  // namespace cedana::config
