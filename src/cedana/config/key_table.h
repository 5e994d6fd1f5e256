// The table of all known settings. It drives everything: defaults, types, environment names, what
// is a secret, the file that `--init-config` writes, and the table in docs/configuration.md.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/json.h"

namespace cedana::config {

enum class KeyType { kString, kBool, kInt, kUint, kDuration };

struct KeySpec {
  absl::string_view key;                       // lower case, dotted: "checkpoint.dir"
  KeyType type;                                // a duration is text such as "30s", "10m"
  absl::string_view default_text;              // in the form that ParseValue reads
  std::vector<absl::string_view> env_aliases;  // after CEDANA_<KEY>
  bool secret;                                 // in no log; a file that holds one is 0600
  absl::string_view help;                      // one line, Markdown
  bool unused = false;  // known, so that files made for the original go through; read by nobody
};

// Sorted by key. Lives for ever.
std::span<const KeySpec> KnownKeys();

// In any capitalisation; null when there is no such key.
const KeySpec* FindKey(absl::string_view key);

// The known key with the smallest edit distance.
absl::string_view NearestKey(absl::string_view key);

// "CEDANA_CHECKPOINT_DIR", then the aliases, in the order in which they are asked.
std::vector<std::string> EnvNames(const KeySpec& spec);

// The value in the JSON type of the key (durations stay text). kInvalidArgument says what the
// key must be.
absl::StatusOr<base::Json> ParseValue(const KeySpec& spec, absl::string_view text);
// The same for a value that came as JSON; text such as "4" is accepted for numbers.
absl::StatusOr<base::Json> CoerceValue(const KeySpec& spec, const base::Json& value);

// The Markdown table of docs/configuration.md.
std::string KeyTableMarkdown();

}  // namespace cedana::config
