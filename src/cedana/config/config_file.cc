#include "cedana/config/config_file.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cedana/config/key_table.h"
#include "core/base/fd.h"
#include "core/base/status.h"

namespace cedana::config {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;

absl::Status Flatten(absl::string_view name, const std::string& prefix, const base::Json& object,
                     ParsedFile* out) {
  for (const auto& [key, value] : object.items()) {
    const std::string path = prefix.empty() ? key : absl::StrCat(prefix, ".", key);
    const KeySpec* spec = FindKey(path);
    if (spec != nullptr) {
      absl::StatusOr<base::Json> typed = CoerceValue(*spec, value);
      if (!typed.ok()) return base::Annotate(typed.status(), name);
      out->values[std::string(spec->key)] = *std::move(typed);
    } else if (value.is_object()) {
      CEDANA_RETURN_IF_ERROR(Flatten(name, path, value, out));
    } else {
      out->unknown[path] = value;
      out->warnings.push_back(absl::StrCat(name, ": unknown key \"", path, "\", did you mean \"",
                                           NearestKey(path), "\"?"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ParsedFile> ParseConfig(absl::string_view name, absl::string_view text) {
  absl::StatusOr<base::Json> json = base::ParseJson(text);
  if (!json.ok()) return base::Annotate(json.status(), name);
  if (!json->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": must be a JSON object"));
  }
  ParsedFile parsed;
  CEDANA_RETURN_IF_ERROR(Flatten(name, "", *json, &parsed));
  return parsed;
}

absl::StatusOr<ParsedFile> ReadConfigFile(const std::string& path) {
  CEDANA_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path, kFileBytesMax));
  return ParseConfig(path, text);
}

absl::Status WriteConfigFile(const std::string& path, const Values& values,
                             const std::map<std::string, base::Json>& unknown) {
  base::Json root = base::Json::object();
  bool secrets = false;
  for (const auto& [key, value] : values) {
    base::Json* place = &root;
    for (absl::string_view part : absl::StrSplit(key, '.')) place = &(*place)[std::string(part)];
    *place = value;
    const KeySpec* spec = FindKey(key);
    secrets = secrets || (spec != nullptr && spec->secret && value != base::Json(""));
  }
  // Kept as they were: another version may know them. They may hold secrets of its own.
  for (const auto& [key, value] : unknown) {
    root[key] = value;
    secrets = true;
  }
  CEDANA_RETURN_IF_ERROR(base::MakeDirs(std::filesystem::path(path).parent_path().string(), 0755));
  return base::WriteFileAtomic(path, base::DumpJson(root, 2) + "\n", secrets ? 0600 : 0644);
}

}  // namespace cedana::config
