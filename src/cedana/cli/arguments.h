// The command line before its command is known: the flags that every command has are taken out
// wherever they stand, and what follows `--` is kept apart, so that it is never read as ours.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "cedana/config/startup_flags.h"

namespace cedana::cli {

struct GlobalFlag {
  absl::string_view name;  // "--address"
  absl::string_view help;
  bool takes_value = false;
};
std::span<const GlobalFlag> GlobalFlags();

struct Arguments {
  config::StartupFlags startup;
  std::vector<std::pair<std::string, std::string>> settings;  // "address" -> text
  std::vector<std::string> words;                             // command, its flags and arguments
  std::vector<std::string> verbatim;                          // after `--`
};

// `arguments` without the program's name. kInvalidArgument: a value is missing, a flag is not
// offered, or flags exclude each other.
absl::StatusOr<Arguments> SplitArguments(std::span<const std::string> arguments);

}  // namespace cedana::cli
