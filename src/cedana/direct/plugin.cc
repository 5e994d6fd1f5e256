// The shared object's face: its build, and the one symbol that it exports. Built once for each
// scheme.
#include "build_id_text.h"
#include "cedana/direct/direct_backend.h"
#include "cedana/plugin/plugin_note.h"
#include "cedana/plugin/storage_backend.h"

CEDANA_PLUGIN_NOTE(CEDANA_VERSION, CEDANA_BUILD_ID);

namespace cedana::direct {
namespace {

absl::StatusOr<std::unique_ptr<plugin::StorageBackend>> Create(
    const plugin::StorageConfig& config) {
  return DirectBackend::Create(CEDANA_SCHEME, config, DirectOptions());
}

constexpr plugin::StoragePluginV1 kPlugin = {"storage/" CEDANA_SCHEME, CEDANA_SCHEME,
                                             CEDANA_VERSION, CEDANA_BUILD_ID, Create};

}  // namespace
}  // namespace cedana::direct

extern "C" const cedana::plugin::StoragePluginV1* cedana_storage_plugin_v1() {
  return &cedana::direct::kPlugin;
}
