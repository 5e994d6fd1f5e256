// The shared object's face: its build, and the one symbol that it exports.
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "build_id_text.h"
#include "cedana/plugin/plugin_note.h"
#include "cedana/plugin/storage_backend.h"
#include "cedana/remote/cedana_backend.h"
#include "cedana/remote/provider_health.h"
#include "core/base/clock.h"

CEDANA_PLUGIN_NOTE(CEDANA_VERSION, CEDANA_BUILD_ID);

namespace cedana::remote {
namespace {

constexpr size_t kServicesMax = 16;  // a daemon has one; more come only from changed settings

// Back ends come and go with every operation; what was learnt of a service's providers stays as
// long as the program.
std::shared_ptr<ProviderHealth> HealthOf(const std::string& url) {
  static absl::Mutex mutex;
  static auto& known = *new std::map<std::string, std::shared_ptr<ProviderHealth>>;
  absl::MutexLock lock(&mutex);
  if (known.size() >= kServicesMax && !known.contains(url)) known.clear();
  std::shared_ptr<ProviderHealth>& health = known[url];
  if (health == nullptr) health = std::make_shared<ProviderHealth>(&base::SystemClock());
  return health;
}

absl::StatusOr<std::unique_ptr<plugin::StorageBackend>> Create(
    const plugin::StorageConfig& config) {
  RemoteOptions options;
  options.health = HealthOf(config.url);
  return CedanaBackend::Create(config, options);
}

constexpr plugin::StoragePluginV1 kPlugin = {"storage/cedana", "cedana", CEDANA_VERSION,
                                             CEDANA_BUILD_ID, Create};

}  // namespace
}  // namespace cedana::remote

extern "C" const cedana::plugin::StoragePluginV1* cedana_storage_plugin_v1() {
  return &cedana::remote::kPlugin;
}
