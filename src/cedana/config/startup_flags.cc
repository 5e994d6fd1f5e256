#include "cedana/config/startup_flags.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace cedana::config {
namespace {

// Takes `--name value` or `--name=value` at `*index`; true when it was there.
absl::StatusOr<bool> TakeText(std::span<const std::string> arguments, absl::string_view name,
                              size_t* index, std::string* value) {
  absl::string_view rest = arguments[*index];
  if (!absl::ConsumePrefix(&rest, name)) return false;
  if (absl::ConsumePrefix(&rest, "=")) {
    *value = std::string(rest);
    return true;
  }
  if (!rest.empty()) return false;  // --config-dir is no --config
  if (*index + 1 >= arguments.size()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " needs a value"));
  }
  *value = arguments[++*index];
  return true;
}

absl::StatusOr<bool> TakeSwitch(absl::string_view argument, absl::string_view name, bool* value) {
  if (!absl::ConsumePrefix(&argument, name)) return false;
  if (argument.empty()) {
    *value = true;
    return true;
  }
  if (!absl::ConsumePrefix(&argument, "=")) return false;
  if (!absl::SimpleAtob(argument, value)) {
    return absl::InvalidArgumentError(absl::StrCat(name, " must be true or false"));
  }
  return true;
}

}  // namespace

absl::StatusOr<StartupFlags> ScanStartupFlags(std::span<const std::string> arguments) {
  StartupFlags flags;
  for (size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    CEDANA_ASSIGN_OR_RETURN(bool taken, TakeText(arguments, "--config", &i, &flags.config_json));
    if (taken) continue;
    CEDANA_ASSIGN_OR_RETURN(taken, TakeText(arguments, "--config-dir", &i, &flags.config_dir));
    if (taken) continue;
    CEDANA_ASSIGN_OR_RETURN(taken, TakeSwitch(arguments[i], "--init-config", &flags.init_config));
    if (taken) continue;
    CEDANA_RETURN_IF_ERROR(
        TakeSwitch(arguments[i], "--merge-config", &flags.merge_config).status());
  }
  if (!flags.config_json.empty() && !flags.config_dir.empty()) {
    return absl::InvalidArgumentError("--config and --config-dir exclude each other");
  }
  if (flags.init_config && flags.merge_config) {
    return absl::InvalidArgumentError("--init-config and --merge-config exclude each other");
  }
  return flags;
}

}  // namespace cedana::config
