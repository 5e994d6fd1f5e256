#include "cedana/cli/flags.h"

#include <signal.h>
#include <string.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "cedana/plugin/storage_url.h"

namespace cedana::cli {
namespace {

constexpr absl::string_view kCompressions[] = {"none", "tar", "lz4", "zstd", "gzip", "zlib"};

}  // namespace

void AddOutput(CLI::App& app, std::string* output, bool short_name) {
  app.add_option(short_name ? "-o,--output" : "--output", *output, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
}

void Refuse(CLI::App& app, const std::vector<std::string>& flags) {
  for (const std::string& flag : flags) {
    absl::string_view names = flag;
    const bool takes_value = absl::ConsumeSuffix(&names, "=");
    const std::string shown(names.substr(names.rfind("--")));
    const auto refuse = [shown](const std::string&) {
      throw CLI::ValidationError(absl::StrCat(shown, " is not offered by this version"));
    };
    CLI::Option* option =
        takes_value ? app.add_option_function<std::string>(std::string(names), refuse)
                    : app.add_flag_function(std::string(names), [refuse](int64_t) { refuse(""); });
    option->group("");  // not in the help
  }
}

absl::StatusOr<uint32_t> ParsePid(const std::string& text) {
  uint32_t pid = 0;
  if (!absl::SimpleAtoi(text, &pid) || pid == 0) {
    return absl::InvalidArgumentError(absl::StrCat("invalid pid: ", text));
  }
  return pid;
}

absl::StatusOr<int> ParseSignal(const std::string& text) {
  int number = 0;
  if (absl::SimpleAtoi(text, &number)) {
    if (number > 0 && number < NSIG) return number;
  } else {
    const std::string upper = absl::AsciiStrToUpper(text);
    const absl::string_view name = absl::StripPrefix(upper, "SIG");
    for (int signal = 1; signal < NSIG; ++signal) {
      const char* known = ::sigabbrev_np(signal);
      if (known != nullptr && name == known) return signal;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown signal: ", text));
}

absl::Status CheckStorageUrl(const std::string& what, const std::string& url) {
  if (plugin::ParseStorageUrl(url).ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      what, " ", url, " is no storage URL: one such as cedana://my-checkpoints is needed"));
}

std::string DefaultDir(const config::Config& config) {
  const std::string& dir = config.Text("checkpoint.dir");
  return plugin::ParseStorageUrl(dir).ok() ? dir : "";
}

absl::Status CheckCompression(const std::string& name) {
  if (name.empty() || std::find(std::begin(kCompressions), std::end(kCompressions), name) !=
                          std::end(kCompressions)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown compression \"", name, "\": use one of ",
                                                 absl::StrJoin(kCompressions, ", ")));
}

std::string AbsolutePath(const std::string& path) {
  if (path.empty()) return path;
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

}  // namespace cedana::cli
