#include "cedana/plugin/loader.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "cedana/plugin/plugin_note.h"
#include "cedana/plugin/registry.h"
#include "core/base/fd.h"
#include "core/base/status.h"
#include "core/build_id.h"

namespace cedana::plugin {
namespace {

constexpr size_t kPluginBytesMax = 512u << 20;
constexpr char kPrefix[] = "libcedana-storage-";
constexpr char kSuffix[] = ".so";

std::string Hint(absl::string_view name) {
  return absl::StrCat("run \"cedana plugin install ", name, "\"");
}

absl::Status NotInstalled(absl::string_view scheme, absl::string_view name) {
  if (FindKnownPlugin(name) != nullptr) {
    return absl::UnavailableError(
        absl::StrCat("storage plugin ", name, " is not installed: ", Hint(name)));
  }
  std::vector<std::string> schemes;
  for (const KnownPlugin& plugin : KnownPlugins()) {
    absl::string_view known = plugin.name;
    if (absl::ConsumePrefix(&known, "storage/")) schemes.push_back(absl::StrCat(known, "://"));
  }
  return absl::InvalidArgumentError(absl::StrCat("no storage plugin is known for ", scheme,
                                                 "://; known: ", absl::StrJoin(schemes, ", ")));
}

absl::Status OtherBuild(absl::string_view name, absl::string_view path, absl::string_view version,
                        absl::string_view build_id) {
  return absl::FailedPreconditionError(absl::StrCat(
      "storage plugin ", name, " (", path, ") is of build ", version, " ", build_id,
      ", this program is of build ", BuildVersion(), " ", BuildId(), ": ", Hint(name), " again"));
}

}  // namespace

absl::StatusOr<const StoragePluginV1*> StoragePlugins::Find(absl::string_view scheme) {
  const std::string name = absl::StrCat("storage/", scheme);
  const std::string path = absl::StrCat(lib_dir_, "/", kPrefix, scheme, kSuffix);
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return NotInstalled(scheme, name);
    return base::ErrnoStatus(errno, path);
  }
  const FileId file{st.st_dev, st.st_ino,
                    st.st_mtim.tv_sec * int64_t{1'000'000'000} + st.st_mtim.tv_nsec, st.st_size};

  absl::MutexLock lock(&mutex_);
  const auto it = loaded_.find(path);
  if (it != loaded_.end() && it->second.file == file) return it->second.plugin;
  CEDANA_ASSIGN_OR_RETURN(const StoragePluginV1* plugin, LoadFile(name, path));
  loaded_[path] = Loaded{file, plugin};
  return plugin;
}

absl::StatusOr<std::unique_ptr<StorageBackend>> StoragePlugins::Open(absl::string_view scheme,
                                                                     const StorageConfig& config) {
  CEDANA_ASSIGN_OR_RETURN(const StoragePluginV1* plugin, Find(scheme));
  return plugin->create(config);
}

std::vector<std::string> StoragePlugins::Installed() const {
  std::vector<std::string> schemes;
  std::error_code ignored;  // no folder: none installed
  for (const auto& entry : std::filesystem::directory_iterator(lib_dir_, ignored)) {
    const std::string file = entry.path().filename().string();
    absl::string_view scheme = file;
    if (absl::ConsumePrefix(&scheme, kPrefix) && absl::ConsumeSuffix(&scheme, kSuffix)) {
      schemes.emplace_back(scheme);
    }
  }
  std::sort(schemes.begin(), schemes.end());
  return schemes;
}

// The linker maps a private copy in memory: it would take a new file at an old path for the one
// that it knows, and a file overwritten in place would change code that is running.
absl::StatusOr<const StoragePluginV1*> StoragePlugins::LoadFile(const std::string& name,
                                                                const std::string& path) {
  CEDANA_ASSIGN_OR_RETURN(const std::string bytes, base::ReadFile(path, kPluginBytesMax));
  const absl::StatusOr<PluginNote> note = ReadPluginNote(bytes);
  if (!note.ok()) {
    return absl::FailedPreconditionError(absl::StrCat("storage plugin ", name, " (", path,
                                                      "): ", note.status().message(), ": ",
                                                      Hint(name), " again"));
  }
  if (note->build_id != BuildId()) return OtherBuild(name, path, note->version, note->build_id);

  base::UniqueFd copy(::memfd_create(name.c_str(), MFD_CLOEXEC));
  if (!copy.valid()) return base::ErrnoStatus(errno, "memfd_create");
  CEDANA_RETURN_IF_ERROR(base::WriteAll(copy.get(), bytes));
  void* handle =
      ::dlopen(absl::StrCat("/proc/self/fd/", copy.get()).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("storage plugin ", name, " (", path,
                                                      ") cannot be loaded: ", ::dlerror(), ": ",
                                                      Hint(name), " again"));
  }
  // The linker knows the copy by its number, so the number must not be given out again.
  copy.Release();
  const auto factory =
      reinterpret_cast<StoragePluginFactory>(::dlsym(handle, kStoragePluginSymbol));
  const StoragePluginV1* plugin = factory == nullptr ? nullptr : factory();
  if (plugin == nullptr || plugin->create == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("storage plugin ", name, " (", path, ") exports no ", kStoragePluginSymbol));
  }
  if (absl::string_view(plugin->build_id) != BuildId()) {
    return OtherBuild(name, path, plugin->version, plugin->build_id);
  }
  return plugin;
}

}  // namespace cedana::plugin
