#include "cedana/health/health.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cedana/criu/criu.h"
#include "cedana/plugin/storage_config.h"
#include "cedana/plugin/storage_url.h"

namespace cedana::health {
namespace {

constexpr absl::Duration kTimeout = absl::Minutes(1);

plugin::HealthItem Good(std::string component, std::string data) {
  return {std::move(component), std::move(data), {}, {}};
}

plugin::HealthItem Bad(std::string component, std::string data, const absl::Status& status) {
  return {std::move(component), std::move(data), {std::string(status.message())}, {}};
}

HealthGroup CheckCriuProgram(const config::Config& config) {
  HealthGroup group{"criu", {}};
  const absl::StatusOr<criu::CriuProgram> program =
      criu::FindCriu(config.Text("criu.binary_path"), config.Text("plugins.bin_dir"));
  if (!program.ok()) {
    group.items.push_back(Bad("version", "unknown", program.status()));
    return group;
  }
  group.items.push_back(Good("version", absl::StrCat(program->version)));
  group.items.push_back(Good("path", program->path));
  const absl::Status works = criu::CheckCriu(*program);
  group.items.push_back(works.ok() ? Good("features", "available")
                                   : Bad("features", "unavailable", works));
  return group;
}

// With the folder that dumps go to, where it is of that scheme.
plugin::StorageConfig ConfigFor(const config::Config& config, const std::string& scheme) {
  plugin::StorageConfig storage = plugin::ReadStorageConfig(config);
  const auto dir = plugin::ParseStorageUrl(config.Text("checkpoint.dir"));
  return dir.ok() && dir->scheme == scheme ? plugin::ForFolder(std::move(storage), *dir) : storage;
}

// The schemes to check: all that are installed, and the one that dumps go to.
std::vector<std::string> Schemes(const config::Config& config,
                                 const plugin::StoragePlugins& plugins) {
  std::vector<std::string> schemes = plugins.Installed();
  const auto dir = plugin::ParseStorageUrl(config.Text("checkpoint.dir"));
  if (dir.ok() && std::find(schemes.begin(), schemes.end(), dir->scheme) == schemes.end()) {
    schemes.push_back(dir->scheme);
  }
  return schemes;
}

}  // namespace

std::vector<HealthGroup> CheckAll(const config::Config& config, bool full) {
  // For ever, because it may have loaded what still runs on other threads.
  static auto& plugins = *new plugin::StoragePlugins(config.Text("plugins.lib_dir"));
  return CheckAll(config, full, plugins, base::Context().WithTimeout(kTimeout));
}

std::vector<HealthGroup> CheckAll(const config::Config& config, bool full,
                                  plugin::StoragePlugins& plugins, const base::Context& context) {
  std::vector<HealthGroup> groups{CheckCriuProgram(config)};
  if (!full) return groups;
  const std::vector<std::string> schemes = Schemes(config, plugins);
  if (schemes.empty()) {
    groups.push_back({"storage",
                      {{"plugins",
                        "none",
                        {},
                        {"no storage plugin is installed, so checkpoints have no place: "
                         "cedana plugin install storage/cedana"}}}});
  }
  for (const std::string& scheme : schemes) {
    HealthGroup group{absl::StrCat("storage/", scheme), {}};
    const absl::StatusOr<const plugin::StoragePluginV1*> found = plugins.Find(scheme);
    if (!found.ok()) {
      group.items.push_back(Bad("version", "unknown", found.status()));
      groups.push_back(std::move(group));
      continue;
    }
    group.items.push_back(Good("version", (*found)->version));
    absl::StatusOr<std::unique_ptr<plugin::StorageBackend>> storage =
        plugins.Open(scheme, ConfigFor(config, scheme));
    if (!storage.ok()) {
      group.items.push_back(Bad("URL", "not usable", storage.status()));
    } else {
      for (plugin::HealthItem& item : (*storage)->Check(context, full)) {
        group.items.push_back(std::move(item));
      }
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace cedana::health
