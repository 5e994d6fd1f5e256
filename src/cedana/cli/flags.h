// What several commands do with their flags.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cedana/config/config.h"

namespace CLI {
class App;
}

namespace cedana::cli {

// `--output text|json`, and `-o` where that is not `--out`.
void AddOutput(CLI::App& app, std::string* output, bool short_name = true);
inline bool IsJson(const std::string& output) { return output == "json"; }

// Flags of the original that this version does not have: naming one is an error that says so.
// "--gpu-id=" (with a value), "-g,--gpu-enabled".
void Refuse(CLI::App& app, const std::vector<std::string>& flags);

absl::StatusOr<uint32_t> ParsePid(const std::string& text);
// A number, "TERM" or "SIGTERM".
absl::StatusOr<int> ParseSignal(const std::string& text);
// OK for "scheme://…". `what` is the flag or setting, for the error.
absl::Status CheckStorageUrl(const std::string& what, const std::string& url);
// The setting checkpoint.dir where it is a storage URL, else empty.
std::string DefaultDir(const config::Config& config);
// OK for an empty name (the daemon's setting counts) and the known ones.
absl::Status CheckCompression(const std::string& name);
// Relative to the working directory; empty stays empty. The daemon has another one.
std::string AbsolutePath(const std::string& path);

}  // namespace cedana::cli
