#include "cedana/cli/arguments.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace cedana::cli {
namespace {

constexpr GlobalFlag kGlobalFlags[] = {
    {"--address", "socket of the daemon (setting address)", true},
    {"--protocol", "unix; tcp through a forwarder (setting protocol)", true},
    {"--config", "JSON merged over the configuration file, for this call", true},
    {"--config-dir", "folder that holds config.json", true},
    {"--init-config", "write the configuration file with defaults and environment first", false},
    {"--merge-config", "the same, but keep what the file has", false},
};

absl::Status RefuseProfiling(absl::string_view word) {
  const absl::string_view name = word.substr(0, word.find('='));
  if (name != "--profiling" && name != "--profiling-path") return absl::OkStatus();
  if (word == "--profiling=false") return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " is not offered by this version"));
}

const GlobalFlag* FindFlag(absl::string_view name) {
  for (const GlobalFlag& flag : kGlobalFlags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

}  // namespace

std::span<const GlobalFlag> GlobalFlags() { return kGlobalFlags; }

absl::StatusOr<Arguments> SplitArguments(std::span<const std::string> arguments) {
  Arguments result;
  CEDANA_ASSIGN_OR_RETURN(result.startup, config::ScanStartupFlags(arguments));
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  const size_t count = dashes - arguments.begin();
  for (size_t i = 0; i < count; ++i) {
    const std::string& word = arguments[i];
    CEDANA_RETURN_IF_ERROR(RefuseProfiling(word));
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const GlobalFlag* flag = FindFlag(name);
    if (flag == nullptr) {
      if (word != "--profiling=false") result.words.push_back(word);
      continue;
    }
    if (!flag->takes_value) continue;  // ScanStartupFlags has it
    if (equals == std::string::npos && i + 1 >= count) {
      return absl::InvalidArgumentError(absl::StrCat(name, " needs a value"));
    }
    const std::string value =
        equals == std::string::npos ? arguments[++i] : word.substr(equals + 1);
    if (absl::StartsWith(name, "--config")) continue;
    result.settings.emplace_back(name.substr(2), value);
  }
  if (dashes != arguments.end()) result.verbatim.assign(dashes + 1, arguments.end());
  return result;
}

}  // namespace cedana::cli
