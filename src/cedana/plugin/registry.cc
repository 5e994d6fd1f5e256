#include "cedana/plugin/registry.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cedana/plugin/plugin_note.h"
#include "cedana/plugin/program_version.h"
#include "core/base/fd.h"
#include "core/base/status.h"
#include "core/build_id.h"

namespace cedana::plugin {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFileBytesMax = 512u << 20;

bool IsFile(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

uint64_t FileBytes(const std::string& path) {
  std::error_code error;
  const uint64_t bytes = fs::file_size(path, error);
  return error ? 0 : bytes;
}

// Content decides, not time: a copy keeps neither time nor owner.
bool SameContent(const std::string& a, const std::string& b) {
  if (FileBytes(a) != FileBytes(b)) return false;
  const absl::StatusOr<std::string> first = base::ReadFile(a, kFileBytesMax);
  const absl::StatusOr<std::string> second = base::ReadFile(b, kFileBytesMax);
  return first.ok() && second.ok() && *first == *second;
}

absl::StatusOr<const KnownPlugin*> Known(absl::string_view name) {
  const KnownPlugin* plugin = FindKnownPlugin(name);
  if (plugin != nullptr) return plugin;
  std::vector<std::string> names;
  for (const KnownPlugin& known : KnownPlugins()) names.emplace_back(known.name);
  return absl::InvalidArgumentError(
      absl::StrCat("unknown plugin \"", name, "\"; known: ", absl::StrJoin(names, ", ")));
}

std::string ProgramDir() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path().string();
}

}  // namespace

std::span<const KnownPlugin> KnownPlugins() {
  static const auto& plugins = *new std::vector<KnownPlugin>{
      {"criu", "checkpoint", {}, {"criu"}, "CRIU that works on this machine's kernel"},
      {"storage/azure",
       "storage",
       {"libcedana-storage-azure.so"},
       {},
       "checkpoints in azure://container/folder, without the service"},
      {"storage/cedana",
       "storage",
       {"libcedana-storage-cedana.so"},
       {},
       "checkpoints in cedana://"},
      {"storage/file",
       "storage",
       {"libcedana-storage-file.so"},
       {},
       "checkpoints in file:///folder, without the service"},
      {"storage/gcs",
       "storage",
       {"libcedana-storage-gcs.so"},
       {},
       "checkpoints in gcs://bucket/folder, without the service"},
      {"storage/s3",
       "storage",
       {"libcedana-storage-s3.so"},
       {},
       "checkpoints in s3://bucket/folder, without the service"},
  };
  return plugins;
}

const KnownPlugin* FindKnownPlugin(absl::string_view name) {
  for (const KnownPlugin& plugin : KnownPlugins()) {
    if (plugin.name == name) return &plugin;
  }
  return nullptr;
}

absl::string_view StatusName(PluginStatus status) {
  switch (status) {
    case PluginStatus::kMissing:
      return "missing";
    case PluginStatus::kAvailable:
      return "available";
    case PluginStatus::kInstalled:
      return "installed";
    case PluginStatus::kOutdated:
      return "outdated";
  }
  return "";
}

Registry::Registry(RegistryOptions options) : options_(std::move(options)) {
  for (absl::string_view folder :
       absl::StrSplit(options_.local_search_path, ':', absl::SkipEmpty())) {
    folders_.emplace_back(folder);
  }
  const fs::path program(options_.program_dir.empty() ? ProgramDir() : options_.program_dir);
  for (const char* sibling : {"../lib", "../bin", "../criu"}) {
    folders_.push_back((program / sibling).lexically_normal().string());
  }
  if (!options_.program_version) options_.program_version = ProgramVersion;
}

std::vector<Registry::File> Registry::Files(const KnownPlugin& plugin, std::string* folder) const {
  std::vector<File> files;
  for (absl::string_view name : plugin.libraries) {
    files.push_back({"", absl::StrCat(options_.lib_dir, "/", name), true});
  }
  for (absl::string_view name : plugin.programs) {
    files.push_back({"", absl::StrCat(options_.bin_dir, "/", name), false});
  }
  for (const std::string& candidate : folders_) {
    const auto source = [&](const File& file) {
      return (fs::path(candidate) / fs::path(file.target).filename()).string();
    };
    if (!std::all_of(files.begin(), files.end(),
                     [&](const File& file) { return IsFile(source(file)); })) {
      continue;
    }
    for (File& file : files) file.source = source(file);
    *folder = candidate;
    break;
  }
  return files;
}

std::string Registry::Version(const std::string& path, bool library) const {
  std::string version;
  if (library) {
    const absl::StatusOr<std::string> bytes = base::ReadFile(path, kFileBytesMax);
    const absl::StatusOr<PluginNote> note =
        bytes.ok() ? ReadPluginNote(*bytes) : absl::StatusOr<PluginNote>(bytes.status());
    if (note.ok()) version = note->version;
  } else {
    version = options_.program_version(path);
  }
  if (version.empty()) return "unknown";
  return absl::ascii_isdigit(version[0]) ? absl::StrCat("v", version) : version;
}

PluginInfo Registry::Describe(const KnownPlugin& plugin) const {
  PluginInfo info;
  info.plugin = &plugin;
  const std::vector<File> files = Files(plugin, &info.available_in);
  const bool available = !info.available_in.empty();
  const bool installed =
      std::all_of(files.begin(), files.end(), [](const File& file) { return IsFile(file.target); });
  bool same = true;
  for (const File& file : files) {
    info.bytes += FileBytes(installed ? file.target : file.source);
    if (installed && available) same = same && SameContent(file.source, file.target);
  }
  const File& first = files.front();
  if (available) info.available_version = Version(first.source, first.library);
  if (installed) info.installed_version = Version(first.target, first.library);
  if (installed) {
    info.status = same ? PluginStatus::kInstalled : PluginStatus::kOutdated;
  } else {
    info.status = available ? PluginStatus::kAvailable : PluginStatus::kMissing;
  }
  return info;
}

std::vector<PluginInfo> Registry::List() const {
  std::vector<PluginInfo> list;
  for (const KnownPlugin& plugin : KnownPlugins()) list.push_back(Describe(plugin));
  return list;
}

absl::StatusOr<PluginInfo> Registry::Find(absl::string_view name) const {
  CEDANA_ASSIGN_OR_RETURN(const KnownPlugin* plugin, Known(name));
  return Describe(*plugin);
}

absl::StatusOr<InstallOutcome> Registry::Install(absl::string_view name) const {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(name, absl::MaxSplits('@', 1));
  CEDANA_ASSIGN_OR_RETURN(const PluginInfo info, Find(parts.first));
  absl::string_view wanted = parts.second;
  absl::ConsumePrefix(&wanted, "v");
  if (info.available_in.empty()) {
    if (info.status == PluginStatus::kInstalled) return InstallOutcome::kAlreadyInstalled;
    return absl::NotFoundError(absl::StrCat("plugin ", parts.first, " is in none of ",
                                            absl::StrJoin(folders_, ", "),
                                            "; set plugins.local_search_path to a folder with it"));
  }
  if (!wanted.empty() && wanted != absl::StripPrefix(info.available_version, "v")) {
    return absl::NotFoundError(absl::StrCat("plugin ", name, " is not available; ",
                                            info.available_in, " has ", info.available_version));
  }
  if (info.status == PluginStatus::kInstalled) return InstallOutcome::kAlreadyInstalled;

  std::string folder;
  for (const File& file : Files(*info.plugin, &folder)) {
    CEDANA_ASSIGN_OR_RETURN(const std::string bytes, base::ReadFile(file.source, kFileBytesMax));
    if (file.library) {
      const absl::StatusOr<PluginNote> note = ReadPluginNote(bytes);
      if (!note.ok()) return base::Annotate(note.status(), file.source);
      if (note->build_id != BuildId()) {
        return absl::FailedPreconditionError(
            absl::StrCat(file.source, " is of build ", note->version, " ", note->build_id,
                         ", this program is of build ", BuildVersion(), " ", BuildId()));
      }
    }
    const std::string parent = fs::path(file.target).parent_path().string();
    CEDANA_RETURN_IF_ERROR(base::MakeDirs(parent, 0755));
    CEDANA_RETURN_IF_ERROR(base::WriteFileAtomic(file.target, bytes, 0755));
  }
  return InstallOutcome::kInstalled;
}

absl::Status Registry::Remove(absl::string_view name) const {
  CEDANA_ASSIGN_OR_RETURN(const KnownPlugin* plugin, Known(name));
  std::string folder;
  bool removed = false;
  for (const File& file : Files(*plugin, &folder)) {
    if (::unlink(file.target.c_str()) == 0) {
      removed = true;
    } else if (errno != ENOENT && errno != ENOTDIR) {
      return base::ErrnoStatus(errno, file.target);
    }
  }
  if (!removed) return absl::NotFoundError(absl::StrCat("plugin ", name, " is not installed"));
  return absl::OkStatus();
}

}  // namespace cedana::plugin
