#include "cedana/config/config.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "cedana/config/key_table.h"
#include "core/base/environment.h"
#include "core/base/log.h"
#include "core/base/status.h"

namespace cedana::config {
namespace {

namespace fs = std::filesystem;

std::string ConfigDir(const LoadOptions& options, const GetEnv& get_env, bool is_root) {
  if (!options.flags.config_dir.empty()) return options.flags.config_dir;
  if (const auto dir = get_env("CEDANA_CONFIG_DIR")) return *dir;
  if (is_root) return options.system_dir;
  if (const auto dir = get_env("XDG_CONFIG_HOME")) return (fs::path(*dir) / "cedana").string();
  if (const auto home = get_env("HOME")) return (fs::path(*home) / ".config/cedana").string();
  return options.system_dir;
}

void Merge(const Values& from, Values* into) {
  for (const auto& [key, value] : from) (*into)[key] = value;
}

absl::StatusOr<Values> FromEnvironment(const GetEnv& get_env) {
  Values values;
  for (const KeySpec& spec : KnownKeys()) {
    for (const std::string& name : EnvNames(spec)) {
      const std::optional<std::string> text = get_env(name);
      if (!text.has_value() || text->empty()) continue;
      absl::StatusOr<base::Json> value = ParseValue(spec, *text);
      if (!value.ok()) return base::Annotate(value.status(), name);
      values[std::string(spec.key)] = *std::move(value);
      break;
    }
  }
  return values;
}

// The file of `dir`, else that of the system; `path` tells which. None is not an error.
absl::StatusOr<ParsedFile> ReadFirst(const std::string& dir, const std::string& system_dir,
                                     std::string* path) {
  for (const std::string& folder : {dir, system_dir}) {
    const std::string candidate = (fs::path(folder) / "config.json").string();
    absl::StatusOr<ParsedFile> parsed = ReadConfigFile(candidate);
    if (absl::IsNotFound(parsed.status())) continue;
    if (parsed.ok()) *path = candidate;
    return parsed;
  }
  return ParsedFile{};
}

}  // namespace

Config Config::Defaults() {
  Config config;
  for (const KeySpec& spec : KnownKeys()) {
    config.values_[std::string(spec.key)] = *ParseValue(spec, spec.default_text);
  }
  return config;
}

absl::StatusOr<Loaded> Config::Load(const LoadOptions& options) {
  const GetEnv get_env = options.get_env ? options.get_env : GetEnv(base::GetEnv);
  const bool is_root = options.is_root.value_or(::geteuid() == 0);
  Loaded loaded{Config::Defaults(), ConfigDir(options, get_env, is_root), "", {}};
  Values& values = loaded.config.values_;
  const bool write = options.flags.init_config || options.flags.merge_config;

  ParsedFile file;
  if (!options.flags.init_config) {
    CEDANA_ASSIGN_OR_RETURN(file, ReadFirst(loaded.dir, options.system_dir, &loaded.file));
    Merge(file.values, &values);
    loaded.warnings = file.warnings;
  }
  if (!options.flags.config_json.empty()) {
    CEDANA_ASSIGN_OR_RETURN(ParsedFile once, ParseConfig("--config", options.flags.config_json));
    Merge(once.values, &values);
    for (std::string& line : once.warnings) loaded.warnings.push_back(std::move(line));
  }
  CEDANA_ASSIGN_OR_RETURN(const Values environment, FromEnvironment(get_env));
  Merge(environment, &values);

  if (write) {
    loaded.file = (fs::path(loaded.dir) / "config.json").string();
    CEDANA_RETURN_IF_ERROR(WriteConfigFile(loaded.file, values, file.unknown));
  }
  return loaded;
}

const base::Json& Config::Get(absl::string_view key) const {
  const auto it = values_.find(std::string(key));
  if (it == values_.end()) {
    base::LogError("no such setting", {{"key", key}});
    std::abort();
  }
  return it->second;
}

const std::string& Config::Text(absl::string_view key) const {
  const base::Json& value = Get(key);
  if (!value.is_string()) std::abort();
  return value.get_ref<const std::string&>();
}

bool Config::Bool(absl::string_view key) const {
  const base::Json& value = Get(key);
  if (!value.is_boolean()) std::abort();
  return value.get<bool>();
}

int64_t Config::Int(absl::string_view key) const {
  const base::Json& value = Get(key);
  if (!value.is_number_integer()) std::abort();
  return value.get<int64_t>();
}

absl::Duration Config::Duration(absl::string_view key) const {
  absl::Duration duration;
  if (!absl::ParseDuration(Text(key), &duration)) std::abort();
  return duration;
}

absl::Status Config::Set(absl::string_view key, absl::string_view text) {
  const KeySpec* spec = FindKey(key);
  if (spec == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("unknown key \"", key, "\""));
  }
  CEDANA_ASSIGN_OR_RETURN(values_[std::string(spec->key)], ParseValue(*spec, text));
  return absl::OkStatus();
}

std::string Config::DaemonAddress() const {
  if (!Text("address").empty()) return Text("address");
  return Text("protocol") == "tcp" ? "127.0.0.1:8080" : "/run/cedana.sock";
}

}  // namespace cedana::config
